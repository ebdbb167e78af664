// 90 s of demand at 1.5 times the provider's output limit, by clients that wait
// up to 120 s: nothing is refused upstream, nobody sees an error.
//
// In real time: the provider's buckets and the Gate's mirror both live by the
// clock, and a scaled one would prove something else.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, open } from "./world.mjs";

const DEMAND_MS = 90_000;
const OTPM = 60_000;
const TOKENS = 500;
const OVERLOAD = 1.5;
const EVERY_MS = DEMAND_MS / ((OVERLOAD * OTPM * (DEMAND_MS / 60_000)) / TOKENS);

/** @type {import("./world.mjs").World} */
let world;
before(async () => {
  world = await open({
    flags: ["--rpm", "1000", "--itpm", "2000000", "--otpm", String(OTPM), "--ttft-ms", "200", "--tokens-per-s", "200"],
    account: { limits: { "*": { rpm: 1000, itpm: 2_000_000, otpm: OTPM } } },
  });
});
after(() => world?.close());

test("overload is waited out, not refused", { timeout: 300_000 }, async () => {
  const key = await world.key();
  /** @type {number[]} */
  const waits = [];
  /** @type {string[]} */
  const errors = [];
  const client = async (/** @type {number} */ i) => {
    const response = await world.post(key, ask(`Write report ${i}`, { max_tokens: 1000, stream: i % 2 === 0 }, `output-tokens=${TOKENS}`), {
      headers: { "x-tollgate-max-wait": "120" },
    });
    const text = await response.text();
    if (response.status !== 200 || /"type": ?"error"/.test(text)) errors.push(`${response.status} ${text.slice(-300)}`);
    waits.push(Number(response.headers.get("x-tollgate-wait-ms")));
  };
  const running = [];
  // First the full bucket's worth at once: without it 90 s would not overload.
  const burst = OTPM / TOKENS;
  for (let i = 0; i < burst; i++) running.push(client(i));
  const began = Date.now();
  for (let i = 0; i * EVERY_MS < DEMAND_MS; i++) {
    // The demand's own pace, which is the experiment, not a wait for a result.
    await new Promise((resolve) => setTimeout(resolve, began + i * EVERY_MS - Date.now()));
    running.push(client(burst + i));
  }
  await Promise.all(running);
  const seconds = (Date.now() - began) / 1000;
  const stats = await world.stats();
  waits.sort((a, b) => a - b);
  console.log(
    `overload: ${running.length} requests in ${seconds.toFixed(1)} s; output limit used ${((100 * stats.output_tokens) / stats["could.output_tokens"]).toFixed(1)} %;` +
      ` waits p50 ${waits[waits.length >> 1]} ms, p95 ${waits[Math.floor(waits.length * 0.95)]} ms`,
  );
  assert.deepEqual(errors, []);
  assert.ok(waits[Math.floor(waits.length * 0.95)] > 5_000, "it was an overload");
  const refused = Object.entries(stats).filter(([name]) => /refused/.test(name));
  assert.ok(refused.length > 0, "the emulator counts refusals");
  assert.equal(refused.reduce((sum, [, n]) => sum + n, 0), 0, JSON.stringify(refused));
  assert.equal(stats.granted, running.length);
});
