// Idempotency keys: a repeated request gets the first one's answer and is charged
// once, also while the first runs, after a crash, and whoever asks.

import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { wrap } from "../serve/bundle.mjs";
import { ANSWER, puppet, SSE } from "./puppet.mjs";
import { ask, open, until } from "./world.mjs";

const JSON_TYPE = { "content-type": "application/json" };
const EVENT_STREAM = { "content-type": "text/event-stream; charset=utf-8" };
const TENANTS = {
  acme: { budgets: [{ window: "day", requests: 1_000, tokens: 10_000_000 }] },
  globex: {},
  once: { budgets: [{ window: "day", requests: 1 }] },
};

let keys = 0;
/** A key that nobody used. */
const fresh = () => ({ "idempotency-key": `key-${++keys}` });

describe("before an honest provider", () => {
  /** @type {import("./world.mjs").World} */
  let world;
  /** @type {string} */
  let key;
  /** @type {string} */
  let state;

  before(async () => {
    state = await mkdtemp(path.join(tmpdir(), "tollgate-idempotency-"));
    world = await open({ state, tenants: TENANTS });
    key = await world.key();
  });
  after(async () => {
    await world?.close();
    await rm(state, { recursive: true, force: true });
  });
  beforeEach(() => world.upstream.reset());

  for (const stream of [false, true]) {
    test(`a repeated ${stream ? "stream" : "request"} gets the same answer, and is charged once`, async () => {
      const before = await world.recorded(key);
      const headers = fresh();
      const body = ask("Hello", { stream }, "output-tokens=30");
      const first = await world.post(key, body, { headers });
      const text = await first.text();
      assert.equal(first.status, 200, text);
      assert.equal(first.headers.get("x-tollgate-replayed"), null);
      for (let n = 0; n < 2; n++) {
        const again = await world.post(key, body, { headers });
        assert.equal(await again.text(), text);
        assert.equal(again.headers.get("x-tollgate-replayed"), "true");
        assert.equal(again.headers.get("x-tollgate-cost-microusd"), "0");
        for (const name of ["content-type", "request-id", "x-tollgate-model"]) {
          assert.equal(again.headers.get(name), first.headers.get(name), name);
        }
        assert.notEqual(again.headers.get("x-tollgate-request-id"), first.headers.get("x-tollgate-request-id"));
      }
      assert.equal((await world.upstream.requests()).length, 1);
      const { input_tokens, output_tokens } = await world.stats();
      const spent = { requests: before.requests + 1, tokens: before.tokens + input_tokens + output_tokens };
      await until(async () => (await world.recorded(key)).tokens === spent.tokens);
      assert.deepEqual(await world.recorded(key), spent);
    });
  }

  test("many at once are one request to the provider", async () => {
    const headers = fresh();
    const body = ask("All at once", {}, "output-tokens=30");
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const response = await world.post(key, body, { headers });
        return { text: await response.text(), replayed: response.headers.get("x-tollgate-replayed") };
      }),
    );
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1, answers[0].text);
    assert.equal(answers.filter(({ replayed }) => replayed === null).length, 1);
    assert.equal((await world.upstream.requests()).length, 1);
  });

  test("another request with the same key is refused, and the first one's answer stays", async () => {
    const headers = fresh();
    const first = await world.post(key, ask("One"), { headers });
    const text = await first.text();
    for (const other of [
      () => world.post(key, ask("Two"), { headers }),
      () => world.post(key, ask("One"), { headers: { ...headers, "anthropic-version": "2023-06-01" } }),
      () => world.post(key, ask("One"), { path: "/v1/messages?beta=true", headers }),
      // What was cut is not whole: an answer that one delivery takes is another's refusal.
      () => world.post(key, ask("One"), { headers: { ...headers, "x-tollgate-delivery": "atomic" } }),
    ]) {
      const refused = await other();
      const { error } = await refused.json();
      assert.deepEqual([refused.status, error.details.error_code], [422, "tollgate_idempotency_mismatch"]);
      assert.equal(refused.headers.get("x-should-retry"), "false");
    }
    const again = await world.post(key, ask("One"), { headers });
    assert.equal(await again.text(), text);
    assert.equal((await world.upstream.requests()).length, 1);
  });

  test("the same key of another tenant or end user is another key", async () => {
    const headers = fresh();
    const body = ask("Whose is it?");
    const whose = async (/** @type {string} */ key, more = {}) => {
      const response = await world.post(key, body, { headers: { ...headers, ...more } });
      return [response.status, response.headers.get("x-tollgate-replayed"), (await response.text()).length > 0];
    };
    const globex = await world.key("globex");
    assert.deepEqual(await whose(key), [200, null, true]);
    assert.deepEqual(await whose(globex), [200, null, true]);
    assert.deepEqual(await whose(key, { "x-tollgate-user": "ann" }), [200, null, true]);
    assert.deepEqual(await whose(key, { "x-tollgate-user": "bob" }), [200, null, true]);
    assert.deepEqual(await whose(key, { "x-tollgate-user": "bob" }), [200, "true", true]);
    assert.deepEqual(await whose(await world.key()), [200, "true", true], "another key of the same tenant");
    assert.equal((await world.upstream.requests()).length, 4);
  });

  for (const [what, stream] of /** @type {const} */ ([
    ["529", false],
    ["400-spend", false],
    ["cut", false],
    ["cut", true],
    ["error-mid-stream", true],
  ])) {
    test(`${what} in ${stream ? "a stream" : "a whole answer"} is not kept: the repeat runs anew`, async () => {
      const headers = fresh();
      await world.upstream.faults([{ what, next: 1 }]);
      const failed = await world.post(key, ask("Hello", { stream }), { headers });
      assert.match(await failed.text(), /"type":"error"/);
      const again = await world.post(key, ask("Hello", { stream }), { headers });
      const text = await again.text();
      assert.deepEqual([again.status, again.headers.get("x-tollgate-replayed")], [200, null]);
      assert.doesNotMatch(text, /"type":"error"/);
      const kept = await world.post(key, ask("Hello", { stream }), { headers });
      assert.equal(await kept.text(), text);
    });
  }

  test("what was answered once is answered again, though the budget is spent", async () => {
    const poor = await world.key("once");
    const headers = fresh();
    const statuses = [];
    for (const one of [headers, headers, fresh()]) {
      const response = await world.post(poor, ask("Hello"), { headers: one });
      await response.text();
      statuses.push(response.status);
    }
    assert.deepEqual(statuses, [200, 200, 429]);
  });

  test("an atomic answer is kept as a whole, its attempts are not", async () => {
    const headers = { ...fresh(), "x-tollgate-delivery": "atomic" };
    const body = ask("Hello", { stream: true }, "output-tokens=30");
    await world.upstream.faults([{ what: "cut", after: 2, next: 1 }]);
    const first = await world.post(key, body, { headers });
    const text = await first.text();
    assert.equal(first.headers.get("x-tollgate-attempts"), "2");
    const again = await world.post(key, body, { headers });
    assert.equal(await again.text(), text);
    assert.equal((await world.upstream.requests()).length, 2);
  });

  test("the SDK sends the key as a header of the request, and gets the same message", async () => {
    const sdk = await world.sdk();
    const headers = fresh();
    const [first, second] = [
      await sdk.messages.create(ask("Hello"), { headers }),
      await sdk.messages.stream(ask("Hello", { stream: undefined }), { headers: fresh() }).finalMessage(),
    ];
    assert.deepEqual(await sdk.messages.create(ask("Hello"), { headers }), first);
    assert.equal(second.type, "message");
    assert.equal((await world.upstream.requests()).length, 2);
  });

  test("where nothing is charged the key changes nothing", async () => {
    const headers = fresh();
    for (const text of ["One", "Another"]) {
      const { model, messages } = ask(text);
      const response = await world.post(key, { model, messages }, { path: "/v1/messages/count_tokens", headers });
      assert.equal(response.status, 200, await response.text());
    }
  });

  test("a kept answer survives kill -9, and no prompt, key or secret is stored", async () => {
    const headers = { "idempotency-key": "a-key-that-is-a-secret" };
    const prompt = "The prompt that nobody may find";
    const first = await world.post(key, ask(prompt, {}, "output-tokens=30"), { headers });
    const text = await first.text();
    await world.restart();
    const again = await world.post(key, ask(prompt, {}, "output-tokens=30"), { headers });
    assert.equal(await again.text(), text);
    assert.equal(again.headers.get("x-tollgate-replayed"), "true");
    const stored = await contents(state);
    assert.ok(stored.includes(JSON.parse(text).id), "the answer is");
    for (const secret of [prompt, headers["idempotency-key"], key, world.secret, "sk-ant-emulator"]) {
      assert.ok(!stored.includes(secret), secret);
    }
  });
});

