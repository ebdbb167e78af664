// Judges the guard from outside: by what it was told and when, what it sent and what
// came of that, whether it could have known that the gate would refuse.

import assert from "node:assert/strict";

/**
 * What no snapshot can tell.
 */
export const REASONS = Object.freeze({
  estimate: "its estimate, above the lower bound",
  taken: "taken since the snapshot by others, or by what was under way",
  age: "the snapshot's age, a second at most",
  account: "the account, of which no lack was told",
});

/**
 * @typedef {object} Seen
 * @property {{askedMs: number, heardMs: number, told: any}[]} snapshots answers of /v1/limits
 * @property {{sentMs: number, endMs: number, input: number}[]} granted
 *
 * @typedef {object} Refused by the gate
 * @property {string} code
 * @property {string} ratelimit the header
 * @property {{model: string, lower: number}} measure
 * @property {number} sentMs
 */

/**
 * Why the gate refused what the guard let through; undefined where the guard should
 * have known. Gate and guard have one clock here.
 *
 * @param {Seen} seen
 * @param {Refused} refused
 * @returns {string | undefined} one of {@link REASONS}
 */
export function reasonOf({ snapshots, granted }, { code, ratelimit, measure, sentMs }) {
  const snapshot = snapshots.findLast(({ heardMs }) => heardMs <= sentMs);
  assert.ok(snapshot, "nothing is sent before the first snapshot");
  const { told: known, askedMs } = snapshot;
  if (code === "tollgate_provider_limit") {
    const { available } = known.models[measure.model];
    return !available || (available.requests >= 1 && available.input_tokens >= measure.lower) ? REASONS.account : undefined;
  }
  const [, kind, left] = ratelimit.match(/^"tenant-([a-z-]+)";r=(\d+);/) ?? [];
  const limit = known.limits.find((/** @type {any} */ limit) => limit.kind === kind?.replaceAll("-", "_"));
  assert.ok(limit, `${code}: ${ratelimit}`);
  // What a budget holds for requests under way may come back: it is no lack.
  const need = limit.kind === "input_tokens" ? measure.lower : 1;
  if (Number(left) >= need) return REASONS.estimate;
  const since = granted.filter((one) => one.sentMs > known.at_ms && one.endMs < sentMs);
  since.sort((a, b) => a.sentMs - b.sentMs);
  // The most that can be left: each was taken when it was sent, or later, with less refilled after it.
  const leaves = (/** @type {number} */ sinceMs) => {
    let { level } = limit;
    let at = sinceMs;
    const refill = (/** @type {number} */ until) => {
      level = Math.min(limit.capacity, level + ((until - at) * limit.per_minute) / 60_000);
      at = until;
    };
    for (const one of since) {
      refill(one.sentMs);
      level -= limit.kind === "input_tokens" ? one.input : 1;
    }
    refill(sentMs);
    return level >= need;
  };
  // The guard does not know the gate's clock: the levels may be as old as this.
  return leaves(known.at_ms) ? REASONS.taken : leaves(askedMs - 1_000) ? REASONS.age : undefined;
}

/** Writes down what passes a guard. */
export function witness() {
  /** @type {Seen} */
  const seen = { snapshots: [], granted: [] };
  /** @type {Map<string, number>} */
  const sent = new Map();
  return {
    seen,
    /**
     * To be the guard's.
     *
     * @param {RequestInfo | URL} input
     * @param {RequestInit} [init]
     */
    async fetch(input, init) {
      const isLimits = String(input).endsWith("/v1/limits");
      const askedMs = Date.now();
      if (!isLimits) sent.set(String(init?.body), askedMs);
      const response = await globalThis.fetch(input, init);
      if (isLimits && response.status === 200) seen.snapshots.push({ told: await response.clone().json(), askedMs, heardMs: Date.now() });
      return response;
    },
    /** @param {object} body */
    wasSent: (body) => sent.has(JSON.stringify(body)),
    /** @param {object} body @param {number} input */
    answered(body, input) {
      seen.granted.push({ sentMs: sent.get(JSON.stringify(body)) ?? assert.fail("it was not sent"), endMs: Date.now(), input });
    },
    /**
     * @param {object} body
     * @param {any} error the SDK's
     * @param {{model: string, lower: number}} measure
     */
    reasonOf(body, error, measure) {
      const sentMs = sent.get(JSON.stringify(body)) ?? assert.fail("it was not sent");
      return reasonOf(seen, { code: error.error.error.details.error_code, ratelimit: error.headers.get("ratelimit") ?? "", measure, sentMs });
    },
  };
}
