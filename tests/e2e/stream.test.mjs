// What the carrier owes a stream: first bytes at once, every byte unchanged, a
// closing event where it breaks, and an end upstream when the client leaves.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ANSWER, puppet, SSE } from "./puppet.mjs";
import { ask, events, open, until } from "./world.mjs";

const EVENT_STREAM = { "content-type": "text/event-stream; charset=utf-8" };

/** @type {import("./puppet.mjs").Puppet} */
let provider;
/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let key;

/** A model whose provider must be quick. */
const QUICK = "claude-haiku-5-5";
const timeouts = { first_byte_s: 1, between_bytes_s: 1, total_s: 2 };

before(async () => {
  provider = await puppet();
  world = await open({ provider: provider.url, vars: { TOLLGATE_ROUTES: { [QUICK]: { timeouts } } } });
  key = await world.key();
});
after(async () => {
  await world?.close();
  await provider?.close();
});

/** A streamed request, and the provider's side of it. */
async function stream(signal = /** @type {AbortSignal | undefined} */ (undefined)) {
  const answer = world.post(key, ask("Hello", { stream: true }), { signal });
  answer.catch(() => {});
  const exchange = await provider.next();
  exchange.head(200, EVENT_STREAM);
  return { exchange, answer };
}

test("each event reaches the client before the provider sends the next", async () => {
  const { exchange, answer } = await stream();
  const reader = reading(await answer);
  for (const part of [SSE.start, SSE.open, SSE.text("one"), SSE.text("two"), SSE.close, SSE.delta(3)]) {
    await exchange.write(part);
    assert.equal(await reader.until(part.length), part);
  }
  await exchange.write(SSE.stop);
  exchange.end();
  assert.equal(await reader.rest(), SSE.stop);
});

test("a stream's bytes pass unchanged, unknown events and torn characters too", async () => {
  const whole = Buffer.from(
    [
      ": a comment\n\n",
      SSE.start.replaceAll("\n", "\r\n"),
      SSE.open,
      'event: something_new\ndata: {"type":"something_new","π":[1,2,{"deep":null}]}\nid: 7\nretry: 10\n\n',
      SSE.text("naïve 🦀 \\u0000"),
      `event:content_block_delta\ndata:{"type":"content_block_delta","index":0,\ndata:"delta":{"type":"text_delta","text":"two lines"}}\n\n`,
      SSE.close,
      SSE.delta(9),
      SSE.stop,
    ].join(""),
  );
  const { exchange, answer } = await stream();
  for (let at = 0; at < whole.length; at += 7) await exchange.write(whole.subarray(at, at + 7));
  exchange.end();
  assert.deepEqual(Buffer.from(await (await answer).arrayBuffer()), whole);
});

test("a whole answer's bytes pass unchanged", async () => {
  const text = JSON.stringify({ ...ANSWER, new_field: { "π": 1.50 } }, null, 3).replace("Hello", "H\\u00e9llo");
  const answer = world.post(key, ask("Hello"));
  const exchange = await provider.next();
  exchange.head(200, { "content-type": "application/json" });
  await exchange.write(text);
  exchange.end();
  assert.equal(await (await answer).text(), text);
});

test("the body that the client sent reaches the provider unchanged", async () => {
  const body = `{ "model":"claude-sonnet-5-5","max_tokens": 64,\n"unknown": {"a":[1,2]}, "messages":[{"role":"user","content":"h\\u00e9 🦀"}] }`;
  const answer = world.post(key, body);
  const exchange = await provider.next();
  assert.equal(exchange.body.toString(), body);
  exchange.head(200, { "content-type": "application/json" });
  await exchange.write(JSON.stringify(ANSWER));
  exchange.end();
  assert.equal((await answer).status, 200);
});

