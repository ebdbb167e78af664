// The page at /, as a person sees it, from the real gateway.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { ANSWER, puppet, SSE } from "../e2e/puppet.mjs";
import { open, until } from "../e2e/world.mjs";
import { launch, noChromium } from "./chromium.mjs";
import { visit } from "./visitor.mjs";

const options = { skip: noChromium };
if (noChromium) console.log(`# The page's tests are left out: ${noChromium}`);

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("../e2e/puppet.mjs").Puppet} */
let provider;
/** @type {import("../e2e/world.mjs").World} */
let world;
/** @type {import("playwright-core").Page} */
let page;
/** @type {import("./visitor.mjs").Visitor["complaints"]} */
let complaints;
/** @type {import("./visitor.mjs").Visitor["text"]} */
let text;
/** @type {import("./visitor.mjs").Visitor["seen"]} */
let seen;

before(async () => {
  if (noChromium) return;
  provider = await puppet();
  const tenants = { acme: { limits: { rpm: 60 }, budgets: [{ window: "day", usd: "5.00" }] }, slow: { limits: { rpm: 1 } } };
  world = await open({ provider: provider.url, tenants });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await world?.close();
  await provider?.close();
});

beforeEach(async () => {
  if (noChromium) return;
  ({ page, complaints, text, seen } = await visit(browser, world.gateway.url));
});
afterEach(() => page?.close());

/** @param {string} key */
async function send(key, prompt = "Hello") {
  await page.fill("#key", key);
  await page.fill("#prompt", prompt);
  await page.click("#send");
}

test("a prompt goes in, and its answer is read while it is written", options, async () => {
  const key = await world.key();
  await send(key, "What is a queue?");
  const exchange = await provider.next();
  const asked = JSON.parse(exchange.body.toString());
  assert.deepEqual(asked.messages, [{ role: "user", content: "What is a queue?" }]);
  assert.deepEqual([asked.stream, asked.max_tokens, asked.model], [true, 512, "claude-sonnet-5-5"]);
  assert.equal(exchange.request.headers["x-api-key"], "sk-ant-emulator");

  exchange.head(200, { "content-type": "text/event-stream; charset=utf-8" });
  await exchange.write(SSE.start + SSE.open + SSE.text("A line <b>of"));
  await seen("#text", "A line <b>of");
  assert.equal(await page.getAttribute("#answer", "aria-busy"), "true");
  assert.equal(await page.isEnabled("#stop"), true);

  await exchange.write(SSE.text("</b> waiters.") + SSE.close + SSE.delta(7) + SSE.stop);
  exchange.end();
  await page.waitForSelector('#answer[aria-busy="false"]');
  assert.equal(await text("#text"), "A line <b>of</b> waiters.");
  const facts = await text("#facts");
  for (const part of [/Waited in the gate\s+\d/, /Input tokens\s+10/, /Output tokens\s+7/, /Ended by\s+end turn/, /Request id\s+tgr_/]) assert.match(facts, part);
  assert.match(await text("#said"), /complete: 7 tokens/);
  await seen("#meters", "Tenant: requests a minute");
  await seen("#meters", "of $5.00");

  const kept = await page.evaluate(() => JSON.stringify([location.href, document.cookie, { ...localStorage }, { ...sessionStorage }]));
  assert.ok(!kept.includes(key), "the key is neither stored nor in the address");
  assert.deepEqual(complaints, []);
});

test("a wrong key: the gate's sentence, its code, and the key's place is kept", options, async () => {
  await send("tg_sk_wrong");
  await seen("#problem-says", "not a key of this gate");
  assert.equal(await text("#problem-code"), "401 · tollgate_key_invalid");
  assert.match(await text("#said"), /^Not answered: /);
  assert.equal(await page.isEnabled("#send"), true);
  // Chromium itself reports a status of 401 as an error; there may be no other.
  assert.deepEqual(complaints.filter((line) => !line.includes("401")), []);
});

test("a provider's key is stopped in the page", options, async () => {
  await send("sk-ant-api03-secret");
  await seen("#key-wrong", "provider’s key");
  assert.equal(await page.isVisible("#answer"), false);
  assert.equal(await page.evaluate(() => document.activeElement?.id), "key");
  assert.deepEqual(complaints, []);
});

test("a limit that is reached: the sentence, and the time counts down", options, async () => {
  const key = await world.key("slow");
  const first = world.post(key, { model: "claude-sonnet-5-5", max_tokens: 8, messages: [{ role: "user", content: "Hi" }] });
  const exchange = await provider.next();
  exchange.head(200, { "content-type": "application/json" });
  await exchange.write(JSON.stringify(ANSWER));
  exchange.end();
  await first;
  await page.fill("#max-wait", "0");
  await send(key);
  await seen("#problem-code", "429 · tollgate_tenant_limit");
  await seen("#problem-wait", "Try again in ");
  assert.match(await text("#said"), /Refused in this browser, nothing was sent: .*Try again in \d+ seconds\./);
});

test("Stop ends the request upstream, and what came stays", options, async () => {
  await send(await world.key());
  const exchange = await provider.next();
  exchange.head(200, { "content-type": "text/event-stream; charset=utf-8" });
  await exchange.write(SSE.start + SSE.open + SSE.text("Half of"));
  await seen("#text", "Half of");
  await page.click("#stop");
  let left = false;
  void exchange.left.then(() => (left = true));
  // A browser closes politely, and workerd hears of it when it writes again.
  await until(async () => (await exchange.write(SSE.text(" more")).catch(() => {}), left));
  await page.waitForSelector('#answer[aria-busy="false"]');
  assert.equal(await text("#text"), "Half of");
  assert.match(await text("#facts"), /Ended by\s+stopped by you/);
  assert.deepEqual(complaints, []);
});