describe("before a puppet", () => {
  /** @type {import("./puppet.mjs").Puppet} */
  let provider;
  /** @type {import("./world.mjs").World} */
  let world;
  /** @type {string} */
  let key;
  /** @type {string} */
  let state;
  let parked = 0;

  before(async () => {
    state = await mkdtemp(path.join(tmpdir(), "tollgate-idempotency-"));
    provider = await puppet();
    const bundle = await telling(path.join(state, "bundle"));
    world = await open({ state: path.join(state, "state"), bundle, provider: provider.url, log: (line) => line.includes(PARKED) && parked++ });
    key = await world.key();
  });
  after(async () => {
    await world?.close();
    await provider?.close();
    await rm(state, { recursive: true, force: true });
  });

  /** @param {import("./puppet.mjs").Exchange} exchange */
  async function whole(exchange, answer = JSON.stringify(ANSWER)) {
    exchange.head(200, JSON_TYPE);
    await exchange.write(answer);
    exchange.end();
  }

  /** The next request that reaches the provider is another one: nothing was sent twice. */
  async function nothingElse() {
    const other = world.post(key, ask("Something else"));
    const exchange = await provider.next();
    assert.match(exchange.body.toString(), /Something else/);
    await whole(exchange);
    const response = await other;
    assert.equal(response.status, 200, await response.text());
  }

  test("who asks while the first runs waits for its answer", async () => {
    const headers = fresh();
    const first = world.post(key, ask("Hello"), { headers });
    const exchange = await provider.next();
    const others = [1, 2, 3].map(() => world.post(key, ask("Hello"), { headers }));
    const mismatch = await world.post(key, ask("Another"), { headers });
    assert.equal(mismatch.status, 422, await mismatch.text());
    await whole(exchange);
    const texts = [];
    for (const answer of [first, ...others]) texts.push(await (await answer).text());
    assert.deepEqual(texts, Array(4).fill(JSON.stringify(ANSWER)));
    await nothingElse();
  });

  test("where the first fails, one of those who waited runs", async () => {
    const headers = fresh();
    const first = world.post(key, ask("Hello"), { headers });
    const exchange = await provider.next();
    const others = [1, 2].map(() => world.post(key, ask("Hello"), { headers }));
    exchange.head(500, JSON_TYPE);
    await exchange.write('{"type":"error","error":{"type":"api_error","message":"x"}}');
    exchange.end();
    const failed = await first;
    assert.equal(failed.status, 500, await failed.text());
    await whole(await provider.next());
    const replayed = [];
    for (const answer of others) {
      const response = await answer;
      assert.equal(response.status, 200, await response.text());
      replayed.push(response.headers.get("x-tollgate-replayed"));
    }
    assert.deepEqual(replayed.sort(), [null, "true"].sort());
    await nothingElse();
  });

  test("who waited and left locks nobody out", async () => {
    const headers = fresh();
    const first = world.post(key, ask("Hello"), { headers });
    const exchange = await provider.next();
    const before = parked;
    const leave = world.leaver(key, ask("Hello"), headers);
    await until(async () => parked > before);
    await leave();
    exchange.head(500, JSON_TYPE);
    await exchange.write('{"type":"error","error":{"type":"api_error","message":"x"}}');
    exchange.end();
    const failed = await first;
    assert.equal(failed.status, 500, await failed.text());
    const again = world.post(key, ask("Hello"), { headers });
    await whole(await provider.next());
    const response = await again;
    assert.equal(response.status, 200, await response.text());
    await nothingElse();
  });

  test("who waits in vain is told so by its own time, and wakes nobody else", async () => {
    const headers = fresh();
    const first = world.post(key, ask("Hello"), { headers });
    const exchange = await provider.next();
    const before = parked;
    const impatient = { ...headers, "x-stainless-timeout": "1" };
    const others = Array.from({ length: 30 }, () => world.post(key, ask("Hello"), { headers: impatient }));
    for (const other of others) {
      const response = await other;
      const { error } = await response.json();
      assert.deepEqual([response.status, error.details.error_code], [409, "tollgate_idempotency_running"]);
    }
    await until(async () => parked - before >= others.length);
    // Once each, and once more where a timer was a moment early.
    assert.ok(parked - before <= 2 * others.length, `${parked - before} times parked`);
    await whole(exchange);
    const response = await first;
    assert.equal(response.status, 200, await response.text());
    await nothingElse();
  });

  test("an SDK that gave up on the first gets its answer by the second, and the provider is asked once", async () => {
    let calls = 0;
    const counting = (/** @type {any} */ url, /** @type {any} */ init) => (calls++, fetch(url, init));
    const sdk = new Anthropic({ baseURL: world.gateway.url, apiKey: key, maxRetries: 5, timeout: 1_500, fetch: counting });
    const message = sdk.messages.create(ask("Slow"), { headers: fresh() });
    const exchange = await provider.next();
    await until(async () => calls === 2);
    await whole(exchange);
    assert.deepEqual((await message).content, ANSWER.content);
    await nothingElse();
  });

  test("a stream whose client left goes on, and its repeat gets all of it", async () => {
    const headers = fresh();
    const leave = new AbortController();
    const first = await started(world.post(key, ask("Hello", { stream: true }), { headers, signal: leave.signal }));
    const reader = /** @type {ReadableStream<Uint8Array>} */ (first.response.body).getReader();
    await reader.read();
    leave.abort();
    await reader.read().catch(() => {});
    const rest = [SSE.open, SSE.text("after it left"), SSE.close, SSE.delta(3), SSE.stop];
    for (const part of rest) await first.exchange.write(part);
    first.exchange.end();
    const again = await world.post(key, ask("Hello", { stream: true }), { headers });
    assert.equal(again.headers.get("x-tollgate-replayed"), "true");
    assert.equal(again.headers.get("content-type"), EVENT_STREAM["content-type"]);
    assert.equal(await again.text(), SSE.start + rest.join(""));
    await nothingElse();
  });

  /** @param {Promise<Response>} answer of a stream whose first event came */
  async function started(answer) {
    const exchange = await provider.next();
    exchange.head(200, EVENT_STREAM);
    await exchange.write(SSE.start);
    return { exchange, response: await answer };
  }

  test("a first that was half-done when the gate was killed is forgotten, and the repeat runs anew", async () => {
    const headers = fresh();
    const first = world.post(key, ask("Hello"), { headers }).then(
      () => assert.fail("the gate was killed"),
      () => {},
    );
    const lost = await provider.next();
    await world.restart();
    await Promise.all([first, lost.left]);
    const again = world.post(key, ask("Hello"), { headers });
    await whole(await provider.next());
    const response = await again;
    assert.deepEqual([response.status, response.headers.get("x-tollgate-replayed")], [200, null]);
    await response.text();
  });

  test("an answer of more than 8 MB is delivered and not kept", async () => {
    const headers = fresh();
    const large = JSON.stringify({ ...ANSWER, content: [{ type: "text", text: "x".repeat(8 * 1024 * 1024) }] });
    for (let n = 0; n < 2; n++) {
      const answer = world.post(key, ask("Hello"), { headers });
      await whole(await provider.next(), large);
      const response = await answer;
      assert.equal((await response.text()).length, large.length);
    }
    const headers2 = fresh();
    const fits = JSON.stringify({ ...ANSWER, content: [{ type: "text", text: "y".repeat(5 * 1024 * 1024) }] });
    const first = world.post(key, ask("Hello"), { headers: headers2 });
    await whole(await provider.next(), fits);
    const [one, two] = [await first, await world.post(key, ask("Hello"), { headers: headers2 })];
    assert.equal(two.headers.get("x-tollgate-replayed"), "true");
    assert.ok((await one.text()) === (await two.text()), "several pieces are one answer");
  });
});

