// examples/visitors in Chromium: the server mints, the page asks and streams, and
// what everybody can read there opens nothing else.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { ask, open, until } from "../e2e/world.mjs";
import { splitLines } from "../serve/serve.mjs";
import { launch, noChromium } from "./chromium.mjs";
import { barriers } from "./visitor.mjs";

const options = { skip: noChromium };
const SERVER = new URL("../../examples/visitors/server.mjs", import.meta.url).pathname;

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("../e2e/world.mjs").World} */
let world;
/** Where the example's server is. */
let site = "";
/** Its secret. */
let secret = "";
/** @type {import("node:child_process").ChildProcess} */
let child;
/** @type {import("playwright-core").Page} */
let page;
/** All that the page was sent. @type {string[]} */
let received = [];

before(async () => {
  if (noChromium) return;
  [world, browser] = await Promise.all([open({ tenants: { shop: {} }, vars: { TOLLGATE_GATE: { proxy: { header: "x-real-ip" } } } }), launch()]);
  secret = await world.key("shop");
  child = spawn(process.execPath, [SERVER], { env: { ...process.env, GATE: world.gateway.url, TOLLGATE_KEY: secret, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] });
  site = await new Promise((resolve, reject) => {
    child.once("close", (code) => reject(new Error(`the server ended with ${code}`)));
    splitLines(child.stdout, (line) => line.startsWith("ready ") && resolve(line.slice(6)));
  });
  // Before anybody asks: the isolate has no older copy of the policy.
  await world.admin("PUT", "/admin/tenants", {
    tenants: { shop: { publishable: { origins: [site], models: ["claude-haiku-*"], max_tokens: 256, visitor: { limits: { rpm: 60 }, budgets: [{ window: "day", tokens: 50_000 }] }, usd_day: "5.00" } } },
  });
});
after(async () => {
  child?.kill();
  await browser?.close();
  await world?.close();
});
beforeEach(async () => {
  if (noChromium) return;
  await world.upstream.reset();
  received = [];
  page = await browser.newPage();
  page.on("response", (response) => void response.text().then((text) => received.push(text, JSON.stringify(response.headers())), () => {}));
  await page.goto(site);
});
afterEach(() => page?.close());

/** @param {string} question */
async function type(question) {
  await page.fill("input", question);
  await page.click("button");
  await page.waitForSelector("button:not([disabled])");
  return page.innerText("output");
}

/** A token of the page's own visitor. */
const token = () => page.evaluate(async () => (await (await fetch("/token", { method: "POST" })).json()).token);

/** Requests for a message that reached the provider. */
async function arrived() {
  const { answers } = await world.upstream.stats();
  return Object.values(answers).reduce((/** @type {number} */ sum, count) => sum + Number(count), 0);
}

test("the server mints, the page asks, and its stream is shown; the secret stays on the server", options, async () => {
  const answer = await type("What is a queue?");
  assert.ok(answer.length > 20 && !/tollgate_|broke off/.test(answer), answer);
  assert.equal(await arrived(), 1);
  assert.ok((await page.evaluate(() => document.querySelector("output")?.childNodes.length ?? 0)) > 2, "it came in pieces");
  assert.ok(received.length > 2 && !received.join().includes(secret) && !received.join().includes("tg_sk_"), "no secret came to the page");
  assert.match(await page.evaluate(() => document.cookie), /^$/, "the visitor's name is no script's to read");
});

test("axe-core finds nothing in dark or light, as it opens and answered; the keyboard alone asks", options, async () => {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    await page.emulateMedia({ colorScheme });
    await page.goto(site);
    assert.deepEqual(await barriers(page), [], `${colorScheme}, as it opens`);
    await page.keyboard.press("Tab");
    await page.keyboard.type("What is a gate?");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector("button:not([disabled])") && (document.querySelector("output")?.textContent?.length ?? 0) > 20);
    assert.deepEqual(await barriers(page), [], `${colorScheme}, answered`);
  }
});

test("a token that has expired is renewed once, and its visitor sees an answer; one that stays refused says why", options, async () => {
  const expired = await world.post(secret, { user: "late", ttl_s: 1 }, { path: "/v1/visitors" });
  const { token } = await expired.json();
  await until(async () => {
    const response = await fetch(`${world.gateway.url}/v1/limits`, { headers: { "x-api-key": token, origin: site } });
    await response.text();
    return response.status === 401;
  });
  let asked = 0;
  const stale = { json: { token, gate: world.gateway.url, expires_ms: Date.now() + 600_000 } };
  await page.route("**/token", (route) => (asked++ === 0 ? route.fulfill(stale) : route.continue()));
  const answer = await type("Hello");
  assert.ok(answer.length > 20 && !/tollgate_/.test(answer), answer);
  assert.deepEqual([asked, await arrived()], [2, 1]);
  await page.unroute("**/token");
  await page.reload();
  await page.route("**/token", (route) => (asked++, route.fulfill(stale)));
  assert.match(await type("Hello"), /^x-api-key: this key has expired\..*tollgate_key_expired/);
  assert.deepEqual([asked, await arrived()], [4, 1]);
});

