// Demand of many shapes on an account that behaves: nothing is refused by the provider,
// and what was paid for is used. They run side by side, each in a pool of its own.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FLAGS, LOOSE, OTPM, PER_S, play } from "./player.mjs";
import { open } from "./world.mjs";

const RPM = 240;
const ITPM = 24_000;
/** Of a prompt, by the emulator's count, about: four a second are all that the limit allows. */
const PROMPT = 100;
const INPUT_PER_S = ITPM / 60 / PROMPT;
/** So many at one moment, of which the second's share lets one go each 1.2 s. */
const AT_ONCE = 50;

const OUTPUT = { ...LOOSE, otpm: OTPM };
const INPUT = { ...LOOSE, itpm: ITPM };
/** @type {Record<string, typeof LOOSE & {by_second?: boolean}>} */
const LIMITS = {
  "sonnet-5-5": OUTPUT,
  "opus-5-5": OUTPUT,
  "fable-5": OUTPUT,
  "haiku-5-5": { ...LOOSE, rpm: RPM, by_second: true },
  "opus-5": { ...LOOSE, rpm: AT_ONCE, by_second: true },
  "haiku-4-5": INPUT,
  "sonnet-5": INPUT,
};

/**
 * Of the binding limit. The simulator holds 95 to 98 % of ten minutes; half a minute has
 * ends, where answers are owed.
 */
const USED_PERMILLE = 920;

/**
 * By the second, a process that is held up for 50 ms is enough for a refusal, of which the
 * simulator has none: attempts of a thousand that the provider may refuse.
 */
const REFUSED_BY_SECOND_PERMILLE = 20;
/** The same where one goes each 1.2 s, 60 ms later than the limit would allow, and its least use. */
const ONE_BY_ONE = { refusedPermille: 60, used: 800 };

/** A prompt that has about so many tokens in English. @param {number} tokens @param {number} i */
const words = (tokens, i) => `${i}: ${"harbour light on quiet water ".repeat(tokens / 7)}`;
/** What empties an input bucket. */
const LONG_PROMPTS = (/** @type {string} */ tenant) => [
  { tenant, atOnce: ITPM / 1000, text: (/** @type {number} */ i) => words(900, i), tokens: () => 10, max: 20 },
];

/**
 * @param {import("./player.mjs").Outcome} outcome
 * @param {{shed?: string[], refusedPermille?: number, used?: number}} [bounds] tenants that ask for too
 *   much; attempts that the provider may refuse; the least use
 */
function holds(outcome, { shed = [], refusedPermille = 0, used = USED_PERMILLE } = {}) {
  assert.deepEqual(Object.keys(outcome.errors), shed);
  assert.ok(outcome.refusedUpstream * 1000 <= refusedPermille * outcome.sent, `${outcome.refusedUpstream} refused`);
  assert.ok(outcome.usedPermille >= used, String(outcome.usedPermille));
}

describe("scenarios in real time", { concurrency: true, timeout: 200_000 }, () => {
  /** @type {import("./world.mjs").World} */
  let world;
  before(async () => {
    const names = ["output", "requests", "input", "scripts", "one", "two", "flood", "moment", "tails"];
    const limits = Object.entries(LIMITS).map(([pool, { rpm, itpm, otpm }]) => [pool, { rpm, itpm, otpm }]);
    world = await open({
      flags: FLAGS,
      account: { limits: Object.fromEntries(limits) },
      tenants: Object.fromEntries(names.map((name) => [name, {}])),
    });
    await world.upstream.limits(LIMITS);
  });
  after(() => world?.close());

  test("saturated output: nothing is refused, nothing wasted", async () => {
    holds(await play(world, "sonnet-5-5", [{ tenant: "output", perSecond: 1.5 * PER_S }]));
  });

  test("saturated requests, by the second", async () => {
    const flow = { tenant: "requests", perSecond: (1.5 * RPM) / 60, tokens: () => 10, max: 20 };
    holds(await play(world, "haiku-5-5", [flow], { of: "requests", first: [{ ...flow, atOnce: 1 }] }), { refusedPermille: REFUSED_BY_SECOND_PERMILLE });
  });

  test("saturated input", async () => {
    const flow = { tenant: "input", perSecond: 1.5 * INPUT_PER_S, text: (/** @type {number} */ i) => words(PROMPT, i), tokens: () => 10, max: 20 };
    holds(await play(world, "haiku-4-5", [flow], { of: "input", first: LONG_PROMPTS("input") }));
  });

  test("estimates off: prompts of scripts, code and numbers in turn", async () => {
    const texts = [
      (/** @type {number} */ i) => `${i}${"灯火照着安静的港湾，潮水慢慢退去。".repeat(4)}`,
      (/** @type {number} */ i) => `${i} ${"if (row[i] !== null) { out.push(row[i++] << 2); }\n".repeat(3)}`,
      (/** @type {number} */ i) => `${i} ${"3.14159 2.71828 1.41421 0.57721 1.61803 ".repeat(2)}`,
      (/** @type {number} */ i) => words(PROMPT, i),
    ];
    const flow = { tenant: "scripts", perSecond: 1.5 * INPUT_PER_S, text: (/** @type {number} */ i) => texts[i % 4](i), tokens: () => 10, max: 20 };
    holds(await play(world, "sonnet-5", [flow], { of: "input", first: LONG_PROMPTS("scripts") }));
  });

  test("noisy neighbour: who stays within its share is never refused", async () => {
    const flows = [
      { tenant: "one", perSecond: 0.75, wait: 10 },
      { tenant: "two", perSecond: 0.75, wait: 10 },
      { tenant: "flood", perSecond: 15, wait: 5 },
    ];
    holds(await play(world, "opus-5-5", flows), { shed: ["flood"] });
  });

  test("fifty at once at fifty requests a minute", async () => {
    const flow = { tenant: "moment", atOnce: AT_ONCE, wait: 90, tokens: () => 10, max: 20 };
    const outcome = await play(world, "opus-5", [flow], { of: "requests", first: [{ ...flow, atOnce: 1 }] });
    holds(outcome, ONE_BY_ONE);
  });

  test("heavy tails: one answer of ten is sixteen times as long as the others", async () => {
    const flow = { tenant: "tails", perSecond: 1.5 * PER_S, tokens: (/** @type {number} */ i) => (i % 10 === 9 ? 640 : 40), max: 800 };
    holds(await play(world, "fable-5", [flow]));
  });
});
