// The packed tarball in a plain page in Chromium, without a bundler and under a
// strict policy: counting, the official SDK across origins, tabs, offline.

import assert from "node:assert/strict";
import path from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { launch, noChromium } from "../../tests/browser/chromium.mjs";
import { barriers } from "../../tests/browser/visitor.mjs";
import { open, until } from "../../tests/e2e/world.mjs";
import { project } from "./pack.mjs";
import { site } from "./site.mjs";
import { init, load } from "./source.mjs";

const options = { skip: noChromium };
if (noChromium) console.log(`# The package's tests in a browser are left out: ${noChromium}`);

/** @type {import("./pack.mjs").Project} */
let app;
/** @type {import("./site.mjs").Site} */
let server;
/** @type {import("../../tests/e2e/world.mjs").World} */
let world;
/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("playwright-core").BrowserContext} */
let context;
/** What pages and their policies said. @type {string[]} */
let complaints = [];

const TWO = { limits: { rpm: 2 } };
const PAGES = { origins: ["*"], models: ["claude-haiku-*"], max_tokens: 64, visitor: { limits: { rpm: 600 } }, usd_day: "5.00" };
const TENANTS = { free: {}, refused: TWO, shared: TWO, unmeasured: TWO, pages: { publishable: PAGES } };

before(async () => {
  if (noChromium) return;
  [app, browser, world] = await Promise.all([project(), launch(), open({ tenants: TENANTS, vars: { TOLLGATE_GATE: { origins: ["*"] } } }), init()]);
});
after(async () => {
  await Promise.all([browser?.close(), app?.remove(), world?.close()]);
});
beforeEach(async () => {
  if (noChromium) return;
  complaints = [];
  await world.upstream.reset();
  server = await site(path.join(app.dir, "node_modules/tollgate"), world.gateway.url);
  context = await browser.newContext();
});
afterEach(async () => {
  await context?.close();
  await server?.close();
});

/** A tab of the app. @param {string} [query] */
async function tab(query = "") {
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(`${server.url}/${query}`);
  await page.waitForFunction(() => "app" in window);
  return page;
}

/** Requests for a message that reached the provider. */
async function arrived() {
  const { answers } = await world.upstream.stats();
  return Object.values(answers).reduce((/** @type {number} */ sum, count) => sum + Number(count), 0);
}

/**
 * Makes a guarded client in the page, `window.client`; what its callbacks hear is
 * in `window.heard`.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} key
 * @param {object} [guarding] beside the gate's address and key
 */
async function client(page, key, guarding = {}) {
  await page.evaluate(
    ({ url, key, guarding }) => {
      const { app } = /** @type {any} */ (window);
      const heard = /** @type {any} */ ({ refused: [], unchecked: [], snapshots: 0 });
      const fetch = app.guard({
        limits: `${url}/v1/limits`,
        key,
        onRefuse: (/** @type {any} */ refusal) => heard.refused.push(refusal.code),
        onUnchecked: (/** @type {any} */ { reason }) => heard.unchecked.push(reason),
        onSnapshot: () => (heard.snapshots += 1),
        ...guarding,
      });
      const client = new app.Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, dangerouslyAllowBrowser: true, fetch });
      const send = async (/** @type {string} */ text, more = {}) => {
        const body = { model: "claude-sonnet-5-5", max_tokens: 32, messages: [{ role: "user", content: text }], ...more };
        try {
          const message = await client.messages.create(body);
          return { status: 200, text: message.content[0].text };
        } catch (/** @type {any} */ error) {
          const name = ["RateLimitError", "AuthenticationError", "APIConnectionError"].find((name) => error instanceof app.Anthropic[name]);
          return { name, status: error.status, local: error.headers?.get("x-tollgate-local"), after: error.headers?.get("retry-after"), code: error.error?.error?.details?.error_code };
        }
      };
      Object.assign(window, { heard, client, fetch_: fetch, send });
    },
    { url: world.gateway.url, key, guarding },
  );
}

/** @param {import("playwright-core").Page} page @param {string} text @param {object} [more] @returns {Promise<any>} */
const send = (page, text, more) => page.evaluate(([text, more]) => /** @type {any} */ (window).send(text, more), /** @type {const} */ ([text, more]));
/** @param {import("playwright-core").Page} page @returns {Promise<any>} */
const heard = (page) => page.evaluate(() => /** @type {any} */ (window).heard);

