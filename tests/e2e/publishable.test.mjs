// What everybody can read: a publishable key and a visitor token in a thief's
// script, from pages of any origin, over HTTP. The tests stand in for a proxy that
// writes cf-connecting-ip, as Cloudflare does.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, beforeEach, test } from "node:test";
import { splitLines } from "../serve/serve.mjs";
import { sign } from "./sign.mjs";
import { ask, chunks, MODEL, open, until } from "./world.mjs";

const ORIGIN = "https://app.example.com";
const EVIL = "https://evil.example.com";
const BETA = "good-2026-01-01";

const PAGES = {
  origins: [ORIGIN],
  models: ["claude-sonnet-5-5", "claude-haiku-*"],
  max_tokens: 100,
  betas: [BETA],
  visitor: { limits: { rpm: 3 }, budgets: [{ window: "day", tokens: 50_000 }] },
  usd_day: "5.00",
};

/** @type {import("./world.mjs").World} */
let world;
/** @type {{secret: string, page: string}} */
let keys;

before(async () => {
  world = await open({
    vars: { TOLLGATE_GATE: { proxy: { header: "cf-connecting-ip" } } },
    tenants: {
      acme: { publishable: PAGES, limits: { rpm: 100_000 }, users: { limits: { rpm: 2 } } },
      fixed: { publishable: { ...PAGES, system: "Answer in French." } },
      poor: { publishable: { ...PAGES, usd_day: "0.001" } },
      closed: {},
    },
  });
  keys = { secret: await world.key("acme"), page: await world.key("acme", { kind: "publishable" }) };
  assert.match(keys.page, /^tg_pk_/);
});
after(() => world?.close());
beforeEach(() => world.upstream.reset());

let addresses = 0;
/** A visitor whom nobody has seen. */
const address = () => `198.51.100.${++addresses}`;

/**
 * @param {string} key
 * @param {unknown} body
 * @param {{headers?: Record<string, string>, path?: string, from?: string}} [options]
 */
const post = (key, body, { headers = {}, path, from = address() } = {}) =>
  world.post(key, body, { path, headers: { origin: ORIGIN, "cf-connecting-ip": from, ...headers } });

/** @param {Record<string, unknown>} [more] */
async function mint(more = {}, key = keys.secret) {
  const response = await world.post(key, { user: "ann", ttl_s: 60, ...more }, { path: "/v1/visitors" });
  const json = await response.json();
  assert.equal(response.status, 200, JSON.stringify(json));
  return json;
}

/**
 * The refusal, as the page may read it.
 *
 * @param {Response} response
 * @param {number} status
 * @param {string} code
 * @param {RegExp} says
 */
async function refused(response, status, code, says) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const { type, error } = JSON.parse(text);
  assert.deepEqual([type, error.details.error_code], ["error", code], text);
  assert.match(error.message, says);
  assert.ok(["*", ORIGIN, EVIL].includes(String(response.headers.get("access-control-allow-origin"))), "a page can read it");
  assert.match(String(response.headers.get("access-control-expose-headers")), /retry-after/);
}

