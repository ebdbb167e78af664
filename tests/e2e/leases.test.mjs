// Far from every limit an isolate is lent tickets and admits by them without
// asking: nothing is counted twice or forgotten, and what is not used comes back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, open, until } from "./world.mjs";

/** Well above the demand at which an isolate asks for a lease. */
const REQUESTS = 60;

const BUDGET = 1_000_000_000;

/** Known beforehand, so that no answer need teach them. */
const LIMITS = { limits: { "*": { rpm: 1_000_000, itpm: 1_000_000_000, otpm: 1_000_000_000 } } };

/** @type {import("./world.mjs").World} */
let world;
before(async () => {
  const budgets = [{ window: "day", tokens: BUDGET }];
  const tenants = { acme: { budgets }, globex: { users: { limits: { rpm: 100_000 } } }, initech: {} };
  world = await open({ account: LIMITS, tenants });
});
after(() => world?.close());

/** What the Gate tells its operator. */
async function gate() {
  return (await world.admin("GET", "/admin/config")).gate;
}

/**
 * @param {string} key
 * @param {object} [options] of world.post
 */
async function send(key, options) {
  const response = await world.post(key, ask("Lend me a ticket"), options);
  return { status: response.status, usage: (await response.json()).usage };
}

test("requests go by leases; what they use is counted once, what is left comes back", async () => {
  const key = await world.key("acme");
  const { calls } = await gate();
  let used = 0;
  for (let i = 0; i < REQUESTS; i++) {
    const { status, usage } = await send(key);
    assert.equal(status, 200);
    used += usage.input_tokens + usage.output_tokens;
  }
  const busy = await gate();
  assert.ok(busy.calls - calls < REQUESTS / 2, `${busy.calls - calls} calls for ${REQUESTS} requests`);
  assert.ok(busy.pools.some((/** @type {{lent: number}} */ pool) => pool.lent > 0), "nothing is lent");
  await until(async () => (await gate()).open === 0);
  const { limits } = await world.get(key, "/v1/limits");
  const budget = limits.find((/** @type {{kind: string}} */ limit) => limit.kind === "tokens_day");
  assert.equal(budget.level, BUDGET - used);
});

test("a stream by a lent ticket settles, and one that its client leaves, too", async () => {
  const key = await world.key("initech");
  for (let i = 0; i < REQUESTS; i++) {
    const left = new AbortController();
    const leaves = i % 3 === 2;
    const long = { stream: true, max_tokens: 20_000 };
    const body = leaves ? ask("Lend me one", long, "output-tokens=20000;tokens-per-s=50") : ask("Lend me one", { stream: true });
    const response = await world.post(key, body, { signal: left.signal });
    assert.equal(response.status, 200);
    if (leaves) left.abort();
    else assert.match(await response.text(), /message_stop/);
  }
  await until(async () => (await gate()).open === 0);
  assert.equal((await world.stats()).in_flight, 0);
});

test("what long streams leave of a lease comes back while they run", async () => {
  const key = await world.key("initech");
  const left = new AbortController();
  const body = ask("Lend me one", { stream: true, max_tokens: 20_000 }, "output-tokens=20000;tokens-per-s=50");
  // Held, because a response that nobody holds is cancelled.
  const streams = [];
  for (let i = 0; i < 10; i++) streams.push(await world.post(key, body, { signal: left.signal }));
  assert.ok(streams.every(({ status }) => status === 200));
  assert.ok((await gate()).open > 10, "nothing is lent");
  await until(async () => (await gate()).open === 10);
  assert.equal((await world.stats()).in_flight, streams.length);
  left.abort();
  await until(async () => (await gate()).open === 0);
});

test("a key that is revoked while a lease is out ends with the lease", async () => {
  const { key, id } = await world.gateway.key("initech");
  for (let i = 0; i < REQUESTS; i++) await send(key);
  await world.admin("DELETE", `/admin/keys/${id}`);
  await until(async () => (await send(key)).status === 401);
  assert.equal((await send(key)).status, 401, "and stays refused");
});

test("requests of an end user ask each time: its limits are its own", async () => {
  const key = await world.key("globex");
  const { calls } = await gate();
  for (let i = 0; i < REQUESTS; i++) {
    assert.equal((await send(key, { headers: { "x-tollgate-user": "ada" } })).status, 200);
  }
  assert.ok((await gate()).calls - calls >= REQUESTS);
});

test("without leases every request asks", async () => {
  const asking = await open({ account: LIMITS, vars: { TOLLGATE_GATE: { leases: false } } });
  try {
    const key = await asking.key();
    const calls = async () => (await asking.admin("GET", "/admin/config")).gate.calls;
    const before = await calls();
    for (let i = 0; i < REQUESTS; i++) assert.equal((await asking.post(key, ask("Ask"))).status, 200);
    assert.ok((await calls()) - before >= REQUESTS);
  } finally {
    await asking.close();
  }
});
