// The guard before the real gate and the emulated provider, with the official SDK:
// what it refuses never arrives, what it lets through is the gate's to decide.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ask, open, until } from "../../tests/e2e/world.mjs";
import { ANSWER, puppet } from "../../tests/e2e/puppet.mjs";
import { bundled, project, workerd } from "./pack.mjs";
import { guard, init } from "./source.mjs";

/** @typedef {import("../types/index.js").GuardOptions} GuardOptions */

/** @type {import("../../tests/e2e/world.mjs").World} */
let world;

const DAY = (/** @type {object} */ more) => ({ budgets: [{ window: "day", ...more }] });
const TENANTS = {
  free: {},
  slow: { limits: { rpm: 1 } },
  paced: { limits: { rpm: 600 } },
  once: DAY({ requests: 1 }),
  hosted: DAY({ requests: 2 }),
  poor: DAY({ usd: "0.01" }),
  brief: DAY({ tokens: 5_000 }),
};

before(async () => {
  await init();
  world = await open({ tenants: TENANTS });
});
after(() => world?.close());
beforeEach(() => world.upstream.reset());

/** Requests that reached the provider since the last reset. */
async function arrived() {
  const { answers } = await world.upstream.stats();
  return Object.values(answers).reduce((/** @type {number} */ sum, count) => sum + Number(count), 0);
}

/**
 * A client of a new key whose requests pass a guard.
 *
 * @param {string} tenant
 * @param {Partial<GuardOptions>} [options]
 */
async function guarded(tenant, options = {}) {
  const key = await world.key(tenant);
  /** @type {import("../types/index.js").Refusal[]} */
  const refused = [];
  /** @type {string[]} */
  const unchecked = [];
  const fetch = guard({
    limits: `${world.gateway.url}/v1/limits`,
    key,
    onRefuse: (refusal) => refused.push(refusal),
    onUnchecked: ({ reason }) => unchecked.push(reason),
    ...options,
  });
  const sdk = new Anthropic({ baseURL: world.gateway.url, apiKey: key, maxRetries: 0, fetch });
  return { sdk, fetch, key, refused, unchecked };
}

/** What a call threw. @param {Promise<unknown>} call @returns {Promise<any>} */
const thrown = (call) => call.then(() => assert.fail("it was answered"), (error) => error);

test("what may go, goes: the answer is the provider's, whole and as a stream", async () => {
  const { sdk, unchecked, refused } = await guarded("free");
  const plain = await new Anthropic({ baseURL: world.gateway.url, apiKey: await world.key("free") }).messages.create(ask("Hello"));
  assert.deepEqual((await sdk.messages.create(ask("Hello"))).content, plain.content);
  const streamed = await sdk.messages.stream(ask("Hello", {}, "output-tokens=40")).finalMessage();
  assert.equal(streamed.usage.output_tokens, 40);
  const { response } = await sdk.messages.create(ask("Hello")).withResponse();
  assert.match(response.headers.get("x-tollgate-request-id") ?? "", /^tgr_/);
  assert.equal(response.headers.get("x-tollgate-local"), null);
  assert.equal(response.url, `${world.gateway.url}/v1/messages`);
  assert.deepEqual([unchecked, refused], [[], []]);
});

test("over the rate limit, and not willing to wait: a local 429 in the provider's JSON, and nothing arrives", async () => {
  const { sdk, refused } = await guarded("slow", { maxWait: 0 });
  await sdk.messages.create(ask("One"));
  assert.equal(await arrived(), 1);
  const error = await thrown(sdk.messages.create(ask("Two")));
  assert.ok(error instanceof Anthropic.RateLimitError, String(error));
  assert.equal(error.headers.get("x-tollgate-local"), "1");
  assert.equal(error.headers.get("x-should-retry"), "true");
  const ms = Number(error.headers.get("retry-after-ms"));
  assert.ok(ms > 30_000 && ms <= 60_000, `${ms}`);
  assert.equal(Number(error.headers.get("retry-after")), Math.ceil(ms / 1000));
  assert.deepEqual(/** @type {any} */ (error.error).error.details, { error_code: "tollgate_tenant_limit" });
  assert.equal(/** @type {any} */ (error.error).request_id, error.headers.get("request-id"));
  assert.equal(await arrived(), 1);
  assert.deepEqual(refused.map(({ code, status, limit }) => [code, status, limit?.kind]), [["tollgate_tenant_limit", 429, "requests"]]);
});

