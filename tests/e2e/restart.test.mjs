// The Gate restarts alone (a deploy, a move to another host), its isolates live on:
// they tell it at once what runs, so that it neither overruns a limit nor gives a
// place away twice.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, open, until } from "./world.mjs";

const DEBUG = new URL("../../dist/edge-debug", import.meta.url).pathname;
const STREAMS = 12;
/** As many as run, and not one place more. */
const PLACES = STREAMS + 1;
const RESTART = { "x-debug-restart": "1" };

/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let key;

before(async () => {
  const limits = { "*": { rpm: 100_000, itpm: 100_000_000, otpm: 100_000_000, concurrent: PLACES } };
  world = await open({ bundle: DEBUG, account: { limits }, flags: ["--rpm", "100000", "--itpm", "100000000", "--otpm", "100000000"] });
  key = await world.key();
});
after(() => world?.close());

/** @returns {Promise<number>} tickets that the Gate knows to be open */
async function known() {
  return (await world.admin("GET", "/admin/config")).gate.open;
}

test("what runs is known again before any of it renews its ticket by itself", async () => {
  // 24 s each: less than the span in which a running request renews its ticket.
  const slow = ask("A slow stream", { stream: true, max_tokens: 600 }, "output-tokens=480;tokens-per-s=20");
  const streams = await Promise.all(Array.from({ length: STREAMS }, () => world.post(key, slow)));
  assert.deepEqual(new Set(streams.map(({ status }) => status)), new Set([200]));
  await until(async () => (await known()) === STREAMS);

  const restarting = await world.post(key, ask("Restart"), { headers: RESTART });
  assert.equal(restarting.status, 200, await restarting.text());
  const seen = await until(async () => {
    const [open, { in_flight: running }] = [await known(), await world.stats()];
    return open === STREAMS || running < STREAMS ? { open, running } : undefined;
  });
  assert.equal(seen.running, STREAMS, "they still run");
  assert.equal(seen.open, STREAMS);

  // One place is left: of two that would not wait for it, one gets it.
  const me = ask("Me", {}, "output-tokens=60;tokens-per-s=20");
  const both = await Promise.all([me, me].map((body) => world.post(key, body, { headers: { "x-tollgate-max-wait": "0" } })));
  await Promise.all(both.map((response) => response.text()));
  assert.deepEqual(both.map(({ status }) => status).sort(), [200, 429]);

  await Promise.all(streams.map((stream) => stream.text()));
  await until(async () => (await known()) === 0);
  const { in_flight: running } = await world.stats();
  assert.equal(running, 0);
});

test("who waits while it restarts hears nothing of it", async () => {
  const slow = ask("A slow one", { stream: true, max_tokens: 100 }, "output-tokens=60;tokens-per-s=20");
  const streams = await Promise.all(Array.from({ length: PLACES }, () => world.post(key, slow)));
  assert.deepEqual(new Set(streams.map(({ status }) => status)), new Set([200]));
  const waiting = Array.from({ length: STREAMS }, (_, i) =>
    world.post(key, ask(`Wait ${i}`, {}, "output-tokens=5"), { headers: { "x-tollgate-max-wait": "60" } }),
  );
  await until(async () => (await world.admin("GET", "/admin/config")).gate.waiting[1] === STREAMS);

  const restarting = await world.post(key, ask("Restart"), { headers: RESTART });
  assert.equal(restarting.status, 200, await restarting.text());
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200, await answer.text());
  await Promise.all(streams.map((stream) => stream.text()));
  await until(async () => (await known()) === 0);
});
