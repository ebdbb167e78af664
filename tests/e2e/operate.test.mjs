// Keys, tenants, health, CORS, the cache and the page, from outside.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { sign } from "./sign.mjs";
import { ask, MODEL, open, until } from "./world.mjs";

/** @type {import("./world.mjs").World} */
let world;
/** @type {string} */
let key;
before(async () => {
  world = await open({ vars: { TOLLGATE_GATE: { origins: ["https://app.example.com"] } } });
  key = await world.key();
});
after(() => world?.close());
beforeEach(() => world.upstream.reset());

test("health is alive, readiness ready, and tells a viewer each part in words", async () => {
  assert.equal((await fetch(`${world.gateway.url}/healthz`)).status, 200);
  const plain = await fetch(`${world.gateway.url}/readyz`);
  assert.equal(plain.status, 200);
  const words = await world.admin("GET", "/readyz", undefined, "viewer");
  assert.ok(words.checks.length >= 3, JSON.stringify(words));
  assert.ok(words.checks.every((/** @type {any} */ check) => check.ok && check.says), JSON.stringify(words));
});

test("the page is served, and the API is not shadowed by it", async () => {
  const page = await fetch(`${world.gateway.url}/`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-type") ?? "", /^text\/html/);
  assert.match(await page.text(), /<title>Tollgate/);
  assert.equal((await fetch(`${world.gateway.url}/v1/nothing`)).status, 404);
});

test("limits tell every model, the queue and when to ask again", async () => {
  const answer = await world.get(key, "/v1/limits");
  assert.equal(typeof answer.version, "number");
  assert.ok(Math.abs(answer.at_ms - Date.now()) < 60_000);
  assert.ok(answer.models[MODEL].max_input_tokens >= 200_000);
  for (const priority of ["critical_ms", "normal_ms", "background_ms"]) assert.equal(typeof answer.queue[priority], "number");
  assert.ok(answer.next_poll_ms > 0);
});

test("an ETag spares the body of unchanged limits", async () => {
  const headers = { "x-api-key": key };
  const first = await fetch(`${world.gateway.url}/v1/limits`, { headers });
  const etag = first.headers.get("etag") ?? "";
  assert.match(etag, /^"/);
  assert.match(first.headers.get("cache-control") ?? "", /private/);
  const second = await fetch(`${world.gateway.url}/v1/limits`, { headers: { ...headers, "if-none-match": etag } });
  assert.equal(second.status, 304);
});

test("CORS: allowed origins, refusals included, and no other", async () => {
  const origin = "https://app.example.com";
  const preflight = await fetch(`${world.gateway.url}/v1/messages`, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "x-api-key,anthropic-version,content-type,x-stainless-lang,x-tollgate-user",
    },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), origin);
  const allowed = (preflight.headers.get("access-control-allow-headers") ?? "").toLowerCase();
  for (const name of ["x-api-key", "anthropic-version", "content-type", "x-stainless-lang", "x-tollgate-user"]) {
    assert.ok(allowed === "*" || allowed.includes(name), `${name} in ${allowed}`);
  }
  for (const [by, status] of [[key, 200], ["tg_sk_no", 401]]) {
    const response = await world.post(String(by), ask("Hello"), { headers: { origin } });
    assert.equal(response.status, status);
    assert.equal(response.headers.get("access-control-allow-origin"), origin);
    const exposed = (response.headers.get("access-control-expose-headers") ?? "").toLowerCase();
    for (const name of ["retry-after", "request-id", "x-should-retry", "x-tollgate-request-id"]) assert.ok(exposed.includes(name), name);
    const other = await world.post(String(by), ask("Hello"), { headers: { origin: "https://evil.example" } });
    assert.notEqual(other.headers.get("access-control-allow-origin"), "https://evil.example");
    await other.text();
  }
});

