// Where the guard lets through what the gate refuses: for what no snapshot can tell,
// and for nothing else. Each such reason is forced once; then 1,000 mixed prompts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ask, open } from "../../tests/e2e/world.mjs";
import { guard, init, load } from "./source.mjs";
import { REASONS, reasonOf, witness } from "./witness.mjs";

const MODEL = "claude-sonnet-5-5";
/** An account whose output is soon promised to what runs. */
const SCARCE = ["--instant", "--rpm", "1000000", "--itpm", "1000000000", "--otpm", "1000"];
const TENANTS = {
  pair: { limits: { rpm: 2 } },
  narrow: { limits: { itpm: 2_000 } },
  mixed: { limits: { rpm: 300, itpm: 40_000 }, budgets: [{ window: "day", tokens: 400_000 }] },
};

/** @type {import("../../tests/e2e/world.mjs").World} */
let world;
/** @type {import("../types/index.js").ClaudeCounter} */
let claude;

before(async () => {
  await init();
  claude = await load(MODEL);
  world = await open({ tenants: TENANTS });
});
after(() => world?.close());

/**
 * A client that does not wait, and the witness of its guard.
 *
 * @param {string} tenant
 * @param {import("../../tests/e2e/world.mjs").World} [of]
 */
async function watched(tenant, of = world) {
  const key = await of.key(tenant);
  const watcher = witness();
  const fetch = guard({ limits: `${of.gateway.url}/v1/limits`, key, maxWait: 0, fetch: watcher.fetch });
  const sdk = new Anthropic({ baseURL: of.gateway.url, apiKey: key, maxRetries: 0, fetch });
  /** What came of it: answered, refused here, or refused by the gate, and why. */
  const send = async (/** @type {any} */ body) => {
    try {
      const { usage } = body.stream ? await sdk.messages.stream(body).finalMessage() : await sdk.messages.create(body);
      watcher.answered(body, usage.input_tokens);
      return { answered: usage };
    } catch (error) {
      const { headers, error: told, status } = /** @type {any} */ (error);
      assert.ok(status >= 400, String(error));
      if (!headers.get("x-tollgate-local")) return { told, reason: watcher.reasonOf(body, error, claude.measure(body)) };
      assert.ok(!watcher.wasSent(body), "refused here, and sent");
      return { local: String(told.error.details.error_code) };
    }
  };
  return { ...watcher, send, fetch };
}

/** Somebody else of the tenant, without a guard: no snapshot knows of these. @param {string} tenant */
async function neighbour(tenant, of = world) {
  const key = await of.key(tenant);
  return async (/** @type {object} */ body) => {
    const response = await of.post(key, body, { headers: { "x-tollgate-max-wait": "0" } });
    await response.text();
    return response.ok;
  };
}

test("forced: its estimate is above what is left, its lower bound below", async () => {
  const { send } = await watched("narrow");
  const first = await send(ask("one ".repeat(800)));
  const left = 2_000 - (first.answered?.input_tokens ?? assert.fail(JSON.stringify(first)));
  // The lower bound is 0.4 of the estimate: this is 0.6 of what is left, and the estimate 1.5.
  let words = 1;
  const estimateOf = (/** @type {any} */ body) => claude.measure(body).estimate;
  while (estimateOf(ask("two ".repeat(words))) < left * 1.5) words += 10;
  const second = await send(ask("two ".repeat(words)));
  assert.equal(second.reason, REASONS.estimate, JSON.stringify(second));
});

test("forced: somebody else took it since", async () => {
  const [{ send }, takes] = [await watched("pair"), await neighbour("pair")];
  assert.ok((await send(ask("One"))).answered);
  assert.ok(await takes(ask("Two")));
  const third = await send(ask("Three"));
  assert.equal(third.reason, REASONS.taken, JSON.stringify(third));
});

test("forced: the account's output is promised to what runs, which no snapshot tells", async () => {
  const scarce = await open({ flags: SCARCE, tenants: { any: {} } });
  try {
    const { send } = await watched("any", scarce);
    // Its limits are learned from its first answer.
    assert.ok((await send(ask("One", { max_tokens: 50 }))).answered);
    const key = await scarce.key("any");
    const runs = await scarce.post(key, ask("A long one", { stream: true, max_tokens: 900 }, "output-tokens=900;tokens-per-s=20"));
    const second = await send(ask("Two", { max_tokens: 900 }));
    await runs.body?.cancel();
    assert.equal(second.reason, REASONS.account, JSON.stringify(second));
  } finally {
    await scarce.close();
  }
});

/** A minute's requests, 60, of which so many were left at 10,000 ms, as told to who asked then. @param {number} level */
const told = (level) => ({ askedMs: 10_000, heardMs: 10_010, told: { at_ms: 10_000, limits: [{ kind: "requests", level, capacity: 60, per_minute: 60 }], models: { m: { available: { requests: 0, input_tokens: 0 } } } } });
const took = (/** @type {number} */ sentMs) => ({ sentMs, endMs: sentMs + 5, input: 1 });