test("in a Worker, by the gate's own snapshot: what is over the budget is refused there, and nothing arrives", async () => {
  const key = await world.key("hosted");
  const app = await project();
  const script = `import { guard } from "tollgate";
    const gate = ${JSON.stringify(world.gateway.url)};
    const refused = [];
    const snapshots = [];
    const guarded = guard({ limits: gate + "/v1/limits", key: ${JSON.stringify(key)}, onRefuse: ({ code }) => refused.push(code), onSnapshot: ({ limits }) => snapshots.push(limits.find(({ kind }) => kind === "requests_day")?.capacity) });
    export default {
      async fetch() {
        const response = await guarded(gate + "/v1/messages", { method: "POST", headers: { "x-api-key": ${JSON.stringify(key)}, "anthropic-version": "2023-06-01", "content-type": "application/json" }, body: ${JSON.stringify(JSON.stringify(ask("Hello")))} });
        const { type } = await response.json();
        return Response.json({ status: response.status, type, local: response.headers.get("x-tollgate-local"), refused, capacity: snapshots.at(-1) });
      },
    };`;
  const miniflare = await workerd(await bundled(app, script));
  try {
    const call = async () => (await miniflare.dispatchFetch("http://app/")).json();
    const sent = { status: 200, type: "message", local: null, refused: [], capacity: 2 };
    assert.deepEqual([await call(), await call()], [sent, sent]);
    assert.deepEqual(await call(), { status: 429, type: "error", local: "1", refused: ["tollgate_budget_spent"], capacity: 2 });
    assert.equal(await arrived(), 2);
  } finally {
    await miniflare.dispose();
    await app.remove();
  }
});

test("willing to wait: it goes, and waits its turn in the gate", async () => {
  const { sdk, refused } = await guarded("paced");
  await Promise.all(Array.from({ length: 5 }, (_, i) => sdk.messages.create(ask(`Number ${i}`))));
  assert.deepEqual([await arrived(), refused.length], [5, 0]);
});

test("longer than the model's window for sure: a local 413, whatever the limits", async () => {
  const { sdk } = await guarded("free");
  // 200,000 tokens are its window: at 0.4 of the estimate, 600,000 words are over it.
  const long = "word ".repeat(600_000);
  const error = await thrown(sdk.messages.create(ask(long, { model: "claude-haiku-4-5" })));
  assert.equal(error.status, 413);
  assert.equal(error.headers.get("x-tollgate-local"), "1");
  assert.equal(error.headers.get("x-should-retry"), "false");
  assert.match(error.message, /at least \d+ tokens, and claude-haiku-4-5 takes 200000 at most/);
  assert.equal(await arrived(), 0);
});

for (const [tenant, second, code] of /** @type {const} */ ([
  ["once", {}, "tollgate_budget_spent"],
  ["poor", { max_tokens: 4096 }, "tollgate_larger_than_limit"],
  ["brief", { max_tokens: 5_001 }, "tollgate_larger_than_limit"],
]))
  test(`a day's budget (${tenant}): refused here with the gate's own code, and nothing arrives`, async () => {
    const { sdk, key } = await guarded(tenant);
    if (tenant === "once") await sdk.messages.create(ask("One"));
    const seen = await arrived();
    const error = await thrown(sdk.messages.create(ask("Two", second)));
    assert.equal(error.headers.get("x-tollgate-local"), "1", String(error));
    assert.equal(/** @type {any} */ (error.error).error.details.error_code, code);
    assert.equal(await arrived(), seen);
    // The gate says the same.
    const direct = await world.post(key, ask("Two", second));
    assert.equal((await direct.json()).error.details.error_code, code);
    assert.equal(direct.status, error.status);
  });