test("tenants are exported as they were applied; an apply shows its difference and is idempotent", async () => {
  const tenants = (await world.admin("GET", "/admin/tenants")).tenants;
  assert.deepEqual(Object.keys(tenants).sort(), ["acme", "globex"]);
  const changed = { ...tenants, acme: { ...tenants.acme, limits: { rpm: 77 } }, initech: {} };
  const put = (/** @type {boolean} */ dry_run, prune = false, wanted = changed) => world.admin("PUT", "/admin/tenants", { tenants: wanted, prune, dry_run });
  const dry = await put(true);
  assert.ok(dry.changes.length >= 2, JSON.stringify(dry));
  assert.deepEqual(Object.keys((await world.admin("GET", "/admin/tenants")).tenants).sort(), ["acme", "globex"]);
  await put(false);
  assert.equal((await put(false)).changes.length, 0);
  const { initech: _, ...without } = changed;
  assert.equal((await put(false, false, /** @type {any} */ (without))).changes.length, 0, "nothing is removed unasked");
  await put(false, true, /** @type {any} */ ({ acme: tenants.acme, globex: tenants.globex }));
  assert.deepEqual(Object.keys((await world.admin("GET", "/admin/tenants")).tenants).sort(), ["acme", "globex"]);
});

test("an unsound tenants' file changes nothing and names every mistake", async () => {
  await assert.rejects(
    world.admin("PUT", "/admin/tenants", { tenants: { acme: { limits: { rpmm: 1 } } }, prune: false, dry_run: false }),
    /rpmm/,
  );
  await assert.rejects(
    world.admin("PUT", "/admin/tenants", { tenants: { "bad name": {} }, prune: false, dry_run: false }),
    /bad name/,
  );
});

test("the signing secret is rotated without a broken key", async () => {
  const state = await mkdtemp(path.join(tmpdir(), "tollgate-rotate-"));
  const first = await open({ state });
  const old = await first.key();
  await first.close();
  const rotated = await open({
    state,
    env: { TOLLGATE_SECRET: randomBytes(32).toString("base64url"), TOLLGATE_SECRET_PREVIOUS: first.secret },
  });
  try {
    assert.equal((await rotated.post(old, ask("Hello"))).status, 200, "signed by the previous secret");
    assert.equal((await rotated.post(await rotated.key(), ask("Hello"))).status, 200, "signed by the new one");
  } finally {
    await rotated.close();
  }
  const gone = await open({ state });
  try {
    assert.equal((await gone.post(old, ask("Hello"))).status, 401, "no longer accepted once the secret is gone");
  } finally {
    await gone.close();
    await rm(state, { recursive: true, force: true });
  }
});

test("keys of the kinds that are not in use yet are refused in words", async () => {
  for (const prefix of /** @type {const} */ (["tg_pk_", "tg_vt_"])) {
    const response = await world.post(sign(world.secret, prefix, { tenant: "acme" }), ask("Hello"));
    assert.ok([401, 403].includes(response.status));
    assert.equal((await response.json()).type, "error");
  }
});

test("a cached answer replays, a stream as a stream, and only where asked for", async () => {
  const ask1 = (/** @type {boolean} */ stream, /** @type {Record<string, string>} */ headers) =>
    world.post(key, ask("Cache me", { stream }), { headers });
  for (const stream of [false, true]) {
    const plain = await ask1(stream, {});
    await plain.text();
    assert.notEqual(plain.headers.get("x-tollgate-cache"), "hit", "off by default");
    const first = await (await ask1(stream, { "x-tollgate-cache": "default; ttl=60" })).text();
    const second = await ask1(stream, { "x-tollgate-cache": "default; ttl=60" });
    assert.equal(second.headers.get("x-tollgate-cache"), "hit");
    assert.match(second.headers.get("content-type") ?? "", stream ? /^text\/event-stream/ : /^application\/json/);
    assert.equal(await second.text(), first);
    const skipped = await ask1(stream, { "x-tollgate-cache": "skip" });
    assert.notEqual(skipped.headers.get("x-tollgate-cache"), "hit");
    await skipped.text();
  }
});

