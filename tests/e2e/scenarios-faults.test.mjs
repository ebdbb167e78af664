// Limits that move or are unknown, clients that leave, others who use the account, clocks
// that disagree, a Gate that restarts, a network that loses and doubles its messages: what
// clients see is their answers. Side by side, each in a pool or a world of its own.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { wrap } from "../serve/bundle.mjs";
import { FLAGS, LOOSE, OTPM, PER_S, play } from "./player.mjs";
import { ask, open, until } from "./world.mjs";

const LIMITS = { ...LOOSE, otpm: OTPM };
const OPTIONS = {
  flags: [...FLAGS, "--rpm", String(LIMITS.rpm), "--itpm", String(LIMITS.itpm), "--otpm", String(OTPM)],
  account: { limits: { "*": LIMITS } },
};
/** The build whose Gate restarts where a request says so. */
const DEBUG = new URL("../../dist/edge-debug", import.meta.url).pathname;
const FAULTY = new URL("faulty/worker.js", import.meta.url).pathname;

/** As in scenarios.test.mjs, and where clients leave: what they leave is known at the end. */
const USED_PERMILLE = 920;
const USED_LEFT_PERMILLE = 880;
/** How long requests arrive where workerd is killed, of which no use is asserted. */
const DEMAND_RESTARTED_MS = 14_000;
/**
 * Attempts that the provider refuses though nobody else uses the account, where the Gate
 * restarts: none, but a machine that holds one of the processes up for long makes the two
 * clocks disagree.
 */
const REFUSED_RESTARTED_MAX = 1;

/**
 * @param {import("./player.mjs").Outcome} outcome
 * @param {{refused?: number, used?: number}} [bounds] attempts that the provider may refuse; the least use
 */
function holds(outcome, { refused = 0, used = USED_PERMILLE } = {}) {
  assert.deepEqual(outcome.errors, {});
  assert.ok(outcome.refusedUpstream <= refused, `${outcome.refusedUpstream} refused`);
  assert.ok(outcome.usedPermille >= used, String(outcome.usedPermille));
}

describe("scenarios with faults in real time", { concurrency: true, timeout: 200_000 }, () => {
  /** @type {import("./world.mjs").World} */
  let world;
  /** @type {string} */
  let scratch;
  before(async () => {
    scratch = await mkdtemp(path.join(tmpdir(), "tollgate-scenarios-"));
    world = await open({ ...OPTIONS, tenants: { changed: {}, leaver: {}, beside: {} } });
  });
  after(async () => {
    await world?.close();
    await rm(scratch, { recursive: true, force: true });
  });

  /**
   * Plays one flow in a world of its own.
   *
   * @param {Partial<import("./world.mjs").Options>} more
   * @param {Partial<import("./player.mjs").Flow>} [flow]
   * @param {(world: import("./world.mjs").World) => import("./player.mjs").Options} [options]
   */
  async function alone(more, flow = {}, options = () => ({})) {
    const its = await open({ ...OPTIONS, tenants: { alone: {} }, ...more });
    try {
      const outcome = await play(its, "sonnet-5-5", [{ tenant: "alone", perSecond: 1.5 * PER_S, ...flow }], options(its));
      // Nothing is left running, and no ticket open.
      await until(async () => (await its.stats()).in_flight === 0);
      await until(async () => (await its.admin("GET", "/admin/config")).gate.open === 0);
      return outcome;
    } finally {
      await its.close();
    }
  }

  test("limits lowered and raised: followed, and nobody sees it", async () => {
    const during = async (/** @type {string} */ pool, /** @type {number} */ second) => {
      if (second === 3) await world.upstream.limits({ [pool]: { otpm: OTPM / 2 } });
      if (second === 8) await world.upstream.limits({ [pool]: { otpm: 1.5 * OTPM } });
    };
    const outcome = await play(world, "haiku-5-5", [{ tenant: "changed", perSecond: 2 * PER_S }], { during });
    // What was under way when they fell, and as long as no answer told of it.
    holds(outcome, { refused: 5 });
  });

  test("unknown limits: learned from the first answers", async () => {
    // What goes before the first answer told of a limit.
    holds(await alone({ account: {} }), { refused: 1 });
  });

  test("disconnects: what clients leave is not lost", async () => {
    const outcome = await play(world, "opus-5", [{ tenant: "leaver", perSecond: 2 * PER_S, leaves: true }]);
    assert.ok(outcome.left > 0);
    holds(outcome, { used: USED_LEFT_PERMILLE });
  });

  test("outside user: the account's other use is noticed", async () => {
    const taken = Math.round((OTPM / 60) * 0.3);
    const during = async (/** @type {string} */ pool) => {
      await world.upstream.drain(pool, { output_tokens: taken });
      return taken;
    };
    const outcome = await play(world, "sonnet-5", [{ tenant: "beside", perSecond: 1.5 * PER_S }], { during });
    assert.deepEqual(outcome.errors, {});
    assert.ok(outcome.usedPermille >= USED_PERMILLE, String(outcome.usedPermille));
  });

  for (const ahead of [5_000, -5_000]) {
    test(`skewed clocks: the provider's shows ${ahead} ms more`, async () => {
      holds(await alone({ flags: [...OPTIONS.flags, "--ahead-ms", String(ahead)] }));
    });
  }

  test("messages lost and doubled between Worker and Gate: no client hears of it", async () => {
    holds(await alone({ bundle: await wrap(FAULTY, path.join(scratch, "faulty")) }));
  });

  test("gate restarts alone, as at a deploy: no client hears of it", async () => {
    const outcome = await alone({ bundle: DEBUG }, {}, (its) => ({
      during: async (_, second) => {
        if (second % 15 !== 9) return;
        const answer = await its.post(await its.key("alone"), ask("Restart", {}, "output-tokens=10"), { headers: { "x-debug-restart": "1" } });
        assert.equal(answer.status, 200, await answer.text());
      },
    }));
    holds(outcome, { refused: REFUSED_RESTARTED_MAX });
  });

  test("all of it restarts: every client has its answer, by the SDK's own retries", async () => {
    const state = path.join(scratch, "state");
    const outcome = await alone({ state }, { whole: true }, (mortal) => ({
      during: async (_, second) => {
        if (second === 3 || second === 7) await mortal.restart();
      },
      demandMs: DEMAND_RESTARTED_MS,
      sdk: { maxRetries: 8 },
    }));
    holds(outcome, { refused: REFUSED_RESTARTED_MAX, used: 0 });
  });
});
