// Atomic delivery: an answer is handed over whole or not at all, whatever breaks,
// and each attempt is charged.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ANSWER, puppet, SSE } from "./puppet.mjs";
import { ask, events, MODEL, open, until } from "./world.mjs";

const ATOMIC = { "x-tollgate-delivery": "atomic" };
/** A model whose provider must be quick. */
const QUICK = "claude-haiku-5-5";
/** One whose answers may be cut, and that is asked once. */
const LENIENT = "claude-opus-5-5";
const vars = {
  TOLLGATE_ROUTES: {
    [QUICK]: { timeouts: { first_byte_s: 5, between_bytes_s: 1, total_s: 60 } },
    [LENIENT]: { atomic: { attempts: 1, allow_cut: true } },
  },
};
const REQUESTS = 1_000;
const TOKENS = 10_000_000;
const TENANTS = {
  acme: { budgets: [{ window: "day", requests: REQUESTS, tokens: TOKENS }] },
  once: { budgets: [{ window: "day", requests: 1 }] },
};

describe("before an honest provider", () => {
  /** @type {import("./world.mjs").World} */
  let world;
  /** @type {string} */
  let key;

  before(async () => {
    world = await open({ vars, tenants: TENANTS });
    key = await world.key();
  });
  after(() => world?.close());
  beforeEach(() => world.upstream.reset());

  for (const { what, model = MODEL, streams = [false, true] } of [
    { what: "cut" },
    { what: "cut-mid-event", streams: [true] },
    { what: "end-early" },
    { what: "error-mid-stream", streams: [true] },
    { what: "stall", model: QUICK },
    { what: "outage" },
  ]) {
    for (const stream of streams) {
      test(`${what} in ${stream ? "a stream" : "a whole answer"} is asked again, and both attempts are charged`, async () => {
        const before = await world.recorded(key);
        await world.upstream.faults([{ what, after: 3, next: 1 }]);
        const response = await world.post(key, ask("Hello", { model, stream }, "output-tokens=40"), { headers: ATOMIC });
        const text = await response.text();
        assert.equal(response.status, 200, text);
        assert.equal(response.headers.get("x-tollgate-attempts"), "2");
        assert.ok(Number(response.headers.get("x-tollgate-cost-microusd")) > 0, "of streams, too: the head goes at the end");
        if (stream) {
          const types = events(text).map(({ event }) => event);
          assert.deepEqual([types[0], types.at(-1)], ["message_start", "message_stop"]);
          assert.equal(types.filter((type) => type === "message_start").length, 1, "nothing of the broken one");
          assert.ok(!types.includes("error"), text);
        } else {
          assert.equal(JSON.parse(text).usage.output_tokens, 40);
        }
        assert.equal((await world.upstream.requests()).length, 2);
        const { input_tokens, output_tokens } = await world.stats();
        const after = await until(async () => {
          const now = await world.recorded(key);
          return now.requests - before.requests === 2 ? now : undefined;
        });
        const charged = after.tokens - before.tokens;
        assert.ok(charged >= input_tokens + output_tokens, `charged ${charged} of ${input_tokens} + ${output_tokens}`);
      });
    }
  }

  for (const stream of [false, true]) {
    test(`a ${stream ? "stream" : "whole answer"} that never comes whole is refused after three attempts, and an SDK does not multiply them`, async () => {
      const patient = new Anthropic({ baseURL: world.gateway.url, apiKey: key, maxRetries: 2, defaultHeaders: ATOMIC });
      await assert.rejects(
        async () => patient.messages.create({ ...ask("Hello", {}, "fault=cut;after=2"), stream }),
        (error) =>
          error instanceof Anthropic.InternalServerError &&
          error.status === 502 &&
          /tollgate_answer_incomplete/.test(JSON.stringify(error.error)) &&
          /3 attempts/.test(error.message),
      );
      assert.equal((await world.upstream.requests()).length, 3);
    });

    test(`a ${stream ? "stream" : "whole answer"} that max_tokens cut is refused at once, unless its route allows it`, async () => {
      const cut = (/** @type {string} */ model) =>
        world.post(key, ask("Hello", { model, stream, max_tokens: 10 }, "output-tokens=50"), { headers: ATOMIC });
      const refused = await cut(MODEL);
      const { error } = await refused.json();
      assert.deepEqual([refused.status, error.details.error_code], [422, "tollgate_answer_cut"]);
      assert.match(error.message, /^max_tokens:/);
      assert.equal(refused.headers.get("x-should-retry"), "false");
      assert.equal((await world.upstream.requests()).length, 1, "the same request would be cut again");
      const allowed = await cut(LENIENT);
      const text = await allowed.text();
      assert.equal(allowed.status, 200, text);
      assert.match(text, /"stop_reason":"max_tokens"/);
    });
  }

  test("a route may ask once only", async () => {
    await world.upstream.faults([{ what: "cut", next: 1 }]);
    const response = await world.post(key, ask("Hello", { model: LENIENT }), { headers: ATOMIC });
    assert.equal((await response.json()).error.details.error_code, "tollgate_answer_incomplete");
    assert.equal((await world.upstream.requests()).length, 1);
  });

  test("an attempt that the budget has no room for is refused, and the refusal tells of the broken one", async () => {
    const poor = await world.key("once");
    await world.upstream.faults([{ what: "cut", next: 1 }]);
    const response = await world.post(poor, ask("Hello"), { headers: ATOMIC });
    const { error } = await response.json();
    assert.deepEqual([response.status, error.details.error_code], [429, "tollgate_budget_spent"]);
    assert.match(error.message, /Attempts that broke before, and are accounted for: 1\./);
    assert.equal((await world.upstream.requests()).length, 1);
  });

  test("the SDK's stream helper gets a whole message, though the first attempt broke", async () => {
    const sdk = await world.sdk("acme", { defaultHeaders: ATOMIC });
    await world.upstream.faults([{ what: "cut", after: 5, next: 1 }]);
    const message = await sdk.messages.stream(ask("Hello", {}, "output-tokens=40")).finalMessage();
    assert.equal(message.usage.output_tokens, 40);
    assert.equal((await world.upstream.requests()).length, 2);
  });

  test("the provider's own errors pass as they are, and are tried once", async () => {
    await world.upstream.faults([{ what: "529", next: 1 }]);
    const response = await world.post(key, ask("Hello"), { headers: ATOMIC });
    assert.deepEqual([response.status, (await response.json()).error.type], [529, "overloaded_error"]);
    assert.equal((await world.upstream.requests()).length, 1);
  });
});