test("the SDK's own retry comes back at the time that it was told here, and arrives", async () => {
  const provider = await puppet();
  try {
    /** @type {(what: string) => void} */
    let refused = () => {};
    const refusal = new Promise((resolve) => (refused = resolve));
    const fetch = guard({ limits: { concurrent: 1 }, onRefuse: ({ limit }) => refused(limit?.kind ?? "") });
    const sdk = new Anthropic({ baseURL: provider.url, apiKey: "k", maxRetries: 1, fetch });
    const answer = async (/** @type {import("../../tests/e2e/puppet.mjs").Exchange} */ exchange) => {
      exchange.head(200, { "content-type": "application/json" });
      await exchange.write(JSON.stringify(ANSWER));
      exchange.end();
    };
    const one = sdk.messages.create(ask("One")).then((message) => message.id);
    const first = await provider.next();
    const two = sdk.messages.create(ask("Two")).then((message) => message.id);
    assert.equal(await refusal, "concurrent");
    await answer(first);
    assert.equal(await one, ANSWER.id);
    const second = await provider.next();
    assert.match(second.body.toString(), /"Two"/);
    await answer(second);
    assert.equal(await two, ANSWER.id);
  } finally {
    await provider.close();
  }
});

test("a refusal of the gate is remembered until its retry-after: the next one stays here", async () => {
  // A gate that says nothing in advance.
  const provider = await puppet();
  try {
    const fetch = guard({ limits: `${provider.url}/v1/limits`, key: "tg_sk_x", whenUnknown: "open" });
    const sdk = new Anthropic({ baseURL: provider.url, apiKey: "tg_sk_x", maxRetries: 0, fetch });
    const first = thrown(sdk.messages.create(ask("One"), { headers: { "x-tollgate-max-wait": "0" } }));
    const limits = await provider.next();
    assert.equal(limits.request.url, "/v1/limits");
    assert.equal(limits.request.headers["x-api-key"], "tg_sk_x");
    limits.head(200, { "content-type": "application/json" });
    await limits.write("<html>This is no gate</html>");
    limits.end();
    const exchange = await provider.next();
    exchange.head(429, { "retry-after": "20", "content-type": "application/json" });
    await exchange.write(JSON.stringify({ type: "error", error: { type: "rate_limit_error", message: "no" } }));
    exchange.end();
    assert.equal((await first).status, 429);
    const second = await thrown(sdk.messages.create(ask("Two, which is longer"), { headers: { "x-tollgate-max-wait": "0" } }));
    assert.equal(second.headers.get("x-tollgate-local"), "1");
    assert.equal(/** @type {any} */ (second.error).error.details.error_code, "tollgate_not_yet");
    assert.equal(Number(second.headers.get("retry-after")), 20);
  } finally {
    await provider.close();
  }
});

test("a publishable key's request is sent without headers that the gate refuses from it", async () => {
  const provider = await puppet();
  try {
    for (const [key, told] of [["tg_sk_x", "5"], ["tg_pk_x", undefined], ["tg_vt_x", undefined]]) {
      const fetch = guard({ limits: `${provider.url}/v1/limits`, key: String(key), maxWait: 5, whenUnknown: "open" });
      const sdk = new Anthropic({ baseURL: provider.url, apiKey: String(key), maxRetries: 0, fetch });
      const answer = sdk.messages.create(ask("One"));
      const limits = await provider.next();
      limits.head(503, {});
      limits.end();
      const exchange = await provider.next();
      assert.equal(exchange.request.headers["x-tollgate-max-wait"], told);
      exchange.head(200, { "content-type": "application/json" });
      await exchange.write(JSON.stringify(ANSWER));
      exchange.end();
      assert.equal((await answer).id, ANSWER.id);
      fetch.close();
    }
  } finally {
    await provider.close();
  }
});