test("a plain page counts under a strict policy, in the page and in a web worker, as Node does", options, async () => {
  const page = await tab();
  const text = "The gate decides, the worker carries. 漢字 😀";
  const claude = await load("claude-sonnet-5-5");
  const told = await page.evaluate(async (text) => {
    const { load, loadInWorker } = /** @type {any} */ (window).app;
    const worker = await loadInWorker("claude-sonnet-5-5");
    const [counter, o200k] = await Promise.all([load("claude-sonnet-5-5"), load("o200k_base")]);
    const wrong = await worker.measure({ messages: 5 }).catch((/** @type {any} */ error) => [error.name, error.code]);
    const there = await loadInWorker("o200k_base");
    const asked = /** @type {const} */ ([["count", text], ["bounds", text], ["fits", text, 5], ["fits", text, 50], ["truncate", text, 3, { keep: "tail" }], ["chunk", text, 5, { overlap: 1 }], ["encode", "a<|endoftext|>", { specials: true }], ["decode", o200k.encode(text)], ["measure", { input: text, model: "gpt-5" }]]);
    const exact = await Promise.all(asked.map(([what, ...given]) => there[what](...given)));
    const here = asked.map(([what, ...given]) => o200k[what](...given));
    const refused = await Promise.all([there.encode(text, { specials: 5 }), there.truncate(text, -1), there.decode([1 << 30])].map((call) => call.catch((/** @type {any} */ error) => error.code)));
    const fits = [await worker.fits(text, 1), await worker.fits(text, 1000), "encode" in worker, "document" in there];
    // The page's address, and what is told of a place, is the page's own.
    const bytes = await (await fetch("tollgate/vocabularies/r50k_base.bin")).arrayBuffer();
    const places = ["tollgate/vocabularies/r50k_base.bin", new URL("tollgate/vocabularies/r50k_base.bin", location.href), Promise.resolve(bytes), new Response(bytes), "tollgate/index.html"];
    const given = await Promise.all(places.map((vocabulary) => loadInWorker("r50k_base", { vocabulary }).then((/** @type {any} */ counter) => counter.count(text).finally(counter.close), (/** @type {any} */ error) => error.code)));
    const unknown = await loadInWorker("claude-9").catch((/** @type {any} */ error) => error.code);
    const inWorker = await worker.bounds(text);
    // What is under way when it ends is answered, and so is what comes later.
    const code = (/** @type {any} */ error) => error.code;
    const underWay = worker.count(text.repeat(10_000)).catch(code);
    worker.close();
    const ended = [await underWay, await worker.count(text).catch(code)];
    return { ended, bounds: counter.bounds(text), worker: inWorker, ids: exact[0], same: JSON.stringify(exact) === JSON.stringify(here), isList: exact[6] instanceof Uint32Array, refused, fits, wrong, unknown, given };
  }, text);
  const bounds = claude.bounds(text);
  const { Tiktoken } = await import("./tiktoken.mjs");
  const [ids, r50k] = ["o200k_base", "r50k_base"].map((name) => Tiktoken(name).encode_ordinary(text).length);
  assert.deepEqual(told, { ended: ["not_ready", "not_ready"], bounds, worker: bounds, ids, same: true, isList: true, refused: Array(3).fill("bad_request"), fits: [false, true, false, false], wrong: ["TollgateError", "bad_request"], unknown: "unknown_model", given: [...Array(4).fill(r50k), "bad_vocabulary"] });
  assert.deepEqual(complaints, []);
});

test("a vocabulary is fetched when it is asked for, once for all visits, and again where the kept one is damaged", options, async () => {
  const fetched = () => server.seen.filter((file) => file.endsWith(".bin"));
  const count = (/** @type {import("playwright-core").Page} */ page) => page.evaluate(async () => (await /** @type {any} */ (window).app.load("cl100k_base")).count("Hello, world"));
  const page = await tab();
  assert.deepEqual(fetched(), []);
  assert.equal(await count(page), 3);
  assert.equal(await count(await tab()), 3);
  assert.deepEqual(fetched(), ["/tollgate/vocabularies/cl100k_base.bin"]);
  await page.evaluate(async () => {
    const cache = await caches.open("tollgate-vocabularies");
    const [key] = await cache.keys();
    await cache.put(key, new Response(new Uint8Array([0x1f, 0x8b, 1, 2, 3])));
  });
  assert.equal(await count(await tab()), 3);
  assert.equal(fetched().length, 2);
});

