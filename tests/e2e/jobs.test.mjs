// Jobs: a budget reserved up front, and calls that draw on it, by the official SDK.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { migrate, plan } from "../../examples/migration/migrate.mjs";
import { ask, MODEL, open, until } from "./world.mjs";

/** 400 requests a minute for the tenants together: the flood's are many more. */
const FLAGS = ["--instant", "--rpm", "400", "--itpm", "10000000", "--otpm", "10000000"];
const STEPS = 12;
/** What all steps can use and one again, and one request's more. */
const BUDGET = { window: "day", requests: STEPS + 2, tokens: 40_000, usd: "20" };
const BUDGETED = { budgets: [BUDGET] };

/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let state;

before(async () => {
  state = await mkdtemp(path.join(tmpdir(), "tollgate-jobs-"));
  const names = ["acme", "rival", "alone", "small", "kept", "killed", "broken", "slow"];
  world = await open({
    state,
    flags: FLAGS,
    tenants: { ...Object.fromEntries(names.map((name) => [name, BUDGETED])), globex: {}, flood: {} },
  });
});
after(async () => {
  await world?.close();
  await rm(state, { recursive: true, force: true });
});

/**
 * @param {string} key
 * @param {string} method
 * @param {string} [id]
 * @param {object} [body]
 */
