// What a flood of refused requests costs the others: one tenant is far beyond its
// limit and comes back all the time; its refusals die in the isolate, by the Gate's
// `not_before`, but for a few a second that may ask for a place. The load of another
// tenant is pressed with the flood and without it, in turns.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { admin } from "../tests/serve/admin.mjs";
import { LOAD, tollgate } from "./contestants.mjs";
import { press } from "./press.mjs";

const run = promisify(execFile);

/** Requests a second: a hundred times what its tenant may send in a minute. */
const FLOOD_PER_S = 500;
const FLOOD_CONNECTIONS = 8;
const FLOOD_RPM = 5;

/**
 * @typedef {Record<"c1" | "c32", import("./press.mjs").Slice>} Slices
 *
 * @typedef {object} Floods
 * @property {Slices[]} alone the other tenant's slices, a round each
 * @property {Slices[]} flooded
 * @property {number} calls_permille calls to the Gate for 1,000 requests of the flood alone
 */

/**
 * @param {string} upstreamUrl
 * @param {string} scratch a directory to write to
 * @param {number} rounds
 * @param {Record<"c1" | "c32", import("./press.mjs").Load>} loads
 * @returns {Promise<Floods>}
 */
export async function floods(upstreamUrl, scratch, rounds, loads) {
  const server = await tollgate(upstreamUrl, scratch);
  try {
    const tenants = { flood: { limits: { rpm: FLOOD_RPM } } };
    await admin(server.url, "PUT", "/admin/tenants", { tenants, prune: false, dry_run: false });
    const { key } = await admin(server.url, "POST", "/admin/keys", { tenant: "flood", kind: "secret" });
    const flood = (/** @type {number} */ seconds) => drown(server.url, String(key), String(loads.c1.body), seconds);
    // Its bucket is emptied, and refusals are known.
    await flood(1);
    const gateCalls = async () => Number((await admin(server.url, "GET", "/admin/config")).gate.calls);
    const before = await gateCalls();
    const refused = await flood(2);
    const calls_permille = (1000 * ((await gateCalls()) - before)) / refused;

    const slices = async () => ({ c1: await press(server, loads.c1), c32: await press(server, loads.c32) });
    await slices();
    /** @type {Floods} */
    const found = { alone: [], flooded: [], calls_permille };
    for (let round = 0; round < rounds; round++) {
      found.alone.push(await slices());
      // Longer than both slices: it is there from their first to their last request.
      const seconds = Number(loads.c1.seconds) + Number(loads.c32.seconds) + 1;
      const drowned = flood(seconds);
      found.flooded.push(await slices());
      await drowned;
    }
    return found;
  } finally {
    await server.stop();
  }
}

/**
 * @param {string} url
 * @param {string} key
 * @param {string} body a file
 * @param {number} seconds
 * @returns {Promise<number>} requests, of which nearly all were refused
 */
async function drown(url, key, body, seconds) {
  const args = ["run", "--url", `${url}/v1/messages`, "--key", key, "--body", body, "--header", "x-tollgate-max-wait: 1"];
  args.push("--connections", String(FLOOD_CONNECTIONS), "--rate", String(FLOOD_PER_S), "--seconds", String(seconds));
  const { stdout } = await run(LOAD, args);
  const { requests, statuses } = JSON.parse(stdout);
  const refused = statuses["429"] ?? 0;
  if (refused < requests * 0.9) throw new Error(`the flood is not refused: ${stdout.trim()}`);
  return requests;
}