for (const [name, level, granted, code, reason] of /** @type {const} */ ([
  ["nothing is taken off that it saw", 1, [], "tollgate_tenant_limit", REASONS.taken],
  ["two were taken off, and the third had its refill only if the levels were old", 2, [10_100, 10_200], "tollgate_tenant_limit", REASONS.age],
  ["three were taken off, more than any refill gives back", 2, [10_100, 10_150, 10_200], "tollgate_tenant_limit", undefined],
  ["nothing was left", -1, [], "tollgate_tenant_limit", undefined],
  ["the account had nothing left", 1, [], "tollgate_provider_limit", undefined],
]))
  test(`the judge: ${name}: ${reason ?? "the guard should have known"}`, () => {
    const seen = { snapshots: [told(level)], granted: granted.map(took) };
    assert.equal(reasonOf(seen, { code, ratelimit: '"tenant-requests";r=0;t=1', measure: { model: "m", lower: 5 }, sentMs: 10_300 }), reason);
  });

/** A PNG's first bytes: 280 by 280 pixels. */
const PICTURE = { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgoAAAANSUhEUgAAARgAAAEYCAIAAAA=" } };
const TOOL = { name: "weather", description: "The weather of a place", input_schema: { type: "object", properties: { place: { type: "string" } } } };

/** Prompts as apps send them, by turns; of each kind they have many lengths. @type {readonly ((i: number, n: number) => object)[]} */
const MIX = [
  (i, n) => ({ messages: [{ role: "user", content: `${i} `.repeat(n) }] }),
  (i, n) => ({ messages: [{ role: "user", content: `${i} 漢字かな交じり文、Привет мир. `.repeat(1 + (n >> 3)) }], stream: true }),
  (i, n) => ({ system: "You are brief and kind. ".repeat(1 + (n % 9)), messages: [{ role: "user", content: `fn f${i}() { admit(${n}) }\n`.repeat(1 + (n >> 4)) }] }),
  (i, n) => ({ tools: [TOOL], tool_choice: { type: "auto" }, messages: [{ role: "user", content: `Weather ${i}? `.repeat(1 + (n >> 2)) }] }),
  (i) => ({ messages: [{ role: "user", content: [PICTURE, { type: "text", text: `What is on it? ${i}` }] }], stream: true }),
  (i, n) => ({ messages: [{ role: "user", content: `One ${i}` }, { role: "assistant", content: "Two ".repeat(n >> 2) + "." }, { role: "user", content: [{ type: "text", text: "Three" }, { type: "text", text: `{"a": [${n}]} `.repeat(n >> 4) + "?" }] }] }),
];

test("1,000 mixed prompts: none that was refused here arrived, and the gate refuses the rest for what no snapshot told", async () => {
  await world.upstream.reset();
  const { send, fetch, seen } = await watched("mixed");
  const takes = await neighbour("mixed");
  const local = /** @type {Record<string, number>} */ ({});
  const remote = /** @type {Record<string, number>} */ ({});
  let answered = 0;
  let others = 0;
  const one = async (/** @type {number} */ i) => {
    // Now and then one that no window holds.
    const body = i % 250 === 249 ? { model: "claude-haiku-4-5", ...MIX[0](i, 600_000) } : MIX[i % MIX.length](i, 1 + ((i * 7919) % 400));
    const became = await send(ask("", { max_tokens: 16 + (i % 50), ...body }, "output-tokens=8"));
    if (became.answered) answered += 1;
    else if (became.local) local[became.local] = (local[became.local] ?? 0) + 1;
    else {
      assert.ok(became.reason, `prompt ${i} was refused by the gate (${became.told.error.message}), which the snapshot told: ${JSON.stringify(seen.snapshots.at(-1)?.told.limits)}`);
      remote[became.reason] = (remote[became.reason] ?? 0) + 1;
    }
  };
  // The account's own limits are learned from its first answer: one goes alone.
  await one(0);
  const queue = Array.from({ length: 999 }, (_, i) => i + 1);
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let i = queue.shift(); i !== undefined; i = queue.shift()) {
      await one(i);
      if (i % 40 === 0 && (await takes(ask(`Neighbour ${i}`)))) others += 1;
    }
  }));
  fetch.close();
  const sum = (/** @type {Record<string, number>} */ counts) => Object.values(counts).reduce((a, b) => a + b, 0);
  console.log(`# 1,000 prompts: ${answered} answered; ${sum(local)} refused here ${JSON.stringify(local)}; ${sum(remote)} let through and refused by the gate ${JSON.stringify(remote)}`);
  const { answers } = await world.upstream.stats();
  const arrived = Object.values(answers).reduce((/** @type {number} */ all, count) => all + Number(count), 0);
  assert.equal(arrived, answered + others, "nothing else arrived");
  assert.equal(answered + sum(local) + sum(remote), 1_000);
  assert.ok(sum(local) > 500, "the guard spared the gate most of them");
  assert.ok(answered > 50, "and let go what may go");
  assert.equal(local.tollgate_context_window, 4);
});
