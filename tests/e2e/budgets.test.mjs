// Budgets by day, week and month, in a time zone, of models and paced; what is
// spent outlives a crash, and what is unsound is refused by its path.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { ask, MODEL, open } from "./world.mjs";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ZONE = "Pacific/Auckland";

/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let state;
/** @type {string[]} */
const logs = [];

before(async () => {
  state = await mkdtemp(path.join(tmpdir(), "tollgate-budgets-"));
  world = await open({
    state,
    log: (line) => logs.push(line),
    tenants: {
      weekly: { budgets: [{ window: "week", zone: ZONE, starts: "sunday", requests: 5 }] },
      moving: { budgets: [{ window: "month", starts: "rolling", tokens: 5_000_000 }] },
      models: { budgets: [{ window: "day", requests: 1, models: ["claude-opus-*"] }] },
      soft: { budgets: [{ window: "month", requests: 2, hard: false }] },
      paced: { budgets: [{ window: "week", zone: ZONE, pace: "even", requests: 700 }] },
    },
    vars: { TOLLGATE_GATE: { budgets: [{ window: "month", zone: ZONE, usd: 1_000 }] } },
  });
});
after(async () => {
  await world?.close();
  await rm(state, { recursive: true, force: true });
});

/**
 * @param {string} key
 * @param {Record<string, any>} [more]
 */
async function send(key, more) {
  const response = await world.post(key, ask("What is left?", more));
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/**
 * @param {string} key
 * @param {string} kind
 */
async function limit(key, kind) {
  const { limits } = await world.get(key, "/v1/limits");
  return limits.find((/** @type {any} */ one) => one.kind === kind);
}

/** Milliseconds since the last midnight in ZONE, on a day without a change of clocks. */
function sinceMidnight() {
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: ZONE, hourCycle: "h23", weekday: "short", hour: "numeric", minute: "numeric", second: "numeric" }).formatToParts();
  const of = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  const day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].indexOf(of.weekday);
  return { day, ms: (Number(of.hour) * 3_600 + Number(of.minute) * 60 + Number(of.second)) * 1_000 };
}

test("a week's budget refuses until its first day's midnight in its zone, and a crash forgets nothing", async () => {
  const key = await world.key("weekly");
  for (let i = 0; i < 2; i++) assert.equal((await send(key)).status, 200);
  await world.restart();
  for (let i = 0; i < 3; i++) assert.equal((await send(key)).status, 200);
  const refused = await send(key);
  assert.equal(refused.status, 429);
  assert.equal(refused.body.error.details.error_code, "tollgate_budget_spent");
  assert.match(refused.body.error.message, /0 of 5 requests week left \(tenant\)/);
  assert.match(String(refused.headers.get("ratelimit-policy")), /"tenant-requests-week";q=5;w=604800/);
  const { day, ms } = sinceMidnight();
  const left = (7 - day) * DAY_MS - ms;
  // The clocks of some week may change: an hour either way.
  const told = Number(refused.headers.get("retry-after")) * 1_000;
  assert.ok(Math.abs(told - left) <= HOUR_MS + 60_000, `${told} of ${left}`);
});

test("a month that moves along is told with what it holds", async () => {
  const key = await world.key("moving");
  const { status, body } = await send(key);
  assert.equal(status, 200);
  const used = body.usage.input_tokens + body.usage.output_tokens;
  const { level, capacity, resets_ms } = await limit(key, "tokens_month");
  assert.equal(capacity, 5_000_000);
  assert.ok(level <= 5_000_000 - used && level > 4_990_000, `${level}`);
  assert.ok(resets_ms > 0 && resets_ms <= DAY_MS, `${resets_ms}`);
});

test("a budget of models counts only them", async () => {
  const key = await world.key("models");
  const opus = { model: "claude-opus-5" };
  assert.equal((await send(key, opus)).status, 200);
  assert.equal((await send(key, opus)).status, 429);
  assert.equal((await send(key, { model: MODEL })).status, 200);
  assert.deepEqual((await limit(key, "requests_day")).models, ["claude-opus-*"]);
});

test("a soft budget refuses nothing and is told of in the log", async () => {
  const key = await world.key("soft");
  for (let i = 0; i < 3; i++) assert.equal((await send(key)).status, 200);
  const reached = () => logs.find((line) => line.includes("budget_reached") && line.includes("tenant/soft") && line.includes('"percent":100'));
  // The settlement of the second request rides on a later call.
  for (let i = 0; reached() === undefined && i < 50; i++) assert.equal((await send(key)).status, 200);
  assert.match(String(reached()), /"kind":"requests_month","percent":100,"limit":2,"hard":false/);
});

test("a paced week leaves the other days their shares", async () => {
  const key = await world.key("paced");
  assert.equal((await send(key)).status, 200);
  // Monday first: so many days' shares are open; a midnight may pass meanwhile.
  const days = () => ((sinceMidnight().day + 6) % 7) + 1;
  const before = days();
  const { level } = await limit(key, "requests_week");
  const isOf = (/** @type {number} */ day) => level >= day * 100 - 2 && level < day * 100;
  assert.ok(isOf(before) || isOf(days()), `${level} on day ${before}`);
});

test("an unknown zone and an unsound budget are refused by their path", async () => {
  const apply = (/** @type {any} */ budget) => world.admin("PUT", "/admin/tenants", { tenants: { wrong: { budgets: [budget] } } });
  await assert.rejects(apply({ window: "week", zone: "Mars/Olympus", requests: 1 }), /answers 400.*tenants\.wrong\.budgets\[0\]\.zone: there is no time zone Mars\/Olympus/);
  await assert.rejects(apply({ window: "week", starts: "rolling", requests: 1 }), /tenants\.wrong\.budgets\[0\]\.starts/);
  await assert.rejects(apply({ window: "fortnight", requests: 1 }), /answers 400/);
});
