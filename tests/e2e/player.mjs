// Plays a scenario of the simulator (crates/simulator/scenarios), shortened, in real
// time and over HTTP: the official SDK, the bundle on workerd, an honest provider.
//
// What is told is counted: who was refused by whom, and what was used of what the
// provider's binding limit gave meanwhile, by the provider's own clock.

import Anthropic from "@anthropic-ai/sdk";
import { ask } from "./world.mjs";

/** How long requests arrive, and from when on use is measured. */
export const DEMAND_MS = 36_000;
const MEASURE_FROM_MS = 2_000;
/** Limits that bind nobody. */
export const LOOSE = { rpm: 100_000, itpm: 100_000_000, otpm: 100_000_000 };
/** Output tokens a minute where output binds: 400 a second. */
export const OTPM = 24_000;
/** Of an answer on average there: four a second are all that the limit allows. */
export const TOKENS = 100;
export const PER_S = OTPM / 60 / TOKENS;
/** Service times of the emulator: most answers take half a second. */
export const FLAGS = ["--ttft-ms", "150", "--tokens-per-s", "200"];

/** The pools that a world has, each with a model of it. */
const MODELS = /** @type {const} */ ({
  "opus-5-5": "claude-opus-5-5",
  "sonnet-5-5": "claude-sonnet-5-5",
  "haiku-5-5": "claude-haiku-5-5",
  "fable-5": "claude-fable-5-2",
  "opus-5": "claude-opus-5",
  "sonnet-5": "claude-sonnet-5",
  "haiku-4-5": "claude-haiku-4-5-20251001",
});

/** Where the emulator's statistics tell of each limit. By the second no requests are left over. */
const COUNTED = /** @type {const} */ ({
  requests: { used: "granted", could: "requests", there: () => 0 },
  input: { used: "input_tokens", could: "input_tokens", there: (/** @type {any} */ levels) => levels.input.remaining },
  output: { used: "output_tokens", could: "output_tokens", there: (/** @type {any} */ levels) => levels.output.remaining },
});

/**
 * @typedef {import("./world.mjs").World} World
 *
 * @typedef {object} Flow
 * @property {string} tenant
 * @property {number} [perSecond]
 * @property {number} [atOnce] so many at the first moment
 * @property {number} [wait] how long its clients wait, s
 * @property {string} [priority]
 * @property {boolean} [leaves] three of ten go after the first words
 * @property {boolean} [whole] none streams: what broke within a stream, no SDK asks for again
 * @property {(i: number) => string} [text] of its requests
 * @property {(i: number) => number} [tokens] that their answers have; else half to half as much again of TOKENS
 * @property {number} [max] their max_tokens
 *
 * @typedef {object} Options
 * @property {keyof typeof COUNTED} [of] the binding limit
 * @property {Flow[]} [first] what empties its bucket before: a full one would serve all that comes
 * @property {(pool: string, second: number) => Promise<number | void>} [during] is called each second of the
 *   demand and tells what it took of the pool
 * @property {object} [sdk] options of the clients
 * @property {number} [demandMs]
 *
 * @typedef {object} Outcome
 * @property {Record<string, number>} errors how many clients saw something else than their answer, by tenant
 * @property {number} sent
 * @property {number} left
 * @property {number} refusedUpstream attempts that the provider refused
 * @property {number} usedPermille of the binding limit, while there was demand for more
 */

/** Empties an output bucket: a few long answers, and what is refilled while they run. */
export const LONG_ANSWERS = [{ tenant: "alone", atOnce: OTPM / 1000 + 2, tokens: () => 1_000, max: 1_024 }];

/**
 * @param {World} world
 * @param {keyof typeof MODELS} pool this scenario's alone
 * @param {Flow[]} flows
 * @param {Options} [options]
 * @returns {Promise<Outcome>}
 */
export async function play(world, pool, flows, options = {}) {
  const { of = "output", during = async () => {}, sdk = {}, demandMs = DEMAND_MS } = options;
  const first = options.first ?? LONG_ANSWERS.map((flow) => ({ ...flow, tenant: flows[0].tenant }));
  const tenants = new Set([...first, ...flows].map(({ tenant }) => tenant));
  const clients = new Map(await Promise.all([...tenants].map(async (tenant) => /** @type {const} */ ([tenant, await world.sdk(tenant, sdk)]))));
  /** @type {Outcome} */
  const outcome = { errors: {}, sent: 0, left: 0, refusedUpstream: 0, usedPermille: 0 };

  const client = async (/** @type {Flow} */ flow, /** @type {number} */ i) => {
    const { tenant, text = (n) => `Say ${n}`, tokens = some, max = 2 * TOKENS, priority } = flow;
    const body = ask(text(i), { model: MODELS[pool], max_tokens: max }, `output-tokens=${Math.round(tokens(i))}`);
    const { messages } = /** @type {Anthropic} */ (clients.get(tenant));
    const headers = { "x-tollgate-max-wait": String(flow.wait ?? 60), ...(priority && { "x-tollgate-priority": priority }) };
    outcome.sent += 1;
    try {
      if (flow.leaves && i % 10 < 3) {
        const stream = messages.stream(/** @type {any} */ (body), { headers });
        for await (const event of stream) if (event.type === "content_block_delta") break;
        stream.abort();
        outcome.left += 1;
      } else if (i % 2 === 0 && !flow.whole) await messages.stream(/** @type {any} */ (body), { headers }).finalMessage();
      else await messages.create(body, { headers });
    } catch (error) {
      outcome.errors[tenant] = (outcome.errors[tenant] ?? 0) + 1;
      if (outcome.errors[tenant] === 1) console.log(`${pool}, ${tenant}: ${error}`);
    }
  };

  await Promise.all(first.flatMap((flow) => Array.from({ length: flow.atOnce ?? 0 }, (_, i) => client(flow, i))));
  /** @type {Promise<unknown>[]} */
  const running = [];
  const began = Date.now();
  const arrivals = flows.flatMap((flow) => [
    ...Array.from({ length: flow.atOnce ?? 0 }, (_, i) => ({ flow, i, at: 0 })),
    ...Array.from({ length: Math.floor(((flow.perSecond ?? 0) * demandMs) / 1000) }, (_, i) => ({ flow, i, at: (i * 1000) / (flow.perSecond ?? 1) })),
  ]);
  // The demand's own pace, which is the experiment, not a wait for a result.
  const arrive = async () => {
    for (const { flow, i, at } of arrivals.toSorted((a, b) => a.at - b.at)) {
      await pause(began + at - Date.now());
      running.push(client(flow, i));
    }
  };
  let taken = 0;
  const look = async () => {
    await pause(MEASURE_FROM_MS);
    const before = await row(world, pool);
    for (let second = 0; Date.now() < began + demandMs; second++) {
      taken += (await during(pool, second)) ?? 0;
      await pause(1000);
    }
    const after = await row(world, pool);
    const { used, could, there } = COUNTED[of];
    const given = Math.max(0, there(before.levels)) + after.could[could] - before.could[could] - taken;
    outcome.usedPermille = Math.round((1000 * (after[used] - before[used])) / given);
  };
  await Promise.all([arrive(), look()]);
  await Promise.all(running);
  const end = await row(world, pool);
  outcome.refusedUpstream = end.refused_requests + end.refused_input + end.refused_output;
  console.log(`${pool}: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** Half of TOKENS to half as much again. @param {number} i */
function some(i) {
  return TOKENS / 2 + (((i * 7) % 11) * TOKENS) / 10;
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