test("a server that falls silent is given up after half a minute, before the module, a vocabulary, a worker's script, or within it", options, async () => {
  for (const [file, call, model, code] of /** @type {const} */ ([
    ["client_bg.wasm", "load", "claude-sonnet-5-5", "no_wasm"],
    ["cl100k_base.bin", "load", "cl100k_base", "bad_vocabulary"],
    ["worker-thread.js", "loadInWorker", "claude-sonnet-5-5", "no_wasm"],
  ]))
    for (const within of [false, true]) {
      // What hangs in one must not hold up the next: a context each.
      const own = await browser.newContext();
      const page = await own.newPage();
      await page.clock.install();
      server.stalls = within ? file : "";
      if (!within) await page.route(`**/${file}`, () => {});
      const begun = within ? page.waitForResponse(`**/${file}`) : page.waitForRequest(`**/${file}`);
      await page.goto(server.url, { waitUntil: "commit" });
      await page.waitForFunction(() => "app" in window);
      const told = page.evaluate(([call, model]) => /** @type {any} */ (window).app[call](model).then(() => null, (/** @type {any} */ error) => ({ code: error.code, message: error.message })), [call, model]);
      await begun;
      await page.clock.fastForward(31_000);
      const error = await told;
      assert.equal(error?.code, code, file);
      assert.match(error.message, /nothing came (of it )?for 30 seconds/);
      await own.close();
    }
});

test("the official SDK across origins: what may go is answered, what must fail never leaves", options, async () => {
  const page = await tab();
  await client(page, await world.key("refused"), { maxWait: 0 });
  assert.equal((await send(page, "One")).status, 200);
  assert.equal((await send(page, "Two")).status, 200);
  const third = await send(page, "Three");
  assert.deepEqual([third.name, third.status, third.local, third.code], ["RateLimitError", 429, "1", "tollgate_tenant_limit"]);
  assert.ok(Number(third.after) > 5 && Number(third.after) <= 30, third.after);
  const long = await send(page, "word ".repeat(600_000), { model: "claude-haiku-4-5" });
  assert.deepEqual([long.status, long.local, long.code], [413, "1", "tollgate_context_window"]);
  assert.equal(await arrived(), 2);
  assert.deepEqual((await heard(page)).refused, ["tollgate_tenant_limit", "tollgate_context_window"]);
  assert.deepEqual(complaints, []);
});

test("a stream is read through the guard as it is written", options, async () => {
  const page = await tab();
  await client(page, await world.key("free"));
  const told = await page.evaluate(async () => {
    const { client } = /** @type {any} */ (window);
    const stream = client.messages.stream({ model: "claude-sonnet-5-5", max_tokens: 64, messages: [{ role: "user", content: "A story" }], metadata: { user_id: "emulator:output-tokens=40" } });
    let deltas = 0;
    stream.on("text", () => (deltas += 1));
    const message = await stream.finalMessage();
    return { deltas, output: message.usage.output_tokens };
  });
  assert.ok(told.deltas > 1);
  assert.equal(told.output, 40);
});

test("two tabs never take the same last place: of ten at once, three go", options, async () => {
  const key = await world.key("free");
  const tabs = await Promise.all([tab(), tab()]);
  for (const page of tabs) await client(page, key, { limits: { requests_day: 3 } });
  const results = await Promise.all(tabs.flatMap((page) => Array.from({ length: 5 }, (_, i) => send(page, `Number ${i}`))));
  assert.equal(results.filter(({ status }) => status === 200).length, 3);
  assert.deepEqual(results.filter(({ status }) => status !== 200).map(({ local, code }) => [local, code]), Array(7).fill(["1", "tollgate_guard_limit"]));
  assert.equal(await arrived(), 3);
});

test("a tab that hangs while it asks for all is not waited for", options, async () => {
  const key = await world.key("free");
  const [hangs, other] = [await tab(), await tab()];
  for (const page of [hangs, other]) await client(page, key);
  await hangs.route("**/v1/limits", () => {});
  const stuck = hangs.evaluate(async () => {
    void /** @type {any} */ (window).send("Hello");
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const until = Date.now() + 12_000; Date.now() < until; );
  });
  await other.waitForTimeout(1_000);
  const began = Date.now();
  assert.equal((await send(other, "Hello")).status, 200);
  assert.ok(Date.now() - began < 9_000, `${Date.now() - began} ms`);
  assert.deepEqual((await heard(other)).unchecked, []);
  await stuck;
});

test("a module that does not come is not waited for: the request goes, uncounted", options, async () => {
  await context.route("**/client_bg.wasm", () => {});
  const page = await tab();
  await client(page, await world.key("free"));
  const began = Date.now();
  assert.equal((await send(page, "Hello")).status, 200);
  assert.ok(Date.now() - began < 6_000, `${Date.now() - began} ms`);
  assert.deepEqual((await heard(page)).unchecked, ["not_measured"]);
});