for (const { name, parts, end } of [
  { name: "cut between events", parts: [SSE.start, SSE.open, SSE.text("one")], end: /** @type {const} */ ("cut") },
  {
    name: "cut in the middle of an event",
    parts: [SSE.start, SSE.open, SSE.text("one"), SSE.text("two").slice(0, 40)],
    end: /** @type {const} */ ("cut"),
  },
  { name: "ended without its mark", parts: [SSE.start, SSE.open, SSE.text("one")], end: /** @type {const} */ ("end") },
]) {
  test(`a stream that is ${name} gets one closing error event`, async () => {
    const { exchange, answer } = await stream();
    const reader = reading(await answer);
    for (const part of parts) await exchange.write(part);
    const sent = parts.join("");
    assert.equal(await reader.until(sent.length), sent);
    exchange[end]();
    const rest = await reader.rest();
    const last = events(rest).at(-1);
    assert.equal(last?.event, "error", rest);
    assert.equal(last?.data.type, "error");
    assert.ok(last?.data.error.type && last?.data.error.message, rest);
    assert.equal(events(rest).filter(({ event }) => event === "error").length, 1);
    // What was torn must not reach a parser as a half event of its kind.
    assert.doesNotThrow(() => events(`${sent}${rest}`.replace(/data: \{[^\n]*\nevent: ping\n/, "data: {}\nevent: ping\n")));
  });
}

test("the provider's own error event is passed on, and no second one is added", async () => {
  const { exchange, answer } = await stream();
  const error = `event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n`;
  await exchange.write(SSE.start + error);
  exchange.end();
  assert.equal(await (await answer).text(), SSE.start + error);
});

test("a client that leaves stops the provider", async () => {
  const leave = new AbortController();
  const { exchange, answer } = await stream(leave.signal);
  await exchange.write(SSE.start + SSE.open + SSE.text("one"));
  await reading(await answer).until(10);
  leave.abort();
  // As a provider does, it goes on until it is stopped: workerd sees that a
  // client closed when it next writes.
  let left = false;
  void exchange.left.then(() => (left = true));
  await until(async () => {
    await exchange.write(SSE.text("more")).catch(() => {});
    return left;
  });
});

test("a client that leaves before the first byte stops the provider", async () => {
  const leave = world.leaver(key, ask("Hello", { stream: true }));
  const exchange = await provider.next();
  await leave();
  await exchange.left;
});

test("headers pass by allow-list, both ways", async () => {
  const answer = world.post(key, ask("Hello"), {
    headers: {
      "anthropic-beta": "a-beta-2026-01-01",
      "user-agent": "a-client/1",
      cookie: "secret=1",
      "x-forwarded-for": "1.2.3.4",
      "x-stainless-lang": "js",
      authorization: "",
    },
  });
  const exchange = await provider.next();
  const { headers } = exchange.request;
  assert.equal(headers["x-api-key"], "sk-ant-emulator");
  assert.equal(headers["user-agent"], "a-client/1");
  for (const name of ["cookie", "authorization", "x-forwarded-for"]) assert.equal(headers[name], undefined, name);
  for (const [name, value] of Object.entries(headers)) assert.ok(!String(value).includes(key), name);
  exchange.head(200, {
    "content-type": "application/json",
    "set-cookie": "a=b",
    "access-control-allow-origin": "https://evil.example",
    "anthropic-organization-id": "org",
    "anthropic-workspace-id": "ws",
    "anthropic-ratelimit-requests-limit": "1000",
    "request-id": "req_of_the_provider",
  });
  await exchange.write(JSON.stringify(ANSWER));
  exchange.end();
  const down = (await answer).headers;
  for (const name of ["set-cookie", "anthropic-organization-id", "anthropic-workspace-id", "anthropic-ratelimit-requests-limit"]) {
    assert.equal(down.get(name), null, name);
  }
  assert.notEqual(down.get("access-control-allow-origin"), "https://evil.example");
  assert.ok(down.get("x-tollgate-request-id"));
  assert.ok(down.get("request-id"));
});

test("a redirect of the provider is not followed", async () => {
  const answer = world.post(key, ask("Hello"));
  const exchange = await provider.next();
  exchange.head(307, { location: `${provider.url}/elsewhere` });
  exchange.end();
  const { status } = await answer;
  assert.ok(status >= 300, String(status));
  assert.notEqual(status, 200);
});

test("a provider that sends no response in time is told as a time-out", async () => {
  const answer = await world.post(key, ask("Hello", { model: QUICK }));
  await provider.next();
  assert.equal(answer.status, 504);
  assert.equal((await answer.json()).error.details.error_code, "tollgate_upstream_timeout");
});

for (const [what, more] of /** @type {[string, string][]} */ ([
  ["falls silent", ""],
  ["never comes to its end", SSE.text("and on")],
])) {
  test(`a stream that ${what} is closed by an error event, and stopped upstream`, async () => {
    const answer = world.post(key, ask("Hello", { model: QUICK, stream: true }));
    const exchange = await provider.next();
    exchange.head(200, EVENT_STREAM);
    await exchange.write(SSE.start + SSE.open);
    let left = false;
    void exchange.left.then(() => (left = true));
    const text = (await answer).text();
    while (more && !left) {
      await exchange.write(more).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await exchange.left;
    const last = events(await text).at(-1);
    assert.equal(last?.event, "error");
    assert.match(last?.data.error.details.error_code, /^tollgate_/);
  });
}

/** @param {Response} response */
function reading(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let text = "";
  const more = async () => {
    const { value, done } = await reader.read();
    if (value) text += decoder.decode(value, { stream: true });
    return !done;
  };
  const take = (/** @type {number} */ length) => {
    const taken = text.slice(0, length);
    text = text.slice(length);
    return taken;
  };
  return {
    /** The next characters, as soon as so many came. @param {number} length */
    until: async (length) => {
      while (text.length < length && (await more()));
      return take(length);
    },
    rest: async () => {
      while (await more());
      return take(text.length);
    },
  };
}