async function jobs(key, method, id, body) {
  const response = await fetch(`${world.gateway.url}/v1/jobs${id === undefined ? "" : `/${id}`}`, {
    method,
    headers: { "x-api-key": key, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

function blog(articles = STEPS) {
  const db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE articles (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT");
  const insert = db.prepare("INSERT INTO articles (body) VALUES (?)");
  for (let n = 0; n < articles; n++) insert.run(`Article ${n}: ${"The gate keeps what was promised. ".repeat(20)}`);
  return db;
}

/** @param {DatabaseSync} db */
const summaries = (db) => db.prepare("SELECT count(summary) AS n FROM articles").get()?.n;

/**
 * Others of its own tenant spend on the same budget, and another tenant floods the
 * account, until `work` is done.
 *
 * @template T
 * @param {string} tenant
 * @param {(spend: () => Promise<unknown>) => Promise<T>} work
 */
async function pressed(tenant, work) {
  const [own, other] = await Promise.all([world.key(tenant), world.key("flood")]);
  let isOver = false;
  const flood = async () => {
    for (let n = 0; !isOver; n++) {
      const response = await world.post(other, ask(`${n}`), { headers: { "x-tollgate-max-wait": "1" } });
      await response.arrayBuffer();
    }
  };
  const floods = Array.from({ length: 20 }, flood);
  try {
    // What a job holds may come back: without an end to its patience it would wait.
    const impatient = { headers: { "x-tollgate-max-wait": "2" } };
    return await work(async () => (await world.post(own, ask("mine, too"), impatient)).arrayBuffer());
  } finally {
    isOver = true;
    await Promise.all(floods);
  }
}

test("a migration that reserved first never stops half-way, whoever floods the gate", async () => {
  const db = blog();
  const key = await world.key("acme");
  const done = await pressed("acme", (spend) =>
    migrate({ db, url: world.gateway.url, key, model: MODEL, step: () => spend() }),
  );
  assert.deepEqual([done, summaries(db)], [STEPS, STEPS]);
  assert.deepEqual((await jobs(key, "GET")).body, { jobs: [] }, "it was released");
  assert.equal((await world.post(key, ask("more"))).status, 200, "with the attempt that no step needed twice");
  assert.equal((await world.post(key, ask("more"))).status, 429, "and others had the rest of the budget");
});

test("without a job the same budget refuses the same migration half-way", async () => {
  const db = blog();
  const key = await world.key("rival");
  const stopped = pressed("rival", (spend) =>
    migrate({ db, url: world.gateway.url, key, model: MODEL, reserves: false, maxRetries: 0, step: () => spend() }),
  );
  await assert.rejects(stopped, (error) => error instanceof Anthropic.RateLimitError && /tollgate_budget_spent/.test(error.message));
  const n = Number(summaries(db));
  assert.ok(n > 0 && n < STEPS, `${n} of ${STEPS} steps`);
});

test("a run that was killed leaves its job, and the next one finishes all the same", async () => {
  const db = blog();
  const key = await world.key("killed");
  const run = (/** @type {(done: number) => unknown} */ step) => migrate({ db, url: world.gateway.url, key, model: MODEL, step });
  // The first never goes on.
  await new Promise((half, fails) => {
    run((done) => done < STEPS / 2 || new Promise(() => half(undefined))).catch(fails);
  });
  assert.equal(await run(() => {}), STEPS / 2);
  assert.equal(summaries(db), STEPS);
});

test("a step whose answer breaks is charged and asked again, and the last one goes all the same", async () => {
  const db = blog();
  const key = await world.key("broken");
  await world.upstream.faults([{ what: "cut", after: 2, next: 1 }]);
  assert.equal(await migrate({ db, url: world.gateway.url, key, model: MODEL }), STEPS);
});

test("a migration that takes longer than its job lives renews it", async () => {
  const db = blog(4);
  const key = await world.key("slow");
  const ttl_s = 2;
  /** Until the job is half over. */
  const dawdle = () =>
    until(async () => {
      const { body } = await jobs(key, "GET", "summaries");
      return body.expires_ms === undefined || body.expires_ms - Date.now() < (ttl_s * 1000) / 2 - 100;
    });
  assert.equal(await migrate({ db, url: world.gateway.url, key, model: MODEL, ttl_s, step: dawdle }), 4);
});

test("a migration too large for what is left is refused up front, with the time, and changes nothing", async () => {
  const key = await world.key("small");
  for (let n = 0; n < 5; n++) assert.equal((await world.post(key, ask("Hello"))).status, 200);
  const refused = await jobs(key, "POST", undefined, { requests: STEPS, tokens: 1000, usd: 1 });
  assert.equal(refused.status, 429, JSON.stringify(refused.body));
  assert.equal(refused.body.error.details.error_code, "tollgate_budget_spent");
  const midnight = 86_400 - (Date.now() / 1000) % 86_400;
  assert.ok(Math.abs(Number(refused.headers.get("retry-after")) - midnight) < 60, "until the day ends");
  const db = blog();
  await assert.rejects(migrate({ db, url: world.gateway.url, key, model: MODEL }), /budget/);
  assert.throws(() => summaries(db), /no such column/);
  assert.equal(plan(db).steps.length, STEPS);
});

test("a job is shown, resized, renewed and released, and other tenants never see it", async () => {
  const [key, other] = await Promise.all([world.key("alone"), world.key("globex")]);
  const asked = { id: "j", requests: 5, tokens: 5_000, usd: "2.50", ttl_s: 60 };
  const made = await jobs(key, "POST", undefined, asked);
  assert.equal(made.status, 200, JSON.stringify(made.body));
  assert.deepEqual(made.body.left, { requests: 5, tokens: 5_000, microusd: 2_500_000 });
  const again = await jobs(key, "POST", undefined, { ...asked, requests: 6, ttl_s: 600 });
  assert.equal(again.body.reserved.requests, 6);
  assert.ok(again.body.expires_ms > made.body.expires_ms + 500_000);

  const sdk = new Anthropic({ baseURL: world.gateway.url, apiKey: key, maxRetries: 0, defaultHeaders: { "x-tollgate-job": "j" } });
  await sdk.messages.create(ask("Hello"));
  for await (const _ of await sdk.messages.create({ ...ask("Hello"), stream: true }));
  const { body } = await until(async () => {
    const shown = await jobs(key, "GET", "j");
    return shown.body.used.requests === 2 ? shown : undefined;
  });
  assert.ok(body.used.tokens > 0 && body.used.microusd > 0 && body.held.requests === 0);
  assert.deepEqual((await jobs(key, "GET")).body.jobs, [body]);
  assert.deepEqual((await world.admin("GET", "/admin/jobs")).map((/** @type {any} */ job) => job.id).includes("j"), true);

  for (const method of ["GET", "DELETE"]) {
    const refused = await jobs(other, method, "j");
    assert.deepEqual([refused.status, refused.body.error.details.error_code], [404, "tollgate_job_unknown"]);
  }
  assert.deepEqual((await jobs(other, "GET")).body, { jobs: [] });
  const theirs = await world.post(other, ask("Hello"), { headers: { "x-tollgate-job": "j" } });
  assert.equal(theirs.status, 404, await theirs.text());

  const large = await world.post(key, ask("Hello", { max_tokens: 20_000 }), { headers: { "x-tollgate-job": "j" } });
  assert.equal((await large.json()).error.details.error_code, "tollgate_job_spent");
  assert.equal(large.headers.get("x-should-retry"), "false");
  assert.equal((await jobs(key, "DELETE", "j")).body.used.requests, 2);
  assert.equal((await jobs(key, "GET", "j")).status, 404);
});

test("a job outlives a crash of the gate", async () => {
  const key = await world.key("kept");
  await jobs(key, "POST", undefined, { id: "j", requests: 5, tokens: 5_000, usd: 1, ttl_s: 600 });
  await world.restart();
  const { body } = await jobs(key, "GET", "j");
  assert.deepEqual(body.left, { requests: 5, tokens: 5_000, microusd: 1_000_000 });
});

test("what makes no sense is refused by its field", async () => {
  const key = await world.key("globex");
  const sound = { requests: 1, tokens: 1, usd: 1 };
  for (const [body, field] of /** @type {const} */ ([
    [{ tokens: 1, usd: 1 }, "requests"],
    [{ ...sound, usd: 1.5 }, "usd"],
    [{ ...sound, ttl_s: 0 }, "ttl_s"],
    [{ ...sound, id: "a/b" }, "id"],
    [{ ...sound, extra: 1 }, "extra"],
  ])) {
    const refused = await jobs(key, "POST", undefined, body);
    assert.equal(refused.status, 400);
    assert.ok(refused.body.error.message.includes(field), refused.body.error.message);
  }
  const both = await world.post(key, ask("Hello"), { headers: { "x-tollgate-job": "j", "x-tollgate-user": "ann" } });
  assert.match((await both.json()).error.message, /^x-tollgate-job/);
  const publishable = await jobs("tg_pk_x", "POST", undefined, sound);
  assert.equal(publishable.status, 401);
});