test("what one tab sent counts in the others, also after the one that decided was closed", options, async () => {
  const key = await world.key("free");
  const first = await tab();
  await client(first, key, { limits: { requests_day: 3 } });
  await send(first, "One");
  const second = await tab();
  await client(second, key, { limits: { requests_day: 3 } });
  await send(second, "Two");
  await first.close();
  const third = await tab();
  await client(third, key, { limits: { requests_day: 3 } });
  const results = [await send(second, "Three"), await send(third, "Four"), await send(second, "Five")];
  assert.deepEqual(results.map(({ status }) => status), [200, 429, 429]);
  assert.equal(await arrived(), 3);
});

test("tabs share the gate's snapshot: one asks for all", options, async () => {
  const key = await world.key("shared");
  const tabs = await Promise.all([tab(), tab(), tab()]);
  let asked = 0;
  await context.route("**/v1/limits", (route) => {
    if (route.request().method() === "GET") asked += 1;
    return route.continue();
  });
  for (const page of tabs) await client(page, key, { maxWait: 0 });
  // One after the other: whether one under way is in a snapshot nobody could know.
  const results = [];
  for (const page of tabs) {
    const began = Date.now();
    results.push(await send(page, "Hello"));
    // The second had the first one's answer; the third asked before it was refused.
    if (results.length === 2 && Date.now() - began < 4_000) assert.equal(asked, 1);
  }
  assert.deepEqual(results.map(({ status, local }) => [status, local]), [[200, undefined], [200, undefined], [429, "1"]]);
  assert.equal(await arrived(), 2);
  for (const page of tabs) assert.ok((await heard(page)).snapshots >= 1);
});

test("offline: open says that it did not check, closed refuses; back online it goes on", options, async () => {
  const page = await tab();
  const key = await world.key("free");
  await client(page, key);
  await page.evaluate(() => /** @type {any} */ (window).app.init());
  await context.setOffline(true);
  const offline = await send(page, "Hello");
  assert.equal(offline.name, "APIConnectionError");
  assert.deepEqual((await heard(page)).unchecked, ["no_snapshot"]);
  await client(page, key, { whenUnknown: "closed" });
  const closed = await send(page, "Hello");
  assert.deepEqual([closed.status, closed.local, closed.code], [503, "1", "tollgate_limits_unknown"]);
  // The longer it lasts, the rarer the gate is asked; back online it is asked at once.
  for (let tries = 0; tries < 5; tries++) {
    await send(page, "Hello");
    await page.waitForTimeout(300);
  }
  await context.setOffline(false);
  assert.equal((await send(page, "Hello")).status, 200);
  assert.equal(await arrived(), 1);
});

test("a policy that forbids WebAssembly: counting rejects, and the guard sends without counting", options, async () => {
  const page = await tab("?without-wasm");
  const code = await page.evaluate(() => /** @type {any} */ (window).app.load("claude-sonnet-5-5").catch((/** @type {any} */ error) => error.code));
  assert.equal(code, "no_wasm");
  await client(page, await world.key("unmeasured"), { maxWait: 0 });
  const statuses = [];
  for (const text of ["One", "Two", "Three"]) statuses.push((await send(page, text)).status);
  // Requests a minute need no counting.
  assert.deepEqual(statuses, [200, 200, 429]);
  const { refused, unchecked } = await heard(page);
  assert.deepEqual([refused, unchecked], [["tollgate_tenant_limit"], ["not_measured", "not_measured", "not_measured"]]);
  assert.equal(await arrived(), 2);
});

