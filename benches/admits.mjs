// Admissions a second through one Gate, beside calls of an object that does
// nothing: see gate/worker.mjs.

import { writeFile } from "node:fs/promises";
import path from "node:path";
import { wrap } from "../tests/serve/bundle.mjs";
import { tollgate } from "./contestants.mjs";
import { press } from "./press.mjs";

const WORKER = new URL("gate/worker.mjs", import.meta.url).pathname;
/** Admits a request of the load: enough that the request itself costs nothing beside them. */
const CALLS = 100;
/** Requests at once: each has one admit in flight, as a Worker's request has. */
const CONNECTIONS = 32;

/**
 * @param {string} upstreamUrl never called
 * @param {string} scratch a directory to write to
 * @param {number} rounds
 * @param {number} seconds a slice
 * @returns {Promise<{gate: number[], empty: number[]}>} calls a second, a figure a round
 */
export async function admits(upstreamUrl, scratch, rounds, seconds) {
  const options = { bundle: await wrap(WORKER, path.join(scratch, "gate")), objects: ["Empty"] };
  const server = await tollgate(upstreamUrl, scratch, options);
  try {
    const body = path.join(scratch, "admits.json");
    await writeFile(body, JSON.stringify({ calls: CALLS, ...messages(server.keyId) }));
    const rates = { gate: /** @type {number[]} */ ([]), empty: /** @type {number[]} */ ([]) };
    // The first round warms both up.
    for (let round = 0; round <= rounds; round++) {
      for (const name of /** @type {const} */ (["gate", "empty"])) {
        const load = { path: `/bench/admits?object=${name.toUpperCase()}`, body, connections: CONNECTIONS, seconds };
        const { ok_per_s } = await press(server, load);
        if (round > 0) rates[name].push(ok_per_s * CALLS);
      }
    }
    return rates;
  } finally {
    await server.stop();
  }
}

/** What the Worker would send for the request of bench.mjs. @param {string} key its id */
function messages(key) {
  const whose = {
    tenant: "bench",
    key,
    pool: { account: "anthropic", class: "sonnet-5-5", speed: "standard" },
    model: "claude-sonnet-5-5",
    max_tokens: 256,
  };
  const kinds = [110, 5, 25, 10, 0, 0, 0, 10];
  const used = { tokens: { input: 150, input_total: 150, output: 28, microusd: 870, estimated: false } };
  return {
    admit: { ...whose, input_tokens: 160, kinds, microusd_max: 5000, patience_ms: 120_000, bytes: 700 },
    settle: { attempt: 0, ...whose, input_estimate: 160, kinds, used },
  };
}