test("a limit is said in the gate's words", options, async () => {
  const { token } = await (await world.post(secret, { user: "small", ttl_s: 60, tokens: 20 }, { path: "/v1/visitors" })).json();
  await page.route("**/token", (route) => route.fulfill({ json: { token, gate: world.gateway.url, expires_ms: Date.now() + 60_000 } }));
  assert.match(await type("Hello"), /more than its limit|larger/);
  assert.equal(await arrived(), 0);
});

test("a thief's script with the page's token: neither from the page nor from another site does it open more", options, async () => {
  const stolen = await token();
  const tries = {
    "a dearer model": [{ model: "claude-opus-5-5" }, {}],
    "more output": [{ max_tokens: 257 }, {}],
    "a server tool": [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, {}],
    "an MCP server": [{ mcp_servers: [{ type: "url", url: "https://x.example", name: "x" }] }, {}],
    "the fast mode": [{ speed: "fast" }, {}],
    "a field of the future": [{ anything: true }, {}],
    "a beta": [{}, { "anthropic-beta": "files-api-2025-04-14" }],
    "another user": [{}, { "x-tollgate-user": "bob" }],
    "a longer wait": [{}, { "x-tollgate-max-wait": "600" }],
    "a higher priority": [{}, { "x-tollgate-priority": "critical" }],
  };
  /** In the page: what each call came to, as a script there can read it. */
  const steal = (/** @type {any} */ { gate, stolen, tries, body }) => {
    const call = (/** @type {string} */ path, /** @type {RequestInit} */ init) =>
      fetch(gate + path, init).then(async (response) => [response.status, (await response.json()).error?.details?.error_code], (error) => ["blocked", error.name]);
    const headers = { "x-api-key": stolen, "anthropic-version": "2026-10-21", "content-type": "application/json" };
    const post = (/** @type {string} */ path, /** @type {any} */ body, more = {}) => call(path, { method: "POST", headers: { ...headers, ...more }, body: JSON.stringify(body) });
    return Promise.all([
      ...Object.entries(tries).map(async ([name, [change, more]]) => [name, ...(await post("/v1/messages", { ...body, ...change }, more))]),
      ...["/v1/visitors", "/v1/messages/batches", "/admin/keys"].map(async (path) => [path, ...(await post(path, { user: "u", ttl_s: 60, tenant: "shop" }))]),
      ...["/v1/models", "/v1/files", "/admin/keys", "/admin/tenants"].map(async (path) => [`GET ${path}`, ...(await call(path, { headers }))]),
    ]);
  };
  const body = ask("Hello", { model: "claude-haiku-4-5" });
  const given = { gate: world.gateway.url, stolen, tries, body };
  for (const [name, status, code] of await page.evaluate(steal, given)) {
    // A preflight that the gate does not answer is a refusal, too.
    if (status === "blocked") continue;
    assert.ok([403, 404].includes(status), `${name}: ${status} ${code}`);
    assert.match(code, /^tollgate_/, name);
  }
  const evil = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Evil</title>"));
  await new Promise((resolve) => evil.listen(0, "127.0.0.1", () => resolve(undefined)));
  try {
    const { port } = /** @type {import("node:net").AddressInfo} */ (evil.address());
    await page.goto(`http://127.0.0.1:${port}/`);
    const [plain, ...others] = await page.evaluate(steal, { ...given, tries: { "as the page does": [{}, {}], ...tries } });
    assert.deepEqual(plain, ["as the page does", 403, "tollgate_origin_not_allowed"]);
    for (const [name, status] of others) assert.ok(["blocked", 403, 404].includes(status), `${name}: ${status}`);
    // What the example's server answers is not for another origin's scripts.
    const minted = await page.evaluate((site) => fetch(`${site}/token`, { method: "POST", credentials: "include" }).then((response) => response.status, () => "blocked"), site);
    assert.equal(minted, "blocked");
  } finally {
    evil.close();
    evil.closeAllConnections();
  }
  assert.equal(await arrived(), 0, "nothing reached the provider");
});