test("nothing broken, failed or cut is ever cached", async () => {
  const headers = { "x-tollgate-cache": "default; ttl=60" };
  for (const [control, stream] of /** @type {const} */ ([
    ["fault=cut;after=2", true],
    ["fault=end-early;after=2", true],
    ["fault=error-mid-stream;after=2", true],
    ["fault=500", false],
  ])) {
    for (const _ of [1, 2]) {
      const response = await world.post(key, ask("Do not cache", { stream }, control), { headers });
      await response.text().catch(() => {});
      assert.notEqual(response.headers.get("x-tollgate-cache"), "hit", control);
    }
  }
});

test("what an answer costs and where it came from is told in headers", async () => {
  const response = await world.post(key, ask("Hello", {}, "output-tokens=20"));
  await response.text();
  assert.match(response.headers.get("x-tollgate-request-id") ?? "", /./);
  assert.equal(response.headers.get("x-tollgate-provider"), "anthropic");
  assert.equal(response.headers.get("x-tollgate-model"), MODEL);
  assert.equal(response.headers.get("x-tollgate-attempts"), "1");
  assert.ok(Number(response.headers.get("x-tollgate-cost-microusd")) >= 200, "20 output tokens at $10 a million, and the input");
  assert.match(response.headers.get("x-tollgate-wait-ms") ?? "", /^\d+$/);
});

test("an owner denies an admin token; an operator cannot, and a mistyped key id is 404", async () => {
  const id = "denyme";
  const token = sign(world.secret, "tg_ad_", { id, role: "operator", expires_ms: Date.now() + 600_000 });
  const call = (/** @type {string} */ method, /** @type {string} */ path, /** @type {string} */ bearer) =>
    fetch(world.gateway.url + path, { method, headers: { authorization: `Bearer ${bearer}` } });
  assert.equal((await call("DELETE", "/admin/keys/nosuchkey", token)).status, 404);
  assert.equal((await call("GET", "/admin/keys", token)).status, 200);
  assert.equal((await call("DELETE", `/admin/tokens/${id}`, token)).status, 403);
  const owner = await world.gateway.token("owner");
  assert.equal((await call("DELETE", `/admin/tokens/${id}`, owner)).status, 200);
  assert.equal((await call("GET", "/admin/keys", token)).status, 401);
  const ready = await (await call("GET", "/readyz", token)).json();
  assert.deepEqual([ready.ready, ready.checks], [true, null], "a denied token reads no details");
});

test("listing models takes nothing from the tenant's limits", async () => {
  await world.admin("PUT", "/admin/tenants", {
    tenants: { few: { limits: { concurrent: 1 }, models: ["claude-sonnet-*"] } },
    prune: false,
    dry_run: false,
  });
  const few = await world.key("few");
  for (let i = 0; i < 3; i++) {
    const answer = await world.post(few, ask("hello"));
    assert.equal(answer.status, 200, await answer.text());
    assert.ok((await world.get(few, "/v1/models")).data.length > 0);
  }
});

test("a revoked key reads no cached answer, and `only` asks nobody", async () => {
  const mine = await world.gateway.key("acme");
  const cached = { headers: { "x-tollgate-cache": "default" } };
  const body = ask(`cached ${randomBytes(4).toString("hex")}`);
  await (await world.post(mine.key, body, cached)).text();
  const hit = await world.post(mine.key, body, cached);
  assert.equal(hit.headers.get("x-tollgate-cache"), "hit");
  await hit.text();
  const only = await world.post(mine.key, ask("never asked"), { headers: { "x-tollgate-cache": "only" } });
  assert.equal(only.status, 504);
  await world.admin("DELETE", `/admin/keys/${mine.id}`);
  const revoked = Date.now();
  await until(async () => {
    const answer = await world.post(mine.key, body, cached);
    await answer.text();
    return answer.status === 401;
  });
  const late = Date.now() - revoked;
  // The isolate's copy of the policy is at most 10 s old; one more for the asking.
  assert.ok(late < 11_000, `a revoked key read the cache for ${late} ms`);
});
