// A provider that counts twice what was estimated: the Gate learns it from the usage,
// tells it to browsers, and reserves by it; and so does the guard that is told it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { guard, init, load } from "../../wasm-client/test/source.mjs";
import { ANSWER, puppet } from "./puppet.mjs";
import { ask, MODEL, open, until } from "./world.mjs";

const TEXT = "Whoever stands before the gate is told how long to wait. ".repeat(40);
const MAX_TOKENS = 64;

/** @type {import("./world.mjs").World} */
let world;
/** @type {import("./puppet.mjs").Puppet} */
let provider;
/** @type {string} */
let key;
/** What one request is estimated at. */
let estimate = 0;
/** A minute's input: of two such and a fifth. */
let itpm = 0;
before(async () => {
  await init();
  ({ estimate } = (await load(MODEL)).measure(ask(TEXT)));
  itpm = Math.floor(2.2 * estimate);
  provider = await puppet();
  world = await open({ provider: provider.url, tenants: { acme: { budgets: [{ window: "day", tokens: 1_000_000_000 }] }, metered: { limits: { itpm } } } });
  key = await world.key();
});
after(async () => {
  await world?.close();
  await provider?.close();
});

/** What `/v1/limits` tells that the Gate knew no earlier than now. */
async function limits() {
  const since = Date.now();
  return until(async () => {
    const told = await world.get(key, "/v1/limits");
    return told.at_ms >= since && told;
  });
}

/** What the caller's budget holds for requests that run. */
async function held() {
  return (await limits()).limits.find((/** @type {any} */ limit) => limit.kind === "tokens_day").held ?? 0;
}

/** What was learned, once all that ran is settled. */
async function learned() {
  await until(async () => (await world.admin("GET", "/admin/config")).gate.open === 0);
  return (await limits()).models[MODEL].calibration;
}

/**
 * One request, which the provider counts as so many tokens.
 *
 * @param {number} input
 * @param {() => Promise<unknown>} [meanwhile]
 * @param {object} [more]
 */
async function counted(input, meanwhile = async () => {}, more = {}) {
  const answer = world.post(key, ask(TEXT, { max_tokens: MAX_TOKENS, ...more }));
  const exchange = await provider.next();
  const seen = await meanwhile();
  exchange.head(200, { "content-type": "application/json" });
  await exchange.write(JSON.stringify({ ...ANSWER, usage: { ...ANSWER.usage, input_tokens: input } }));
  exchange.end();
  const response = await answer;
  assert.equal(response.status, 200, await response.text());
  return seen;
}

/** The input that the Gate takes one such request for. */
async function taken() {
  await learned();
  return Number(await counted(1_000, () => until(held))) - MAX_TOKENS;
}

/**
 * How many such requests a guard of another tenant lets go of a minute's limit, which it
 * is told by the gate and no other request ever reaches: by its own account of them alone.
 *
 * @returns {Promise<{went: number, left: number, calibration: import("../../wasm-client/types/index.js").Calibration | undefined}>}
 */
async function guarded() {
  let went = 0;
  /** @type {import("../../wasm-client/types/index.js").LimitsSnapshot | undefined} */
  let snapshot;
  /** @type {import("../../wasm-client/types/index.js").Refusal | undefined} */
  let refusal;
  const { promise: answer, resolve } = Promise.withResolvers();
  const send = async (/** @type {RequestInfo | URL} */ to, /** @type {RequestInit} */ init) => {
    if (String(to).endsWith("/v1/limits")) return fetch(to, init);
    went++;
    return answer.then(() => new Response("{}"));
  };
  const now = Date.now();
  const through = guard({
    limits: `${world.gateway.url}/v1/limits`,
    key: await world.key("metered"),
    maxWait: 0,
    now: () => now,
    fetch: /** @type {typeof fetch} */ (send),
    onSnapshot: (told) => (snapshot = told),
    onRefuse: (refused) => (refusal = refused),
  });
  const post = () => through(`${world.gateway.url}/v1/messages`, { method: "POST", body: JSON.stringify(ask(TEXT)) });
  // One more than go is refused at once; the others are answered when that is known.
  const answers = Array.from({ length: 3 }, post);
  await until(async () => refusal && went);
  resolve(undefined);
  await Promise.all(answers);
  through.close();
  assert.equal(refusal?.limit?.kind, "input_tokens");
  return { went, left: refusal.limit.level, calibration: snapshot?.models[MODEL].calibration };
}

test("what the provider counts is learned, told and reserved by", async () => {
  assert.deepEqual(await guarded(), { went: 2, left: itpm - 2 * estimate, calibration: undefined });
  assert.equal(await taken(), estimate, "as the package estimates it");
  const before = await learned();
  assert.ok(before);
  // Tools that the provider runs bring input of their own.
  const search = { tools: [{ type: "web_search_20250305", name: "web_search" }] };
  for (let n = 0; n < 5; n++) await counted(20 * estimate, undefined, search);
  assert.deepEqual(await learned(), before, "nothing is learned of what the provider adds to");
  const told = await until(async () => {
    await counted(2 * estimate);
    const { weights } = (await world.get(key, "/v1/limits")).models[MODEL].calibration;
    return weights[0] > 1_900;
  }).then(learned);
  const again = await taken();
  assert.ok(again > 1.85 * estimate && again < 2.3 * estimate, `${again} of ${estimate}`);
  // In a browser the same numbers make the same of it.
  const measured = (await load(MODEL, { calibration: told })).measure(ask(TEXT)).estimate;
  assert.ok(measured > 1.85 * estimate && measured < 2.1 * estimate, `${measured} of ${estimate}`);
  const newest = await learned();
  const corrected = (await load(MODEL, { calibration: newest })).measure(ask(TEXT)).estimate;
  const seen = await until(async () => {
    const seen = await guarded();
    // What the gate told a moment before is another's no longer.
    return isDeepStrictEqual(seen.calibration, newest) ? seen : null;
  });
  assert.deepEqual([seen.went, seen.left], [1, itpm - corrected]);
});
