// Invariant 8: after kill -9 under load, and after a panic of the wasm, spend
// is recorded in full, no reservation is lost, and the next request works.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { ask, events, open, until } from "./world.mjs";

const DEBUG = new URL("../../dist/edge-debug", import.meta.url).pathname;
const RELEASE = new URL("../../dist/edge", import.meta.url).pathname;
const CAPACITY = 100_000_000;
const TENANTS = { acme: { limits: { concurrent: 200 }, budgets: [{ window: "day", tokens: CAPACITY, requests: 1_000_000, usd: "10000" }] } };
const PANIC = { "x-debug-panic": "1" };

/** @type {string} */
let state;
/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let key;

before(async () => {
  state = await mkdtemp(path.join(tmpdir(), "tollgate-crash-"));
  world = await open({ state, bundle: DEBUG, tenants: TENANTS, flags: ["--rpm", "1000000", "--itpm", "1000000000", "--otpm", "1000000000", "--tokens-per-s", "400", "--ttft-ms", "5"] });
  key = await world.key();
});
after(async () => {
  await world?.close();
  await rm(state, { recursive: true, force: true });
});

/** @returns {Promise<number>} tokens of today's budget that are recorded as spent */
async function recorded() {
  const { limits } = await world.get(key, "/v1/limits");
  const { level, capacity } = limits.find((/** @type {any} */ limit) => limit.kind === "tokens_day");
  assert.equal(capacity, CAPACITY);
  return capacity - level;
}

/** @returns {Promise<number>} tokens that the provider counted */
async function spent() {
  const stats = await world.stats();
  return stats.input_tokens + stats.output_tokens;
}

test("kill -9 under load forgets no spend, and the next request works", async () => {
  /** @type {Promise<unknown>[]} */
  const load = [];
  let finished = 0;
  const one = async (/** @type {number} */ i) => {
    const response = await world.post(key, ask(`Load ${i}`, { stream: i % 3 !== 0, max_tokens: 400 }, "output-tokens=200"));
    await response.text();
    finished += 1;
  };
  for (let i = 0; i < 60; i++) load.push(one(i).catch(() => {}));
  await until(async () => finished >= 10 && finished < 50);
  await world.restart();
  await Promise.all(load);
  await until(async () => (await world.stats()).in_flight === 0);
  const real = await spent();
  const after = await recorded();
  console.log(`crash: spent ${real}, recorded ${after} tokens`);
  assert.ok(real > 0);
  assert.ok(after >= real, `recorded ${after} < spent ${real}`);
  const response = await world.post(key, ask("After the crash", {}, "output-tokens=5"));
  assert.equal(response.status, 200, await response.text());
  await until(async () => (await recorded()) >= (await spent()));
});

test("a second crash at once adds nothing without end", async () => {
  const before = await recorded();
  await world.restart();
  const first = await recorded();
  await world.restart();
  const second = await recorded();
  assert.ok(first >= before && second >= first);
  // A chunk at most each time: the settings' bound on what a restart may waste.
  assert.ok(second - before <= CAPACITY / 10, `${before} ${first} ${second}`);
});

test("a panic in the middle of a request is that request's error, streams are closed, the next works", async () => {
  const running = await world.post(key, ask("A long stream", { stream: true, max_tokens: 4000 }, "output-tokens=2000;tokens-per-s=2000"));
  const reader = /** @type {ReadableStream<Uint8Array>} */ (running.body).getReader();
  const first = await reader.read();
  const panicked = await world.post(key, ask("Panic"), { headers: PANIC });
  assert.equal(panicked.status, 500);
  const answer = await panicked.json();
  assert.equal(answer.type, "error");
  assert.equal(answer.error.details.error_code, "tollgate_internal");
  assert.match(answer.request_id, /^tgr_/);
  assert.equal(panicked.headers.get("request-id"), answer.request_id);

  // It ends by itself: either whole, or with the closing error event.
  const decoder = new TextDecoder();
  let text = decoder.decode(first.value, { stream: true });
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  assert.ok(["message_stop", "error"].includes(events(text).at(-1)?.event ?? ""), text.slice(-500));

  assert.equal((await world.post(key, ask("After the panic", {}, "output-tokens=5"))).status, 200);
  await until(async () => (await world.stats()).in_flight === 0);
  await until(async () => (await recorded()) >= (await spent()));
});

test("panics under load lose no reservation", async () => {
  const held = async () => {
    const { limits } = await world.get(key, "/v1/limits");
    const { capacity, level } = limits.find((/** @type {any} */ limit) => limit.kind === "concurrent");
    return capacity - level;
  };
  // Those that the crashes before left, until every isolate must have told.
  const before = await held();
  const statuses = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const response = await world.post(key, ask(`Mixed ${i}`, {}, "output-tokens=20"), { headers: i % 8 === 0 ? PANIC : {} });
      await response.text();
      return response.status;
    }),
  );
  assert.equal(statuses.filter((status) => status === 500).length >= 5, true, statuses.join(" "));
  await until(async () => (await world.stats()).in_flight === 0);
  await until(async () => (await recorded()) >= (await spent()));
  // Whose outcome is unknown keeps its slot until its ticket expires
  // (invariant 2), and no more than those do.
  const now = await held();
  console.log(`crash: ${now - before} concurrency slots wait for their tickets to expire`);
  assert.ok(now >= 0 && now - before <= 41, `${now} after ${before}`);
});

test("the release has no route that panics", async () => {
  const release = await open({ bundle: RELEASE });
  try {
    const response = await release.post(await release.key(), ask("Panic"), { headers: PANIC });
    assert.equal(response.status, 200, await response.text());
  } finally {
    await release.close();
  }
});