describe("before a puppet", () => {
  /** @type {import("./puppet.mjs").Puppet} */
  let provider;
  /** @type {import("./world.mjs").World} */
  let world;
  /** @type {string} */
  let key;

  before(async () => {
    provider = await puppet();
    world = await open({ provider: provider.url });
    key = await world.key();
  });
  after(async () => {
    await world?.close();
    await provider?.close();
  });

  test("a stream is handed over byte for byte", async () => {
    const whole = [": a comment\n\n", SSE.start, SSE.open, SSE.text("naïve 🦀"), 'event: new\ndata: {"π":[1]}\n\n', SSE.close, SSE.delta(9), SSE.stop];
    const answer = world.post(key, ask("Hello", { stream: true }), { headers: ATOMIC });
    const exchange = await provider.next();
    exchange.head(200, { "content-type": "text/event-stream; charset=utf-8" });
    for (const part of whole) await exchange.write(part);
    exchange.end();
    const response = await answer;
    assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    assert.equal(await response.text(), whole.join(""));
  });

  test("a client that leaves stops the provider, and nothing is asked again", async () => {
    const leave = world.leaver(key, ask("Hello", { stream: true }), ATOMIC);
    const exchange = await provider.next();
    exchange.head(200, { "content-type": "text/event-stream" });
    await exchange.write(SSE.start + SSE.open);
    await leave();
    await exchange.left;
    const other = world.post(key, ask("Another"));
    const next = await provider.next();
    assert.match(next.body.toString(), /Another/);
    next.head(200, { "content-type": "application/json" });
    await next.write(JSON.stringify(ANSWER));
    next.end();
    const response = await other;
    assert.equal(response.status, 200, await response.text());
  });

  test("an answer larger than what may be held is stopped, and refused", async () => {
    const answer = world.post(key, ask("Hello", { stream: true }), { headers: ATOMIC });
    const exchange = await provider.next();
    exchange.head(200, { "content-type": "text/event-stream" });
    let left = false;
    void exchange.left.then(() => (left = true));
    const piece = SSE.text("x".repeat(60_000));
    for (let sent = 0; sent < 18 * 1024 * 1024 && !left; sent += piece.length) await exchange.write(piece).catch(() => {});
    await exchange.left;
    const response = await answer;
    const { error } = await response.json();
    assert.deepEqual([response.status, error.details.error_code], [502, "tollgate_answer_too_large"]);
    assert.equal(response.headers.get("x-should-retry"), "false");
  });

  test("what broke is not held any longer", async () => {
    // With the body, one attempt has room, and two have none.
    const body = ask("x".repeat(20 * 1024 * 1024), { stream: true });
    const piece = SSE.text("x".repeat(60_000));
    const answer = world.post(key, body, { headers: ATOMIC });
    for (const end of ["", SSE.close + SSE.delta(9) + SSE.stop]) {
      const exchange = await provider.next();
      exchange.head(200, { "content-type": "text/event-stream" });
      await exchange.write(SSE.start + SSE.open);
      for (let sent = 0; sent < 15 * 1000 * 1000; sent += piece.length) await exchange.write(piece).catch(() => {});
      await exchange.write(end).catch(() => {});
      exchange.end();
    }
    const response = await answer;
    const text = await response.text();
    assert.equal(response.status, 200, text.slice(0, 500));
    assert.equal(response.headers.get("x-tollgate-attempts"), "2");
  });

  test("answers that are held together are bounded together, and leave their room to the next", async () => {
    /** 13 MB: three of them fit, four do not. */
    const pieces = Array(220).fill(SSE.text("x".repeat(60_000)));
    const whole = [SSE.start, SSE.open, ...pieces, SSE.close, SSE.delta(9), SSE.stop];
    const size = whole.join("").length;
    const ask4 = [1, 2, 3, 4].map(() => world.post(key, ask("Hello", { stream: true }), { headers: ATOMIC }));
    const exchanges = [];
    for (const _ of ask4) exchanges.push(await provider.next());
    // None ends before all of them came as far as they may.
    await Promise.all(
      exchanges.map(async (exchange) => {
        exchange.head(200, { "content-type": "text/event-stream" });
        for (const part of whole.slice(0, -1)) await exchange.write(part).catch(() => {});
      }),
    );
    for (const exchange of exchanges) {
      await exchange.write(SSE.stop).catch(() => {});
      exchange.end();
    }
    const outcomes = [];
    for (const answer of ask4) {
      const response = await answer;
      const text = await response.text();
      outcomes.push(response.status === 200 ? text.length === size : JSON.parse(text).error.details.error_code);
    }
    assert.ok(outcomes.includes("tollgate_answer_too_large"), String(outcomes));
    assert.ok(outcomes.every((outcome) => outcome === true || outcome === "tollgate_answer_too_large"), String(outcomes));
    for (let n = 0; n < 4; n++) {
      const answer = world.post(key, ask("Hello", { stream: true }), { headers: ATOMIC });
      const exchange = await provider.next();
      exchange.head(200, { "content-type": "text/event-stream" });
      for (const part of whole) await exchange.write(part);
      exchange.end();
      const response = await answer;
      const { length } = await response.text();
      assert.deepEqual([response.status, length], [200, size], "one after the other they fit");
    }
  });
});