test("an answer for which there is no room is delivered and not kept", async () => {
  const provider = await puppet();
  const world = await open({ provider: provider.url });
  try {
    const key = await world.key();
    /** What a repeat of a stream of 600 kB gets: true where it was kept. */
    const isKept = async () => {
      const headers = fresh();
      const parts = [SSE.start, SSE.open, ...Array(10).fill(SSE.text("x".repeat(60_000))), SSE.close, SSE.delta(9), SSE.stop];
      const run = async () => {
        const replayed = new AbortController();
        const answer = world.post(key, ask("Hello", { stream: true }), { headers });
        const exchange = await Promise.race([answer.then(() => undefined), provider.next(replayed.signal)]);
        replayed.abort();
        exchange?.head(200, EVENT_STREAM);
        for (const part of parts) await exchange?.write(part);
        exchange?.end();
        const response = await answer;
        assert.ok((await response.text()) === parts.join(""), "it is delivered all the same");
        return response.headers.get("x-tollgate-replayed") === "true";
      };
      assert.equal(await run(), false);
      return run();
    };
    // Two bodies wait for their answers, and leave 200 kB of the isolate's 48 MB. Blanks, for
    // so many letters are more than the model reads.
    const body = ask(" ".repeat(24 * 1024 * 1024 - 100_000));
    const waiting = [];
    for (let n = 0; n < 2; n++) {
      const answer = world.post(key, body);
      waiting.push({ answer, exchange: await provider.next() });
    }
    assert.equal(await isKept(), false);
    for (const { answer, exchange } of waiting) {
      exchange.head(200, JSON_TYPE);
      await exchange.write(JSON.stringify(ANSWER));
      exchange.end();
      assert.equal((await answer).status, 200);
    }
    assert.equal(await isKept(), true, "there is room again");
  } finally {
    await world.close();
    await provider.close();
  }
});

