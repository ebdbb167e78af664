// Clients that are refused and come back when they are told to: the official SDK does
// so by itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, open } from "./world.mjs";

/** Two requests a second are all that the account has. */
const LIMITS = { rpm: 120, itpm: 100_000_000, otpm: 100_000_000 };
const FLAGS = ["--rpm", "120", "--itpm", "100000000", "--otpm", "100000000", "--ttft-ms", "5", "--tokens-per-s", "1000"];
const CLIENTS = 30;

/** @type {import("./world.mjs").World} */
let world;
before(async () => {
  world = await open({ tenants: { acme: {} }, flags: FLAGS, account: { limits: { "*": LIMITS } } });
});
after(() => world.close());

test("whoever is refused goes when it comes back at its time, though all send the same", async () => {
  let refused = 0;
  const attempts = await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      let sent = 0;
      const counted = async (/** @type {any} */ url, /** @type {any} */ init) => {
        sent += 1;
        const response = await fetch(url, init);
        if (response.status === 429) refused += 1;
        return response;
      };
      const client = await world.sdk("acme", { fetch: counted, maxRetries: 2 });
      await client.messages.create(ask("The same of all"), { headers: { "x-tollgate-max-wait": "2" } });
      return sent;
    }),
  );
  // Four go in the first two seconds or so.
  assert.ok(refused >= 20, `${refused} refused`);
  const late = attempts.filter((sent) => sent > 2).length;
  assert.ok(late * 20 <= CLIENTS, `${late} of ${CLIENTS} came back twice: ${attempts}`);
  const { pools } = await world.upstream.stats();
  const upstream = pools.map((/** @type {any} */ pool) => pool.refused_requests + pool.refused_input + pool.refused_output);
  assert.deepEqual(upstream.filter(Boolean), []);
});
