// The simulator's scenarios (crates/simulator/scenarios), shortened, in real time
// and over HTTP: the official SDK, the bundle on workerd, an honest provider.
//
// They run side by side, each in a pool of its own, that is with a model class of
// its own. What is asserted is counted: who was refused by whom, and what was used
// of what the provider's bucket gave meanwhile, by the provider's own clock.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ask, open, until } from "./world.mjs";

/** Output tokens a minute of each pool: 400 a second. */
const OTPM = 24_000;
/** Of an answer on average: four a second are all that the limit allows. */
const TOKENS = 100;
const PER_S = OTPM / 60 / TOKENS;
const MAX_TOKENS = 200;
/** How long requests arrive, and from when on use is measured. */
const DEMAND_MS = 14_000;
const MEASURE_FROM_MS = 2_000;
/**
 * Of the output limit. The simulator holds 95 to 98 % of ten minutes; a dozen seconds have
 * ends, where answers are owed, and more of them where limits change or clients leave.
 */
const USED_PERMILLE = 850;
const USED_CHANGING_PERMILLE = 750;
/**
 * Attempts that the provider refuses though nobody else uses the account: none, but a machine
 * that holds one of the processes up for long makes the two clocks disagree.
 */
const REFUSED_MAX = 1;

const LIMITS = { rpm: 100_000, itpm: 100_000_000, otpm: OTPM };
const FLAGS = ["--rpm", "100000", "--itpm", "100000000", "--otpm", String(OTPM), "--ttft-ms", "150", "--tokens-per-s", "200"];
const OPTIONS = { flags: FLAGS, account: { limits: { "*": LIMITS } } };

/**
 * @typedef {object} Flow
 * @property {string} tenant
 * @property {number} perSecond
 * @property {number} [wait] how long its clients wait, s
 * @property {boolean} [leaves] three of ten go after the first words
 * @property {boolean} [whole] none streams: what broke within a stream, no SDK asks for again
 *
 * @typedef {object} Outcome
 * @property {Record<string, number>} errors how many clients saw something else than their answer, by tenant
 * @property {number} sent
 * @property {number} left
 * @property {number} refusedUpstream attempts that the provider refused
 * @property {number} usedPermille of the output limit, while there was demand for more
 *
 * @typedef {import("./world.mjs").World} World
 */

/**
 * @param {World} world
 * @param {string} model
 * @param {Flow[]} flows
 * @param {{during?: (pool: string, at: number) => Promise<number | void>, sdk?: object}} [options] `during` is
 *   called each second of the demand and tells what it took from the pool; options of the clients
 * @returns {Promise<Outcome>}
 */
async function play(world, model, flows, { during = async () => {}, sdk = {} } = {}) {
  const pool = model.replace("claude-", "");
  const clients = new Map(await Promise.all(flows.map(async ({ tenant }) => /** @type {const} */ ([tenant, await world.sdk(tenant, sdk)]))));
  /** @type {Outcome} */
  const outcome = { errors: {}, sent: 0, left: 0, refusedUpstream: 0, usedPermille: 0 };
  const client = async (/** @type {Flow} */ flow, /** @type {number} */ i, /** @type {any} */ body) => {
    const { messages } = /** @type {Anthropic} */ (clients.get(flow.tenant));
    const options = { headers: { "x-tollgate-max-wait": String(flow.wait ?? 60) } };
    outcome.sent += 1;
    try {
      if (flow.leaves && i % 10 < 3) {
        const stream = messages.stream(body, options);
        for await (const event of stream) if (event.type === "content_block_delta") break;
        stream.abort();
        outcome.left += 1;
      } else if (i % 2 === 0 && !flow.whole) await messages.stream(body, options).finalMessage();
      else await messages.create(body, options);
    } catch (error) {
      outcome.errors[flow.tenant] = (outcome.errors[flow.tenant] ?? 0) + 1;
      if (outcome.errors[flow.tenant] === 1) console.log(`${model}, ${flow.tenant}: ${error}`);
    }
  };
  const request = (/** @type {string} */ text, /** @type {number} */ tokens, /** @type {number} */ max) =>
    ask(text, { model, max_tokens: max }, `output-tokens=${tokens}`);
  // A full bucket would serve all that comes: it is emptied first, by a few long answers
  // and what is refilled while they run.
  const long = Array.from({ length: OTPM / 1000 + 2 }, (_, i) =>
    client({ ...flows[0], leaves: false, wait: 60 }, i, request(`Empty it ${i}`, 1_000, 1_024)),
  );
  await Promise.all(long);
  /** @type {Promise<unknown>[]} */
  const running = [];
  const began = Date.now();
  const arrivals = flows.flatMap((flow) =>
    Array.from({ length: Math.floor((flow.perSecond * DEMAND_MS) / 1000) }, (_, i) => ({ flow, i, at: (i * 1000) / flow.perSecond })),
  );
  // The demand's own pace, which is the experiment, not a wait for a result.
  const arrive = async () => {
    for (const { flow, i, at } of arrivals.toSorted((a, b) => a.at - b.at)) {
      await pause(began + at - Date.now());
      // Half as long to half as long again.
      const tokens = TOKENS / 2 + (((i * 7) % 11) * TOKENS) / 10;
      running.push(client(flow, i, request(`Say ${i}`, tokens, MAX_TOKENS)));
    }
  };
  let taken = 0;
  const look = async () => {
    await pause(MEASURE_FROM_MS);
    const first = await row(world, pool);
    for (let second = 0; Date.now() < began + DEMAND_MS; second++) {
      taken += (await during(pool, second)) ?? 0;
      await pause(1000);
    }
    const last = await row(world, pool);
    const there = Math.max(0, first.levels.output.remaining);
    const given = there + last.could.output_tokens - first.could.output_tokens - taken;
    outcome.usedPermille = Math.round((1000 * (last.output_tokens - first.output_tokens)) / given);
  };
  await Promise.all([arrive(), look()]);
  await Promise.all(running);
  const end = await row(world, pool);
  outcome.refusedUpstream = end.refused_requests + end.refused_input + end.refused_output;
  console.log(`${model}: ${JSON.stringify(outcome)}`);
  return outcome;
}

