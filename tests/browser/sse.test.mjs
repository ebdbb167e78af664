// The page's parser of server-sent events: a piece of text may end anywhere.

import assert from "node:assert/strict";
import { test } from "node:test";
import { events, Parser } from "../../www/js/sse.js";

const TEXT = 'event: a\ndata: {"n":1}\n\n: comment\r\ndata:{"n":2,\r\ndata: "é":"🦀"}\r\n\r\nid: 3\rdata: {"n":3}\r\revent: ping\n\ndata: no json\n\ndata: {"n":4}\n\n';
const WHOLE = [{ n: 1 }, { n: 2, é: "🦀" }, { n: 3 }, { n: 4 }];

test("all three line ends, data over several lines, comments and what is no JSON", () => {
  assert.deepEqual(new Parser().feed(TEXT), WHOLE);
});

test("cut anywhere, the events are the same", () => {
  for (let at = 0; at <= TEXT.length; at++) {
    const parser = new Parser();
    assert.deepEqual([...parser.feed(TEXT.slice(0, at)), ...parser.feed(TEXT.slice(at))], WHOLE, `cut at ${at}`);
  }
});

test("bytes that cut a character in two give the character", async () => {
  const bytes = new TextEncoder().encode(TEXT);
  const told = [];
  const body = new Response(bytes).body?.pipeThrough(new TransformStream({ transform: (piece, out) => piece.forEach((/** @type {number} */ byte) => out.enqueue(Uint8Array.of(byte))) }));
  assert.ok(body);
  for await (const event of events(body)) told.push(event);
  assert.deepEqual(told, WHOLE);
});

test("an event without its blank line is not told", () => {
  assert.deepEqual(new Parser().feed('data: {"n":1}\n'), []);
});

test("a line without an end is refused before it fills the memory", () => {
  const parser = new Parser();
  const piece = "x".repeat(1 << 20);
  assert.throws(() => {
    for (let i = 0; i < 16; i++) parser.feed(piece);
  }, /never ends/);
});