test("an answer is kept for as long as the settings say, then nothing of it is left", async () => {
  const state = await mkdtemp(path.join(tmpdir(), "tollgate-idempotency-"));
  const provider = await puppet();
  const world = await open({ state, provider: provider.url, vars: { TOLLGATE_GATE: { idempotency_s: 1 } } });
  try {
    const key = await world.key();
    const headers = fresh();
    const answer = world.post(key, ask("Hello"), { headers });
    const exchange = await provider.next();
    exchange.head(200, JSON_TYPE);
    await exchange.write(JSON.stringify({ ...ANSWER, id: "msg_that_expires" }));
    exchange.end();
    const response = await answer;
    assert.equal(response.status, 200, await response.text());
    await until(async () => !(await contents(state)).includes("msg_that_expires"));
    const again = world.post(key, ask("Hello"), { headers });
    const anew = await provider.next();
    anew.head(200, JSON_TYPE);
    await anew.write(JSON.stringify(ANSWER));
    anew.end();
    const second = await again;
    assert.equal(second.headers.get("x-tollgate-replayed"), null);
    await second.text();
  } finally {
    await world.close();
    await provider.close();
    await rm(state, { recursive: true, force: true });
  }
});

test("a gate that keeps no answers refuses the header", async () => {
  const world = await open({ vars: { TOLLGATE_GATE: { idempotency_s: 0 } } });
  try {
    const response = await world.post(await world.key(), ask("Hello"), { headers: fresh() });
    const { error } = await response.json();
    assert.deepEqual([response.status, error.details.error_code], [400, "tollgate_bad_header"]);
    assert.match(error.message, /^idempotency-key/);
  } finally {
    await world.close();
  }
});

