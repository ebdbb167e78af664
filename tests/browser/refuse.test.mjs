// What `make dev` shows: a request that a limit refuses never leaves the page, and
// the emulated provider's own counter says the same.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { splitLines } from "../serve/serve.mjs";
import { launch, noChromium } from "./chromium.mjs";
import { visit } from "./visitor.mjs";

const options = { skip: noChromium };
const DEV = new URL("../serve/dev.mjs", import.meta.url).pathname;

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {{url: string, demo: string, tight: string, stop: () => Promise<void>}} */
let dev;
/** @type {import("./visitor.mjs").Visitor} */
let visitor;
/** @type {import("playwright-core").Page} */
let page;

before(async () => {
  if (noChromium) return;
  [dev, browser] = await Promise.all([start(), launch()]);
});
after(async () => {
  await browser?.close();
  await dev?.stop();
});
beforeEach(async () => {
  if (noChromium) return;
  visitor = await visit(browser, dev.url);
  page = visitor.page;
});
afterEach(() => page?.close());

/** `make dev`'s program, in a directory of its own: its state and secrets are no one else's. */
async function start() {
  const cwd = await mkdtemp(path.join(tmpdir(), "tollgate-dev-"));
  const child = spawn(process.execPath, [DEV, "--port", "0"], { cwd, stdio: ["ignore", "pipe", "ignore"] });
  const gone = new Promise((/** @type {(value: void) => void} */ resolve) => child.once("close", () => resolve()));
  /** @type {string[]} */
  const banner = [];
  await new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
    splitLines(child.stdout, (line) => (banner.push(line), line.startsWith("ready ") && resolve()));
    void gone.then(() => reject(new Error(banner.join("\n") || "make dev ended")));
  });
  const word = (/** @type {RegExp} */ pattern) => banner.join("\n").match(pattern)?.[1] ?? "";
  return {
    url: word(/^ready (\S+)$/m),
    demo: word(/(tg_sk_\S+) .*"demo"/),
    tight: word(/(tg_sk_\S+) .*"tight"/),
    stop: async () => {
      child.kill("SIGTERM");
      await gone;
      await rm(cwd, { recursive: true, force: true });
    },
  };
}

/** What the emulator itself says that arrived. */
async function arrived() {
  const { answers, pools } = await (await fetch(`${dev.url}/emulator/stats`)).json();
  const sum = (/** @type {number[]} */ list) => list.reduce((total, value) => total + value, 0);
  return sum(Object.values(answers)) + sum(pools.map((/** @type {any} */ pool) => pool.in_flight));
}

/** @param {string} key */
async function send(key, prompt = "Hello") {
  await page.fill("#key", key);
  await page.fill("#prompt", prompt);
  await page.click("#send");
  await page.waitForSelector('#answer[aria-busy="false"]');
}

test("an answer streams through the guard, and the emulator counts one request", options, async () => {
  const before = await arrived();
  await page.fill("#key", dev.demo);
  await page.click("#send");
  await page.waitForFunction(() => (document.getElementById("text")?.textContent?.length ?? 0) > 0);
  assert.equal(await page.getAttribute("#answer", "aria-busy"), "true", "text is there before it is whole");
  await page.waitForSelector('#answer[aria-busy="false"]');
  await visitor.seen("#said", "The answer is complete");
  await visitor.seen("#arrived-since", /^1$/);
  assert.equal(await arrived(), before + 1);
  assert.deepEqual(visitor.complaints, []);
});

test("a prompt beyond the context window is refused here: why, and that nothing arrived", options, async () => {
  await page.selectOption("#model", "claude-haiku-4-5");
  const before = await arrived();
  await send(dev.demo, "word ".repeat(600_000));
  assert.equal(await visitor.text("#problem-title"), "Refused in this browser. Nothing was sent.");
  assert.match(await visitor.text("#problem-code"), /^413 · tollgate_context_window$/);
  assert.match(await visitor.text("#problem-why"), /Counted here\s+[\d,]+ to [\d,]+ tokens/);
  assert.match(await visitor.text("#said"), /^Refused in this browser, nothing was sent: /);
  assert.equal(await page.getAttribute("#window", "data-level"), "over");
  await visitor.seen("#arrived-since", /^0$/);
  assert.equal(await arrived(), before);
  assert.deepEqual(visitor.complaints, []);
});

test("requests a minute: the last place goes, the next is refused here, with its limit and its time", options, async () => {
  // Six fit at once; none of these waits for a seventh place.
  await page.fill("#max-wait", "0");
  await page.fill("#max-tokens", "8");
  const before = await arrived();
  let went = 0;
  for (; went < 12; went++) {
    await send(dev.tight, `Number ${went}`);
    if (await page.isVisible("#problem")) break;
  }
  assert.ok(went >= 1 && went <= 7, `${went} went`);
  assert.equal(await visitor.text("#problem-title"), "Refused in this browser. Nothing was sent.");
  assert.match(await visitor.text("#problem-code"), /^429 · tollgate_tenant_limit$/);
  assert.match(await visitor.text("#problem-why"), /Tenant: requests a minute\s+0 left of 6/);
  assert.match(await visitor.text("#problem-wait"), /^Try again in \d+ seconds?\.$/);
  await visitor.seen("#arrived-since", /^0$/);
  assert.equal(await arrived(), before + went);
  // What is left is shown with its numbers and when it is full again.
  await visitor.seen("#meters", /Tenant: requests a minute[^]*of 6, full in \d+ seconds?/);
  await visitor.seen("#meters", /Tenant: dollars today[^]*of \$0\.50, new in \d+ (hours|minutes|seconds?)/);
  assert.deepEqual(visitor.complaints, []);
});

test("a larger request than a limit ever holds is refused here", options, async () => {
  const before = await arrived();
  await send(dev.tight, "word ".repeat(100_000));
  assert.match(await visitor.text("#problem-code"), /tollgate_larger_than_limit$/);
  assert.match(await visitor.text("#problem-why"), /Tenant: input tokens a minute/);
  await visitor.seen("#arrived-since", /^0$/);
  assert.equal(await arrived(), before);
  assert.deepEqual(visitor.complaints, []);
});

test("the key is kept for this tab by choice only, and forgotten by choice", options, async () => {
  await page.fill("#key", dev.demo);
  await page.press("#key", "Tab");
  const kept = () => page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie, location.href]));
  assert.ok(!(await kept()).includes(dev.demo));
  await page.check("#keep");
  assert.ok((await kept()).includes(dev.demo));
  await page.reload();
  await visitor.seen("#meters", "claude-sonnet-5-5");
  assert.equal(await page.inputValue("#key"), dev.demo);
  await page.uncheck("#keep");
  assert.ok(!(await kept()).includes(dev.demo));
  assert.deepEqual(visitor.complaints, []);
});