/**
 * @param {World} world
 * @param {string} pool
 */
async function row(world, pool) {
  const { pools } = await world.upstream.stats();
  return pools.find((/** @type {any} */ one) => one.pool === pool);
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

describe("scenarios in real time", { concurrency: true, timeout: 200_000 }, () => {
  /** @type {World} */
  let world;
  before(async () => {
    const tenants = Object.fromEntries(["alone", "one", "two", "flood", "changed", "leaver", "beside"].map((name) => [name, {}]));
    world = await open({ ...OPTIONS, tenants });
  });
  after(() => world?.close());

  test("saturated output: nothing is refused, nothing wasted", async () => {
    const outcome = await play(world, "claude-sonnet-5-5", [{ tenant: "alone", perSecond: 1.5 * PER_S }]);
    assert.deepEqual(outcome.errors, {});
    assert.ok(outcome.refusedUpstream <= REFUSED_MAX, `${outcome.refusedUpstream} refused`);
    assert.ok(outcome.usedPermille >= USED_PERMILLE, String(outcome.usedPermille));
  });

  test("noisy neighbour: who stays within its share is never refused", async () => {
    const outcome = await play(world, "claude-opus-5-5", [
      { tenant: "one", perSecond: 0.75, wait: 10 },
      { tenant: "two", perSecond: 0.75, wait: 10 },
      { tenant: "flood", perSecond: 15, wait: 5 },
    ]);
    assert.deepEqual(Object.keys(outcome.errors), ["flood"]);
    assert.ok(outcome.refusedUpstream <= REFUSED_MAX, `${outcome.refusedUpstream} refused`);
    assert.ok(outcome.usedPermille >= USED_PERMILLE, String(outcome.usedPermille));
  });

  test("limits lowered and raised: followed, and nobody sees it", async () => {
    const during = async (/** @type {string} */ pool, /** @type {number} */ second) => {
      if (second === 3) await world.upstream.limits({ [pool]: { otpm: OTPM / 2 } });
      if (second === 8) await world.upstream.limits({ [pool]: { otpm: 1.5 * OTPM } });
    };
    const outcome = await play(world, "claude-haiku-5-5", [{ tenant: "changed", perSecond: 2 * PER_S }], { during });
    assert.deepEqual(outcome.errors, {});
    // What was under way when they fell, and as long as no answer told of it.
    assert.ok(outcome.refusedUpstream <= 5, `${outcome.refusedUpstream} refused`);
    assert.ok(outcome.usedPermille >= USED_CHANGING_PERMILLE, String(outcome.usedPermille));
  });

  test("disconnects: what clients leave is not lost", async () => {
    const outcome = await play(world, "claude-opus-5", [{ tenant: "leaver", perSecond: 2 * PER_S, leaves: true }]);
    assert.deepEqual(outcome.errors, {});
    assert.ok(outcome.left > 0);
    assert.ok(outcome.refusedUpstream <= REFUSED_MAX, `${outcome.refusedUpstream} refused`);
    assert.ok(outcome.usedPermille >= USED_CHANGING_PERMILLE, String(outcome.usedPermille));
  });

  test("outside user: the account's other use is noticed", async () => {
    const taken = Math.round((OTPM / 60) * 0.3);
    const during = async (/** @type {string} */ pool) => {
      await world.upstream.drain(pool, { output_tokens: taken });
      return taken;
    };
    const outcome = await play(world, "claude-sonnet-5", [{ tenant: "beside", perSecond: 1.5 * PER_S }], { during });
    assert.deepEqual(outcome.errors, {});
    assert.ok(outcome.usedPermille >= USED_PERMILLE, String(outcome.usedPermille));
  });

  test("gate restarts: every client has its answer, by the SDK's own retries", async () => {
    const state = await mkdtemp(path.join(tmpdir(), "tollgate-scenario-"));
    const mortal = await open({ ...OPTIONS, state, tenants: { alone: {} } });
    try {
      const during = async (/** @type {string} */ _, /** @type {number} */ second) => {
        if (second === 3 || second === 7) await mortal.restart();
      };
      const outcome = await play(mortal, "claude-sonnet-5-5", [{ tenant: "alone", perSecond: 1.5 * PER_S, whole: true }], {
        during,
        sdk: { maxRetries: 8 },
      });
      assert.deepEqual(outcome.errors, {});
      assert.ok(outcome.refusedUpstream <= REFUSED_MAX, `${outcome.refusedUpstream} refused`);
      await until(async () => (await mortal.stats()).in_flight === 0);
    } finally {
      await mortal.close();
      await rm(state, { recursive: true, force: true });
    }
  });
});