test("a page asks, streams and counts with a publishable key and with a visitor token", async () => {
  const { token, expires_ms } = await mint();
  assert.match(token, /^tg_vt_/);
  assert.ok(expires_ms > Date.now() && expires_ms < Date.now() + 61_000);
  for (const key of [keys.page, token]) {
    const whole = await post(key, ask("Hello"), { headers: { "anthropic-beta": BETA } });
    assert.equal(whole.status, 200, await whole.text());
    const stream = await post(key, ask("Hello", { stream: true }));
    assert.match((await chunks(stream)).join(""), /message_stop/);
    const counted = await post(key, { model: MODEL, messages: ask("Hello").messages }, { path: "/v1/messages/count_tokens" });
    assert.ok((await counted.json()).input_tokens > 0);
  }
  const preflight = await fetch(`${world.gateway.url}/v1/messages`, {
    method: "OPTIONS",
    headers: { origin: ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key,content-type,anthropic-version" },
  });
  assert.equal(preflight.status, 204);
  assert.match(String(preflight.headers.get("access-control-allow-headers")), /x-api-key/);
});

test("a thief's script may do nothing that the page may not", async () => {
  const { token } = await mint({ user: "thief" });
  const no = "tollgate_publishable_key";
  const file = { type: "document", source: { type: "file", file_id: "file_1" } };
  /** @type {[string, Record<string, any>, Record<string, string>, RegExp, string?][]} */
  const tries = [
    ["a server tool", { tools: [{ type: "web_search_20250305", name: "web_search" }] }, {}, /^tools: .*Leave/],
    ["code execution", { tools: [{ type: "code_execution_20250825", name: "code_execution" }] }, {}, /^tools: /],
    ["an MCP server", { mcp_servers: [{ type: "url", url: "https://x.example", name: "x" }] }, {}, /^mcp_servers: /],
    ["a file by its id", { messages: [{ role: "user", content: [file] }] }, {}, /^file_id: .*content itself/],
    ["the fast mode", { speed: "fast" }, {}, /^speed: .*Leave/],
    ["a container", { container: { id: "c_1" } }, {}, /^container: /],
    ["a field of the future", { anything: true }, {}, /^anything: /],
    ["the provider's fallbacks", { fallbacks: "default" }, {}, /^fallbacks: /],
    ["more output", { max_tokens: 101 }, {}, /^max_tokens: .*at most 100/],
    ["a dearer model", { model: "claude-opus-5-5" }, {}, /^model: /, "tollgate_model_not_allowed"],
    ["a dearer fallback", { fallbacks: [{ model: "claude-opus-5-5" }] }, {}, /^model: /, "tollgate_model_not_allowed"],
    ["a beta in the body", { betas: ["files-api-2025-04-14"] }, {}, /^anthropic-beta: .*publishable\.betas/],
    ["a beta in a header", {}, { "anthropic-beta": `${BETA},files-api-2025-04-14` }, /^anthropic-beta: /],
    ["another user", {}, { "x-tollgate-user": "bob" }, /^x-tollgate-user: .*Leave/],
    ["a higher priority", {}, { "x-tollgate-priority": "critical" }, /^x-tollgate-priority: /],
    ["a longer wait", {}, { "x-tollgate-max-wait": "600" }, /^x-tollgate-max-wait: /],
    ["another's answers", {}, { "x-tollgate-cache": "only" }, /^x-tollgate-cache: /],
    ["another origin", {}, { origin: EVIL }, /^origin: .*publishable\.origins/, "tollgate_origin_not_allowed"],
    ["a sandboxed page", {}, { origin: "null" }, /^origin: /, "tollgate_origin_not_allowed"],
  ];
  for (const key of [keys.page, token]) {
    for (const [name, body, headers, says, code = no] of tries) {
      const response = await post(key, ask("Hello", body), { headers });
      if (headers.origin === "null") {
        assert.equal(response.status, 403, name);
        await response.text();
      } else {
        await refused(response, 403, code, says);
      }
    }
    // No origin at all: no page sends that.
    const bare = await world.post(key, ask("Hello"));
    assert.equal(bare.status, 403);
    await bare.text();
    for (const [method, path] of [["GET", "/v1/models"], ["GET", "/v1/files"], ["POST", "/v1/messages/batches"], ["GET", "/admin/keys"], ["POST", "/admin/keys"], ["PUT", "/admin/tenants"], ["POST", "/v1/visitors"]]) {
      const response = await fetch(world.gateway.url + path, {
        method,
        headers: { "x-api-key": key, origin: ORIGIN, "content-type": "application/json" },
        body: method === "GET" ? undefined : JSON.stringify({ tenant: "acme", user: "u", ttl_s: 60, tenants: {}, prune: true }),
      });
      assert.ok([403, 404].includes(response.status), `${path} ${response.status}`);
      assert.ok(response.headers.get("access-control-allow-origin"));
      await response.text();
    }
  }
  assert.equal((await world.stats()).granted ?? 0, 0, "nothing reached the provider");
});

test("a fixed system prompt is sent to the letter, or nothing is", async () => {
  const key = await world.key("fixed", { kind: "publishable" });
  const block = { type: "text", text: "Answer in French." };
  for (const system of [block.text, [block], [{ ...block, cache_control: { type: "ephemeral" } }]]) {
    const right = await post(key, ask("Hello", { system }));
    assert.equal(right.status, 200, await right.text());
  }
  for (const system of [undefined, "Answer in French", [block, block], [{ type: "text", text: "Answer in French" }]])
    await refused(await post(key, ask("Hello", { system })), 403, "tollgate_publishable_key", /^system: .*to the letter/);
});

test("forged, changed, expired and foreign tokens are refused, and the page can read why", async () => {
  const { token } = await mint();
  const middle = token.length >> 1;
  const changed = token.slice(0, middle) + (token[middle] === "A" ? "B" : "A") + token.slice(middle + 1);
  for (const forged of [
    changed,
    token.slice(0, -3),
    token.replace("tg_vt_", "tg_sk_"),
    keys.page.replace("tg_pk_", "tg_sk_"),
    sign("another secret that is long enough ..", "tg_pk_", { tenant: "acme" }),
  ])
    await refused(await post(forged, ask("Hello")), 401, "tollgate_key_invalid", /^x-api-key: /);
  const unregistered = sign(world.secret, "tg_pk_", { tenant: "acme", id: "zzzzzzzzzz" });
  await refused(await post(unregistered, ask("Hello")), 401, "tollgate_key_revoked", /registered|revoked/);
  const brief = (await mint({ ttl_s: 1 })).token;
  await until(async () => {
    const limits = await fetch(`${world.gateway.url}/v1/limits`, { headers: { "x-api-key": brief, origin: ORIGIN } });
    await limits.text();
    return limits.status === 401;
  });
  await refused(await post(brief, ask("Hello")), 401, "tollgate_key_expired", /expired/);
});

test("a visitor token narrows models and amounts, and is minted by secret keys only", async () => {
  const { token } = await mint({ user: "narrow", models: ["claude-haiku-*"], tokens: 400 });
  await refused(await post(token, ask("Hello")), 403, "tollgate_model_not_allowed", /^model: /);
  const haiku = { model: "claude-haiku-4-5" };
  const fits = await post(token, ask("Hello", haiku));
  assert.equal(fits.status, 200, await fits.text());
  const { token: tight } = await mint({ user: "tight", tokens: 40 });
  await refused(await post(tight, ask("Hello")), 400, "tollgate_larger_than_limit", /visitor/);
  const { token: poor } = await mint({ user: "poor", usd: "0.000001" });
  await refused(await post(poor, ask("Hello")), 400, "tollgate_larger_than_limit", /visitor/);
  for (const [body, says] of /** @type {[object, RegExp][]} */ ([
    [{ user: "u" }, /ttl_s/],
    [{ user: "u", ttl_s: 0 }, /ttl_s/],
    [{ user: "u", ttl_s: 86_401 }, /ttl_s/],
    [{ user: "", ttl_s: 60 }, /user/],
    [{ user: "u\n", ttl_s: 60 }, /user/],
    [{ user: "u", ttl_s: 60, usd: 0.5 }, /usd|float/],
    [{ user: "u", ttl_s: 60, tokens: 0 }, /tokens/],
    [{ user: "u", ttl_s: 60, role: "owner" }, /role/],
    [{ user: "u", ttl_s: 60, models: Array(17).fill("m") }, /models/],
  ])) {
    const response = await world.post(keys.secret, body, { path: "/v1/visitors" });
    const text = await response.text();
    assert.equal(response.status, 400, text);
    assert.match(text, says);
  }
  const closed = await world.post(await world.key("closed"), { user: "u", ttl_s: 60 }, { path: "/v1/visitors" });
  assert.equal(closed.status, 403, await closed.text());
  await assert.rejects(world.key("closed", { kind: "publishable" }), /publishable/);
});

test("what a visitor token says holds for its life, and its visitor's next token begins anew", async () => {
  const look = async (/** @type {string} */ key) => {
    const response = await fetch(`${world.gateway.url}/v1/limits`, { headers: { "x-api-key": key, origin: ORIGIN } });
    const { limits } = await response.json();
    const life = limits.find((/** @type {any} */ limit) => limit.kind === "tokens_life");
    return life && [life.scope, life.level, life.capacity];
  };
  const [first, second] = [await mint({ user: "lives", tokens: 150 }), await mint({ user: "lives", tokens: 150 })];
  assert.deepEqual(await look(first.token), ["visitor", 150, 150]);
  const whole = await post(first.token, ask("Hello"));
  const used = (await whole.json()).usage;
  assert.equal(whole.status, 200);
  const spent = await until(async () => {
    const response = await post(first.token, ask("Hello"));
    if (response.status !== 200) return response;
    await response.text();
  });
  assert.deepEqual([spent.headers.get("retry-after"), spent.headers.get("x-should-retry")], [null, "false"]);
  await refused(spent, 429, "tollgate_budget_spent", /^This visitor token has not enough left .*of 150 tokens of its life left \(visitor\)\. Mint another/);
  assert.deepEqual(await look(second.token), ["visitor", 150, 150], `${used.input_tokens + used.output_tokens} were used by the other`);
  const next = await post(second.token, ask("Hello"));
  assert.equal(next.status, 200, await next.text());
});

test("revoking the minting key ends its tokens at once, the publishable key its page", async () => {
  const made = await world.gateway.key("acme");
  const { token } = await mint({ user: "dies" }, made.key);
  const before = await post(token, ask("Hello"));
  assert.equal(before.status, 200, await before.text());
  await world.admin("DELETE", `/admin/keys/${made.id}`);
  await refused(await post(token, ask("Hello")), 401, "tollgate_key_revoked", /revoked/);
  const page = await world.gateway.key("acme", { kind: "publishable" });
  const answer = await post(page.key, ask("Hello"));
  assert.equal(answer.status, 200, await answer.text());
  await world.admin("DELETE", `/admin/keys/${page.id}`);
  await refused(await post(page.key, ask("Hello")), 401, "tollgate_key_revoked", /revoked/);
  const again = await world.post(made.key, { user: "dies", ttl_s: 60 }, { path: "/v1/visitors" });
  assert.equal(again.status, 401, await again.text());
});

test("each visitor has its own limits: tokens by user, others by address", async () => {
  const until429 = async (/** @type {string} */ key, /** @type {string} */ from) => {
    for (let sent = 0; ; sent++) {
      assert.ok(sent <= PAGES.visitor.limits.rpm, `${sent} requests and no refusal`);
      // More than a minute's refill: it could wait, so a bare script is patient.
      const response = await post(key, ask("Hello"), { from, headers: { "x-stainless-timeout": "1" } });
      if (response.status !== 200) {
        await refused(response, 429, "tollgate_user_limit", /of 3 requests left \(visitor\)/);
        return sent;
      }
      await response.text();
    }
  };
  const one = "2001:db8:7:7::1";
  assert.equal(await until429(keys.page, one), 3);
  assert.equal(await until429(keys.page, "2001:db8:7:7:ffff::2"), 0, "the same /64");
  assert.equal(await until429(keys.page, "2001:db8:7:8::1"), 3, "another");
  const [eve, mal] = [await mint({ user: "eve" }), await mint({ user: "mal" })];
  assert.equal(await until429(eve.token, one), 3, "a token is a visitor of its own");
  assert.equal(await until429((await mint({ user: "eve" })).token, address()), 0, "its next token is the same visitor");
  assert.equal(await until429(mal.token, one), 3, "another user");
  const server = await world.post(keys.secret, ask("Hello"), { headers: { "x-tollgate-user": "eve" } });
  assert.equal(server.status, 200, await server.text());
});

test("whoever chooses a header is no other visitor by it: nobody is believed but the named proxy", async () => {
  for (const [proxy, forged] of /** @type {[object | undefined, (i: number) => Record<string, string>][]} */ ([
    [undefined, (i) => ({ "cf-connecting-ip": `203.0.113.${i}`, "x-forwarded-for": `203.0.113.${i}` })],
    [{ header: "x-forwarded-for" }, (i) => ({ "cf-connecting-ip": `203.0.113.${i}`, "x-forwarded-for": `203.0.113.${i}, 198.51.100.7` })],
    [{ header: "x-forwarded-for", hops: 2 }, (i) => ({ "x-real-ip": `203.0.113.${i}`, "x-forwarded-for": `203.0.113.${i}, 198.51.100.7, 10.0.0.${i}` })],
  ])) {
    const open_ = await open({ tenants: { acme: { publishable: PAGES } }, ...(proxy && { vars: { TOLLGATE_GATE: { proxy } } }) });
    try {
      const key = await open_.key("acme", { kind: "publishable" });
      const statuses = [];
      for (let i = 1; i <= 4; i++) {
        const response = await open_.post(key, ask("Hello"), { headers: { origin: ORIGIN, "x-stainless-timeout": "1", ...forged(i) } });
        statuses.push(response.status);
        await response.text();
      }
      assert.deepEqual(statuses, [200, 200, 200, 429], JSON.stringify(proxy));
    } finally {
      await open_.close();
    }
  }
});

test("all visitors share a day's budget; the tenant's servers do not", async () => {
  const key = await world.key("poor", { kind: "publishable" });
  let granted = 0;
  for (;;) {
    const response = await post(key, ask(`Hello ${granted}`));
    if (response.status !== 200) {
      const text = await response.clone().text();
      await refused(response, 429, "tollgate_budget_spent", /budget is spent/);
      // Of the message alone: an id may hold any digits.
      assert.doesNotMatch(JSON.parse(text).error.message, /1000/, "the budget's size is not the visitor's to know");
      break;
    }
    await response.text();
    granted++;
    assert.ok(granted < 50, "a tenth of a cent is soon spent");
  }
  assert.ok(granted > 0);
  const server = await world.post(await world.key("poor"), ask("Hello"));
  assert.equal(server.status, 200, await server.text());
});

test("/v1/limits shows a page its own limits and models, and nothing else", async () => {
  const { token } = await mint({ user: "looks", models: ["claude-haiku-*"] });
  const from = address();
  for (const [key, models] of /** @type {[string, RegExp][]} */ ([[keys.page, /^claude-(sonnet-5-5|haiku-)/], [token, /^claude-haiku-/]])) {
    const response = await fetch(`${world.gateway.url}/v1/limits`, { headers: { "x-api-key": key, origin: ORIGIN, "cf-connecting-ip": from } });
    const limits = await response.json();
    assert.equal(response.status, 200, JSON.stringify(limits));
    assert.deepEqual(limits.limits.map((/** @type {any} */ l) => `${l.scope} ${l.kind} ${l.level}`), ["visitor requests 3", "visitor tokens_day 50000"]);
    assert.ok(Object.keys(limits.models).length > 0);
    for (const model of Object.keys(limits.models)) assert.match(model, models);
    assert.equal(limits.accounts, undefined);
    const evil = await fetch(`${world.gateway.url}/v1/limits`, { headers: { "x-api-key": key, origin: EVIL } });
    await refused(evil, 403, "tollgate_origin_not_allowed", /^origin: /);
    const named = await fetch(`${world.gateway.url}/v1/limits`, { headers: { "x-api-key": key, origin: ORIGIN, "x-tollgate-user": "eve" } });
    await refused(named, 403, "tollgate_publishable_key", /^x-tollgate-user: /);
  }
});

test("the example's server mints for its page's visitor, and the page may ask", async () => {
  const program = new URL("../../examples/visitors/server.mjs", import.meta.url).pathname;
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, GATE: world.gateway.url, TOLLGATE_KEY: await world.key("fixed"), PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    /** @type {string} */
    const site = await new Promise((resolve, reject) => {
      child.once("close", (code) => reject(new Error(`the server ended with ${code}`)));
      splitLines(child.stdout, (line) => line.startsWith("ready ") && resolve(line.slice(6)));
    });
    await world.admin("PUT", "/admin/tenants", { tenants: { fixed: { publishable: { ...PAGES, origins: [site] } } } });
    const page = await fetch(site);
    const html = await page.text();
    assert.ok(!html.includes("tg_sk_"), "the page holds no secret");
    const cookie = String(page.headers.get("set-cookie")).split(";")[0];
    assert.equal((await fetch(`${site}/token`, { method: "POST" })).status, 401, "nobody opened the page");
    const { token, gate } = await (await fetch(`${site}/token`, { method: "POST", headers: { cookie } })).json();
    assert.deepEqual([token.slice(0, 6), gate], ["tg_vt_", world.gateway.url]);
    const body = ask("Hello", { model: "claude-haiku-4-5" });
    const answer = await until(async () => {
      // The isolate's copy of the policy is at most ten seconds old.
      const response = await world.post(token, body, { headers: { origin: site } });
      if (response.status === 200) return response;
      await response.text();
    });
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
    await answer.text();
  } finally {
    child.kill();
  }
});
