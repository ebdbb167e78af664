// Cut block by block, a text has the tokens that it has as a whole.

import assert from "node:assert/strict";
import { test } from "node:test";
import { get_encoding } from "tiktoken";
import { Blocks, split } from "../../www/js/blocks.js";

const PIECES = ["fn main() {\n", "    let x = 1234567;\r\n", "\n\n\n", " \t ", "// a/b\n/c\n", "Naïve café's ", "漢字かな交じり文。", "👩‍👩‍👧", "\u0085\ufeff", "it'ſ I'LL we've ", "....\n\n", "word ", "Ünïcödé\n", " ", "</p>\n<p>", "-----\n  ", "\u00a0x\n\u00a0"];

/** @param {number} seed */
function random(seed) {
  return (/** @type {number} */ below) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return (seed >> 8) % below;
  };
}

/** @param {(below: number) => number} next @param {number} pieces */
const made = (next, pieces) => Array.from({ length: pieces }, () => PIECES[next(PIECES.length)]).join("");

for (const name of /** @type {const} */ (["o200k_base", "cl100k_base"])) {
  test(`blocks never tear a token of ${name}`, () => {
    const vocabulary = get_encoding(name);
    let several = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const text = made(random(seed), 1 + random(seed * 7)(1500));
      const parts = split(text);
      assert.equal(parts.join(""), text, `seed ${seed}`);
      several += Number(parts.length > 1);
      const whole = vocabulary.encode_ordinary(text);
      const cut = parts.flatMap((part) => [...vocabulary.encode_ordinary(part)]);
      assert.deepEqual(cut, [...whole], `seed ${seed}`);
      assert.ok(parts.every(Boolean), `seed ${seed}: a block is empty`);
    }
    assert.ok(several > 30, "most texts have several blocks");
    vocabulary.free();
  });
}

test("a text without a place to cut is cut anyway, but never within a character", () => {
  const parts = split("😀".repeat(20_000));
  assert.ok(parts.length > 3);
  for (const part of parts) assert.ok(/^(😀)+$/u.test(part));
});

test("an edit leaves the other blocks as they are, and the blocks are the text's", () => {
  const next = random(4);
  const blocks = new Blocks();
  /** @type {import("../../www/js/blocks.js").Block[]} as the page keeps them */
  const shown = [];
  let text = made(next, 4000);
  for (let i = 0; i < 300; i++) {
    const { at, removed, added } = blocks.set(text);
    shown.splice(at, removed, ...added);
    assert.equal(shown.map((block) => block.text).join(""), text, `edit ${i}`);
    if (i > 0) assert.ok(removed <= 6 && added.length <= 6, `edit ${i}: ${removed} removed, ${added.length} added of ${shown.length}`);
    const from = next(text.length);
    text = text.slice(0, from) + made(next, next(3)) + text.slice(from + next(40));
  }
  // Wherever an edit was, its block still ends where no token reaches across.
  const vocabulary = get_encoding("o200k_base");
  assert.deepEqual(shown.flatMap((block) => [...vocabulary.encode_ordinary(block.text)]), [...vocabulary.encode_ordinary(shown.map((block) => block.text).join(""))]);
  vocabulary.free();
});