test("the meter: count, bounds and cost as it is typed, and its level in colour, words and ARIA", options, async () => {
  const page = await tab();
  const part = (/** @type {string} */ name) => page.locator(`tollgate-meter >> [part=${name}]`);
  const meter = page.getByRole("meter", { name: "Prompt" });
  const colours = new Set();
  for (const [words, level, says] of /** @type {[number, string, string][]} */ ([[3, "ok", ""], [45, "near", "near the limit"], [51, "high", "at the limit"], [90, "over", "over the limit"], [3, "ok", ""]])) {
    await page.fill("#prompt", "word ".repeat(words));
    await page.waitForFunction((level) => document.querySelector("tollgate-meter")?.getAttribute("level") === level, level);
    assert.equal(await part("level").textContent(), says);
    assert.match((await meter.getAttribute("aria-valuetext")) ?? "", new RegExp(`^about \\d+ of 100 tokens, \\$0\\.\\d{4}${says && `, ${says}`}$`));
    colours.add(await part("bar").evaluate((bar) => getComputedStyle(bar).backgroundColor));
  }
  assert.equal(colours.size, 4);
  assert.deepEqual((await barriers(page)).filter((barrier) => barrier.includes("meter")), []);
  assert.match((await part("count").textContent()) ?? "", /^≈ \d+ of 100 tokens$/);
  assert.match((await part("bound").textContent()) ?? "", /^\d+ to \d+$/);
  // The rest of the request counts, too; another model, another count.
  const of = () => page.evaluate(() => /** @type {any} */ (document.querySelector("tollgate-meter")).measure.estimate);
  const alone = await of();
  await page.evaluate(() => void (/** @type {any} */ (document.querySelector("tollgate-meter")).request = { system: "You are brief. ".repeat(9) }));
  await page.waitForFunction((alone) => /** @type {any} */ (document.querySelector("tollgate-meter")).measure.estimate > alone + 20, alone);
  await page.evaluate(() => document.querySelector("tollgate-meter")?.setAttribute("model", "claude-9"));
  await page.waitForFunction(() => document.querySelector("tollgate-meter")?.shadowRoot?.querySelector("[part=count]")?.textContent === "not counted");
  // Nothing of the last count is left to be seen or heard.
  const left = ["aria-valuenow", "aria-valuetext"].map((name) => meter.getAttribute(name));
  assert.deepEqual([...(await Promise.all(left)), await page.locator("tollgate-meter").getAttribute("level")], ["0", "not counted", null]);
  assert.deepEqual((await barriers(page)).filter((barrier) => barrier.includes("meter")), []);
  const problem = await page.evaluate(() => {
    const meter = /** @type {HTMLElement} */ (document.querySelector("tollgate-meter"));
    const told = new Promise((resolve) => meter.addEventListener("tollgate-error", (event) => resolve(/** @type {CustomEvent} */ (event).detail), { once: true }));
    meter.setAttribute("model", "cl100k_base");
    return told;
  });
  assert.match(String(problem), /cl100k_base has no prices here/);
  assert.deepEqual(complaints, []);
});

test("the meter in an app: its field comes later and is replaced, its request is given before the tag is known", options, async () => {
  const page = await tab();
  const told = await page.evaluate(async () => {
    document.documentElement.lang = "en_US";
    const meter = /** @type {any} */ (document.createElement("late-meter"));
    meter.setAttribute("for", "late");
    meter.request = { system: "You are brief. ".repeat(20) };
    document.body.append(meter);
    const measured = () => new Promise((resolve) => meter.addEventListener("tollgate-measure", (/** @type {any} */ event) => resolve(event.detail.estimate), { once: true }));
    const first = measured();
    const { TollgateMeter } = await import(/** @type {any} */ ("tollgate/element"));
    customElements.define("late-meter", class extends TollgateMeter {});
    const told = [await first];
    for (const words of [100, 200]) {
      document.getElementById("late")?.remove();
      const field = Object.assign(document.createElement("textarea"), { id: "late", value: "word ".repeat(words) });
      document.body.append(field);
      const next = measured();
      field.addEventListener("input", (event) => event.stopPropagation());
      field.dispatchEvent(new Event("input", { bubbles: true }));
      told.push(await next);
    }
    return told;
  });
  assert.ok(told[0] > 80, "its system prompt counts");
  assert.ok(told[1] > told[0] + 90 && told[2] > told[1] + 90, String(told));
  assert.deepEqual(complaints, []);
});

test("an expired token: the gate says so, in its words, whether the guard is open or closed", options, async () => {
  const page = await tab();
  const { token } = await (await world.post(await world.key("pages"), { user: "late", ttl_s: 1 }, { path: "/v1/visitors" })).json();
  await client(page, token, { whenUnknown: "closed" });
  // Good for a second, then not: the guard has a snapshot by it, and asks in vain for the next.
  let last = await send(page, "Hello", { model: "claude-haiku-4-5" });
  await until(async () => (last = await send(page, "Hello", { model: "claude-haiku-4-5" })).status !== 200);
  assert.deepEqual([last.status, last.local, last.code], [401, null, "tollgate_key_expired"]);
  const before = await arrived();
  for (const whenUnknown of ["open", "closed"]) {
    await client(page, token, { whenUnknown, share: false });
    const { name, status, local, code } = await send(page, "Hello", { model: "claude-haiku-4-5" });
    assert.deepEqual([name, status, local, code], ["AuthenticationError", 401, null, "tollgate_key_expired"], whenUnknown);
    assert.deepEqual((await heard(page)).unchecked, ["no_snapshot"]);
  }
  assert.equal(await arrived(), before);
});
