// The page for everybody: by keyboard alone, to a screen reader, in dark and light,
// on a telephone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { open } from "../e2e/world.mjs";
import { launch, noChromium } from "./chromium.mjs";
import { barriers, visit } from "./visitor.mjs";

const options = { skip: noChromium };

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("../e2e/world.mjs").World} */
let world;

before(async () => {
  if (noChromium) return;
  world = await open({ tenants: { acme: { limits: { rpm: 600, itpm: 50_000 }, budgets: [{ window: "day", usd: "5.00" }] } } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await world?.close();
});

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(`axe-core finds nothing in ${colorScheme}: as it opens, in use, answered, refused, wrong`, options, async () => {
    const { page, counted, seen, complaints } = await visit(browser, world.gateway.url, { colorScheme });
    assert.deepEqual(await barriers(page), [], "as it opens");
    for (const fold of await page.locator("details summary").all()) await fold.click();
    await page.fill("#tools", "no JSON");
    await page.fill("#prompt", "Ein Wort,\nzwei Wörter: 漢字 👩‍👩‍👧\n\nfn main() { admit(12345) }");
    await counted();
    await page.click("#send");
    await seen("#tools-wrong", "Not JSON yet");
    assert.deepEqual(await barriers(page), [], "wrong fields");
    await page.fill("#tools", "");
    await page.fill("#key", await world.key());
    await page.click("#send");
    await page.waitForSelector('#answer[aria-busy="false"]');
    await seen("#meters", "of $5.00");
    assert.deepEqual(await barriers(page), [], "answered");
    await page.fill("#prompt", "word ".repeat(300_000));
    await counted();
    await page.click("#send");
    await page.waitForSelector("#problem:not([hidden])");
    assert.deepEqual(await barriers(page), [], "refused");
    await page.selectOption("#model", "cl100k_base");
    await counted();
    assert.deepEqual(await barriers(page), [], "counted only");
    assert.deepEqual(complaints, []);
    await page.close();
  });
}

for (const width of [360, 768, 1440]) {
  test(`at ${width} pixels nothing scrolls sideways, however long the words`, options, async () => {
    const { page, counted } = await visit(browser, world.gateway.url, { viewport: { width, height: 800 } });
    const fits = async (/** @type {string} */ when) => {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} pixels too wide ${when}`);
      // Nor does anything leave its card.
      const out = await page.evaluate(() =>
        [...document.querySelectorAll(".card:not([hidden])")].flatMap((card) => {
          // Its padding is no place for text; half a pixel is rounding.
          const right = card.getBoundingClientRect().right - parseFloat(getComputedStyle(card).paddingRight) + 0.5;
          const within = [...card.querySelectorAll(":not(pre *, .tokens *, .unseen)")];
          return within.filter((element) => element.getBoundingClientRect().right > right).map((element) => element.outerHTML.slice(0, 80));
        }),
      );
      assert.deepEqual(out, [], when);
    };
    await fits("as it opens");
    for (const fold of await page.locator("details summary").all()) await fold.click();
    await page.fill("#key", await world.key());
    await page.fill("#prompt", `${"w".repeat(3000)}\n${"word ".repeat(300_000)}`);
    await counted();
    await page.click("#send");
    await page.waitForSelector("#problem:not([hidden])");
    await page.waitForSelector("meter[aria-label^=Tenant]");
    await fits("in use");
    await page.close();
  });
}

test("by keyboard alone: type, choose a model, give a key, send, stop reading where one was", options, async () => {
  const { page, counted, seen, text, complaints } = await visit(browser, world.gateway.url);
  const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent?.trim());
  /** @param {string} id */
  const tabTo = async (id) => {
    for (let steps = 0; steps < 40; steps++) {
      if ((await focused()) === id) return;
      await page.keyboard.press("Tab");
      const visible = await page.evaluate(() => {
        const element = document.activeElement;
        return element === document.body || (element && getComputedStyle(element).outlineStyle !== "none");
      });
      assert.ok(visible, `${await focused()} shows its focus`);
    }
    assert.fail(`Tab never came to #${id}`);
  };
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the prompt");
  await page.keyboard.press("Enter");
  await tabTo("prompt");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("Hello, gate");
  await counted();
  await tabTo("tokens");
  await tabTo("max-tokens");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("16");
  await tabTo("key");
  await page.keyboard.type(await world.key());
  await tabTo("send");
  await page.keyboard.press("Enter");
  await page.waitForSelector('#answer[aria-busy="false"]');
  await seen("#said", "The answer is complete");
  assert.equal(await focused(), "send", "the focus is where it was");
  assert.match(await text("#facts"), /Output tokens\s+\d+/);
  await page.keyboard.press("Shift+Tab");
  await page.focus("#tab-js");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await focused(), "tab-curl");
  assert.deepEqual(complaints, []);
  await page.close();
});