test("no gate to be asked: open sends and says so, closed answers 503", async () => {
  const nobody = "http://127.0.0.1:9/v1/limits";
  const opened = await guarded("free", { limits: nobody });
  await opened.sdk.messages.create(ask("Hello"));
  assert.deepEqual(opened.unchecked, ["no_snapshot"]);
  const closed = await guarded("free", { limits: nobody, whenUnknown: "closed" });
  const error = await thrown(closed.sdk.messages.create(ask("Hello")));
  assert.deepEqual([error.status, error.headers.get("x-tollgate-local"), error.headers.get("retry-after")], [503, "1", "2"]);
  assert.equal(await arrived(), 1);
});

test("the key goes to its own gate and to no other address", async () => {
  const other = await puppet();
  try {
    const key = await world.key("free");
    const fetch = guard({ limits: `${other.url}/v1/limits` });
    const call = new Anthropic({ baseURL: world.gateway.url, apiKey: key, maxRetries: 0, fetch }).messages.create(ask("Hello"));
    const asked = await other.next();
    assert.equal(JSON.stringify(asked.request.headers).includes(key), false);
    // A redirect is not followed: it could lead a key elsewhere.
    asked.head(302, { location: `${world.gateway.url}/v1/limits` });
    asked.end();
    await call;
  } finally {
    await other.close();
  }
});

test("a call that is given up leaves at once, asks for nothing more and frees its place", async () => {
  const silent = await puppet();
  try {
    const fetch = guard({ limits: `${silent.url}/v1/limits`, key: "k" });
    const sdk = new Anthropic({ baseURL: silent.url, apiKey: "k", maxRetries: 0, fetch });
    const given = new AbortController();
    const call = thrown(sdk.messages.create(ask("Hello"), { signal: given.signal }));
    await silent.next();
    given.abort();
    assert.ok((await call) instanceof Anthropic.APIUserAbortError);
    assert.ok((await thrown(sdk.messages.create(ask("Hello"), { signal: given.signal }))) instanceof Anthropic.APIUserAbortError);
  } finally {
    await silent.close();
  }
});

test("a stream that is given up is cancelled upstream, and its bytes come one for one", async () => {
  const { fetch, key } = await guarded("free");
  const call = (/** @type {typeof globalThis.fetch} */ by, /** @type {object} */ body) =>
    by(`${world.gateway.url}/v1/messages`, {
      method: "POST",
      headers: { "x-api-key": key, "anthropic-version": "2026-10-21", "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const story = ask("A long story", { stream: true, max_tokens: 64 });
  const through = await (await call(fetch, story)).text();
  const past = await (await call(globalThis.fetch, story)).text();
  const stable = (/** @type {string} */ text) => text.replace(/msg_\w+/g, "ID");
  assert.equal(stable(through), stable(past));
  const response = await call(fetch, ask("An endless one", { stream: true, max_tokens: 20_000 }, "output-tokens=20000;tokens-per-s=50"));
  const reader = /** @type {ReadableStream} */ (response.body).getReader();
  await reader.read();
  await reader.cancel();
  await until(async () => (await world.stats()).closed_early === 1);
});

test("without a gate: limits in code, kept to what the provider reports", async () => {
  /** @type {string[]} */
  const codes = [];
  const fetch = guard({ limits: { rpm: 100, tokens_day: 600 }, onRefuse: ({ code }) => codes.push(code) });
  const sdk = new Anthropic({ baseURL: world.upstream.url, apiKey: "sk-ant-emulator", maxRetries: 0, fetch });
  const body = (/** @type {number} */ tokens) => ask("Hello", { max_tokens: 400 }, `output-tokens=${tokens}`);
  // Held at 400 and more while it runs, it leaves no room for a second one.
  const first = sdk.messages.stream(body(50));
  await new Promise((resolve) => first.once("streamEvent", resolve));
  const during = await thrown(sdk.messages.create(body(50)));
  assert.equal(during.headers.get("x-tollgate-local"), "1");
  await first.finalMessage();
  // It used some 65: another fits, and its settling leaves room again.
  await sdk.messages.create(body(50));
  assert.deepEqual([codes, await arrived()], [["tollgate_guard_limit"], 2]);
});