test("a stream that breaks off is told as not complete", options, async () => {
  await send(await world.key());
  const exchange = await provider.next();
  exchange.head(200, { "content-type": "text/event-stream; charset=utf-8" });
  await exchange.write(SSE.start + SSE.open + SSE.text("Half of"));
  await seen("#text", "Half of");
  exchange.cut();
  await seen("#problem-code", "tollgate_stream_broken");
  assert.equal(await text("#text"), "Half of");
});

test("what the gate has learned of estimates changes the count that is shown, untyped", options, async () => {
  let weight = 2_000;
  const told = await world.get(await world.key(), "/v1/limits");
  told.next_poll_ms = 1_000;
  await page.route("**/v1/limits", (route) => {
    told.models["claude-sonnet-5-5"].calibration = { weights: Array(8).fill(weight), lower: [900, 900, 900], upper: [1_100, 1_100, 1_100] };
    return route.fulfill({ json: told });
  });
  const shown = async () => Number((await text("#count")).replace(/\D/g, ""));
  await page.fill("#prompt", "Whoever stands before the gate is told how long to wait. ".repeat(20));
  await until(async () => (await shown()) > 200);
  const before = await shown();
  assert.doesNotMatch(await text("#how"), /95/);
  await page.fill("#key", await world.key());
  await page.press("#key", "Tab");
  await until(async () => (await shown()) === 2 * before);
  assert.match(await text("#how"), /of 100 requests 95 lie between/);
  weight = 3_000;
  await until(async () => (await shown()) === 3 * before);
  assert.deepEqual(complaints, []);
});

test("a viewer's token shows the state part by part", options, async () => {
  await page.click("#parts summary");
  await page.fill("#token", await world.gateway.token("viewer"));
  await page.press("#token", "Enter");
  await seen("#checks", "signing secret");
  await seen("#checks", "binding GATE");
  assert.deepEqual(complaints, []);
});

test("by keyboard alone, in 360 pixels, nothing is cut off or unnamed", options, async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "no sideways scrolling");
  await page.focus("#tab-js");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "tab-curl");
  assert.match(await text("#panel-curl"), new RegExp(`^[^]*curl -sS ${world.gateway.url}/v1/messages`));
  assert.equal(await page.isVisible("#panel-js"), false);
  const unnamed = await page.evaluate(() =>
    [...document.querySelectorAll("input, textarea")].filter((field) => !(/** @type {HTMLInputElement} */ (field).labels?.length)).map((field) => field.id),
  );
  assert.deepEqual(unnamed, []);
  assert.deepEqual(complaints, []);
});

test("the policy lets no inline script or style, and nobody else's", options, async () => {
  const policy = (await fetch(`${world.gateway.url}/`)).headers.get("content-security-policy") ?? "";
  for (const rule of ["default-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self'", "require-trusted-types-for 'script'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) assert.ok(policy.split("; ").includes(rule), rule);
  assert.deepEqual(policy.match(/[a-z-]*unsafe[a-z-]*/g), ["wasm-unsafe-eval"], "WebAssembly is compiled, and nothing else evaluated");
  // It is in force: what it forbids is refused and complained of.
  const complaint = page.waitForEvent("console", (message) => message.text().includes("Content Security Policy"));
  await page.evaluate(() => document.body.setAttribute("style", "color: red"));
  await complaint;
  assert.equal(await page.evaluate(() => document.body.style.color), "");
});

test("as it is deployed, the page holds no key and shows no emulator", options, async () => {
  assert.equal(await page.isVisible("#emulator"), false);
  assert.equal((await fetch(`${world.gateway.url}/emulator/stats`)).status, 404);
  const www = new URL("../../www/", import.meta.url);
  const files = (await readdir(www, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  for (const { parentPath, name } of files) assert.doesNotMatch(await readFile(`${parentPath}/${name}`, "latin1"), /\b(tg_(sk|pk|vt|ad)_|sk-ant-)[\w-]{8}/, name);
  assert.ok(files.length > 15);
  assert.deepEqual(complaints, []);
});

test("an expired token: the limits and the answer say so, and what to do", options, async () => {
  await world.admin("PUT", "/admin/tenants", { tenants: { pages: { publishable: { origins: ["*"], models: ["claude-*"], max_tokens: 1024, visitor: { limits: { rpm: 60 } }, usd_day: "5.00" } } } });
  const { token } = await (await world.post(await world.key("pages"), { user: "late", ttl_s: 1 }, { path: "/v1/visitors" })).json();
  await until(async () => {
    const response = await fetch(`${world.gateway.url}/v1/limits`, { headers: { "x-api-key": token } });
    await response.text();
    return response.status === 401;
  });
  await send(token);
  await seen("#limits-says", "this key has expired");
  await page.waitForSelector("#problem:not([hidden])");
  assert.equal(await text("#problem-title"), "Not answered");
  assert.match(await text("#problem-says"), /this key has expired/);
  assert.match(await text("#problem-code"), /401 · tollgate_key_expired/);
  // The browser itself names an answer of 401; nothing else complains.
  assert.ok(complaints.every((complaint) => complaint.includes("401")), complaints.join("\n"));
});
