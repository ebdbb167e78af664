// A provider that counts twice what was estimated: the Gate learns it from the usage,
// tells it to browsers, and reserves by it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { init, load } from "../../wasm-client/test/source.mjs";
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
before(async () => {
  provider = await puppet();
  world = await open({ provider: provider.url, tenants: { acme: { budgets: [{ window: "day", tokens: 1_000_000_000 }] } } });
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

test("what the provider counts is learned, told and reserved by", async () => {
  await init();
  const estimate = await taken();
  assert.equal(estimate, (await load(MODEL)).measure(ask(TEXT)).estimate, "as the package estimates it");
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
});
