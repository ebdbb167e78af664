// Tenants and end users try to reach each other's answers, counts and limits
// (invariants 6 and 7).

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { ask, open } from "./world.mjs";

/** @type {import("./world.mjs").World} */
let world;
/** @type {{acme: string, globex: string}} */
let keys;

before(async () => {
  const budgets = [{ window: "day", tokens: 1_000_000, requests: 1000 }];
  const users = { limits: { rpm: 3 } };
  world = await open({
    vars: { TOLLGATE_CACHE: { enabled: true } },
    tenants: { acme: { budgets, users }, globex: { budgets, users }, small: { limits: { rpm: 2 } } },
  });
  keys = { acme: await world.key("acme"), globex: await world.key("globex") };
});
after(() => world?.close());
beforeEach(() => world.upstream.reset());

test("the same question of the same tenant is answered from the cache, of another it is not", async () => {
  const body = ask("What is the capital of Norway?");
  const first = await world.post(keys.acme, body);
  const text = await first.text();
  assert.equal(first.status, 200, text);
  const again = await world.post(keys.acme, body);
  assert.equal(again.headers.get("x-tollgate-cache"), "hit");
  assert.equal(await again.text(), text);
  const other = await world.post(keys.globex, body);
  assert.notEqual(other.headers.get("x-tollgate-cache"), "hit");
  assert.notEqual(JSON.parse(await other.text()).id, JSON.parse(text).id);
  assert.equal((await world.stats()).granted, 2);
});

test("one end user's answer is not another's", async () => {
  const body = ask("What is my name?");
  const by = (/** @type {string} */ user) => world.post(keys.acme, body, { headers: { "x-tollgate-user": user } });
  await (await by("ann")).text();
  const same = await by("ann");
  assert.equal(same.headers.get("x-tollgate-cache"), "hit");
  await same.text();
  const bob = await by("bob");
  assert.notEqual(bob.headers.get("x-tollgate-cache"), "hit");
  await bob.text();
});

test("names that run into each other are different users", async () => {
  const body = ask("Who am I?");
  const pairs = [
    ["acme", "x:y"],
    ["acme", "x"],
    ["globex", "x"],
    ["globex", "acme:x"],
  ];
  for (const [tenant, user] of pairs) {
    const response = await world.post(keys[/** @type {"acme"} */ (tenant)], body, { headers: { "x-tollgate-user": user } });
    assert.notEqual(response.headers.get("x-tollgate-cache"), "hit", `${tenant} ${user}`);
    await response.text();
  }
  assert.equal((await world.stats()).granted, pairs.length);
});

test("what one tenant spends does not show in another's limits", async () => {
  const before = await world.get(keys.globex, "/v1/limits");
  for (let i = 0; i < 5; i++) await (await world.post(keys.acme, ask(`Spend ${i}`))).text();
  const mine = await world.get(keys.acme, "/v1/limits");
  const other = await world.get(keys.globex, "/v1/limits");
  const left = (/** @type {any} */ answer) =>
    answer.limits.find((/** @type {any} */ limit) => limit.kind === "requests_day").level;
  assert.equal(left(other), left(before));
  assert.ok(left(mine) < left(other));
  assert.ok(!JSON.stringify(other).includes("acme"));
});

test("without the scope `account` no account level is shown, with it they are", async () => {
  await (await world.post(keys.acme, ask("Learn"))).text();
  const plain = await world.get(keys.acme, "/v1/limits");
  assert.ok(!plain.limits.some((/** @type {any} */ limit) => limit.scope === "account"), JSON.stringify(plain));
  const scoped = await world.get(await world.key("acme", { scope: "account" }), "/v1/limits");
  assert.ok(scoped.accounts?.length > 0, JSON.stringify(scoped));
  assert.ok(scoped.accounts.every((/** @type {any} */ account) => account.pool.class && account.limits.length), JSON.stringify(scoped));
  assert.equal(plain.accounts, undefined);
});

test("one end user's flood leaves the other its share", async () => {
  const by = async (/** @type {string} */ user, /** @type {number} */ i) =>
    (
      await world.post(keys.globex, ask(`Flood ${user} ${i}`), {
        headers: { "x-tollgate-user": user, "x-tollgate-max-wait": "0" },
      })
    ).status;
  const flood = [];
  for (let i = 0; i < 10; i++) flood.push(await by("loud", i));
  assert.ok(flood.filter((status) => status === 429).length >= 5, flood.join(" "));
  assert.equal(await by("quiet", 0), 200);
});

test("one tenant's flood leaves the other its share, and is told when to come back", async () => {
  const small = await world.key("small");
  const flood = await Promise.all(
    Array.from({ length: 30 }, (_, i) => world.post(small, ask(`Flood ${i}`), { headers: { "x-tollgate-max-wait": "0" } })),
  );
  const refused = flood.filter((response) => response.status === 429);
  assert.equal(refused.length, 28);
  for (const response of refused) {
    assert.ok(Number(response.headers.get("retry-after")) > 0);
    assert.ok(response.headers.get("ratelimit"));
    const { error } = await response.json();
    assert.equal(error.type, "rate_limit_error");
    assert.equal(error.details.error_code, "tollgate_tenant_limit");
  }
  const other = await world.post(keys.acme, ask("Not in the flood"));
  assert.equal(other.status, 200);
});

test("a tenant's key cannot use the admin API, nor a viewer change anything", async () => {
  const call = (/** @type {string} */ method, /** @type {string} */ path, /** @type {string} */ token) =>
    fetch(world.gateway.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: method === "GET" ? undefined : JSON.stringify({ tenants: {}, prune: true, dry_run: false, tenant: "acme", kind: "secret" }),
    });
  for (const path of ["/admin/tenants", "/admin/keys", "/admin/config"]) {
    const { status } = await call("GET", path, keys.acme);
    assert.ok([401, 403].includes(status), `${path} ${status}`);
  }
  const viewer = await world.gateway.token("viewer");
  assert.equal((await call("GET", "/admin/tenants", viewer)).status, 200);
  assert.equal((await call("PUT", "/admin/tenants", viewer)).status, 403);
  assert.equal((await call("POST", "/admin/keys", viewer)).status, 403);
  const config = await (await call("GET", "/admin/config", viewer)).text();
  assert.ok(!config.includes(world.secret) && !config.includes("sk-ant-emulator"));
});