const PARKED = "a claim is parked";

/**
 * The bundle, whose Relay tells when it parks a claim: nobody else could know.
 *
 * @param {string} dir
 */
async function telling(dir) {
  await cp(new URL("../../dist/edge", import.meta.url), dir, { recursive: true });
  await rename(path.join(dir, "entry.js"), path.join(dir, "edge.js"));
  const entry = `
    import edge, { Gate, Relay as Silent } from "./edge.js";
    export { Gate };
    export default edge;
    export class Relay extends Silent {
      changed(...of) {
        console.log(${JSON.stringify(PARKED)});
        return super.changed(...of);
      }
    }`;
  await writeFile(path.join(dir, "entry.js"), entry);
  return dir;
}

/** @param {string} dir */
async function contents(dir) {
  const files = await readdir(dir, { recursive: true, withFileTypes: true });
  const read = files.filter((file) => file.isFile()).map((file) => readFile(path.join(file.parentPath, file.name), "latin1").catch(() => ""));
  return (await Promise.all(read)).join("\n");
}

test("a key's object that is lost and found keeps the answer all the same", async () => {
  const scratch = await mkdtemp(path.join(tmpdir(), "tollgate-idempotency-"));
  const bundle = await wrap(new URL("faulty/worker.js", import.meta.url).pathname, path.join(scratch, "bundle"));
  const faulty = await open({ bundle, tenants: TENANTS });
  try {
    const key = await faulty.key();
    for (const stream of [false, true]) {
      const headers = fresh();
      const body = ask(`Lost and found ${stream}`, { stream }, "output-tokens=30");
      const first = await faulty.post(key, body, { headers });
      const text = await first.text();
      assert.equal(first.status, 200, text);
      const again = await faulty.post(key, body, { headers });
      assert.deepEqual([await again.text(), again.headers.get("x-tollgate-replayed")], [text, "true"]);
    }
    assert.equal((await faulty.stats()).granted, 2);
  } finally {
    await faulty.close();
    await rm(scratch, { recursive: true, force: true });
  }
});
