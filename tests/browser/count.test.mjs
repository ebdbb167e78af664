// Counting and colouring on the page, as somebody types, pastes and chooses.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { get_encoding } from "tiktoken";
import { open } from "../e2e/world.mjs";
import { launch, noChromium } from "./chromium.mjs";
import { visit } from "./visitor.mjs";

/** As built: its types are those of wasm-client/types. */
const PACKAGE = new URL("../../dist/client/node/index.js", import.meta.url).href;
const options = { skip: noChromium };
/** What the page may add to a key at 1 MB, beyond what the browser's own field costs: what a person takes for at once. */
const ADDED_MS_MAX = 100;

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("../e2e/world.mjs").World} */
let world;
/** @type {import("./visitor.mjs").Visitor} */
let visitor;
/** @type {import("playwright-core").Page} */
let page;

before(async () => {
  if (noChromium) return;
  world = await open();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await world?.close();
});
beforeEach(async () => {
  if (noChromium) return;
  visitor = await visit(browser, world.gateway.url, { permissions: ["clipboard-read", "clipboard-write"] });
  page = visitor.page;
});
afterEach(() => page?.close());

const number = (/** @type {string} */ text) => Number(text.replace(/[^\d]/g, ""));
/** The pane's text: its marks for line ends are drawn, not text. */
const drawn = () => page.evaluate(() => [...document.querySelectorAll("#tokens span")].map((token) => token.textContent));

test("Claude by estimate: count, bounds and cost are the package's own, and said to be an estimate", options, async () => {
  const text = "The gate decides, the worker carries. 漢字 👩‍👩‍👧 naïve.";
  await page.fill("#prompt", "");
  await page.focus("#prompt");
  await page.keyboard.type(text);
  await visitor.counted();
  const { load } = await import(PACKAGE);
  const claude = await load("claude-sonnet-5-5");
  const { lower, estimate, upper, cost, parts } = claude.measure({ max_tokens: 512, messages: [{ role: "user", content: text }] });
  assert.equal(await visitor.text("#count"), `≈ ${estimate}`);
  assert.equal(await visitor.text("#bound"), `${lower} to ${upper}`);
  assert.equal(await visitor.text("#cost"), `$${(cost.input_microusd / 1e6).toFixed(4)}`);
  assert.equal(await visitor.text("#most"), `$${(cost.most_microusd / 1e6).toFixed(4)}`);
  assert.match(await visitor.text("#how"), /estimate: Claude’s vocabulary is not published/);
  await page.click("#parts-of summary");
  assert.equal(await page.locator("#parts-rows tr").count(), parts.length);
  // A screen reader hears it once the typing pauses.
  await visitor.seen("#count-said", `About ${estimate} tokens`);
  assert.deepEqual(visitor.complaints, []);
});

for (const name of /** @type {const} */ (["o200k_base", "cl100k_base"])) {
  test(`${name}: exact, token by token, as tiktoken has it`, options, async () => {
    const text = "it'ſ I'LL\u0085 \ufeffx 1234567\n\n  naïve 漢字 👩‍👩‍👧 \ufffd <|endoftext|>\n";
    await page.selectOption("#model", name);
    await page.fill("#prompt", text);
    await visitor.counted();
    const vocabulary = get_encoding(name);
    const ids = [...vocabulary.encode_ordinary(text)];
    vocabulary.free();
    assert.equal(await visitor.text("#count"), String(ids.length));
    assert.equal(await visitor.text("#bound"), "exact");
    assert.equal((await drawn()).join(""), text);
    const told = await page.evaluate(() => [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#tokens span"))].flatMap((token) => token.title.replace(/^.*tokens?:? /, "").split(", ").map(Number)));
    assert.deepEqual(told, ids);
    const colours = await page.evaluate(() => new Set([...document.querySelectorAll("#tokens span")].map((token) => getComputedStyle(token).backgroundColor)).size);
    assert.ok(colours >= 4, `${colours} colours`);
    // It is counted only: the gate does not speak this API.
    assert.equal(await page.isEnabled("#send"), false);
    assert.equal(await page.isVisible("#no-send"), true);
    assert.deepEqual(visitor.complaints, []);
  });
}

/**
 * @param {number} width
 * @param {number} height
 */
async function picture(width, height) {
  const url = await page.evaluate(([width, height]) => Object.assign(document.createElement("canvas"), { width, height }).toDataURL("image/png"), [width, height]);
  return { name: `${width}.png`, mimeType: "image/png", buffer: Buffer.from(url.split(",")[1], "base64") };
}

test("system prompt, tools and an image are counted, each as a part", options, async () => {
  const counts = [number(await visitor.text("#count"))];
  const more = async () => {
    await visitor.counted();
    counts.push(number(await visitor.text("#count")));
    assert.ok(counts[counts.length - 1] > counts[counts.length - 2], String(counts));
  };
  await page.click("text=System prompt");
  await page.fill("#system", "You are brief and kind, and say what you do not know.");
  await more();
  await page.click("summary:has-text('Tools')");
  await page.fill("#tools", '[{"name":');
  await visitor.seen("#tools-wrong", "Not JSON yet");
  assert.equal(await page.getAttribute("#tools", "aria-invalid"), "true");
  await page.click("#tools-example");
  assert.equal(await page.isVisible("#tools-wrong"), false);
  assert.equal(await visitor.text("#tools-sum"), "1 tool");
  await more();
  // A picture of 800 by 600: ceil(800/28) * ceil(600/28) patches.
  await page.click("summary:has-text('Image')");
  await page.setInputFiles("#image", await picture(800, 600));
  await visitor.seen("#image-says", `800 × 600 pixels → ${29 * 22} tokens`);
  await more();
  await page.click("#image-none");
  await visitor.counted();
  assert.equal(number(await visitor.text("#count")), counts[2]);
  await page.setInputFiles("#image", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no image") });
  await visitor.seen("#image-wrong", "JPEG, PNG, GIF and WebP");
  await page.setInputFiles("#image", { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no image") });
  await visitor.seen("#image-wrong", "not an image");
  assert.deepEqual(visitor.complaints, []);
});

test("an image crosses to the counter once, and not at each key", options, async () => {
  await page.evaluate(() => {
    const { postMessage } = Worker.prototype;
    const sizes = /** @type {any} */ (window).sizes = /** @type {number[]} */ ([]);
    Worker.prototype.postMessage = function (/** @type {any[]} */ ...args) {
      sizes.push(JSON.stringify(args[0]).length);
      return postMessage.apply(this, /** @type {any} */ (args));
    };
  });
  await page.click("summary:has-text('Image')");
  // Noise, which no compression makes small.
  const noise = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 280, height: 280 });
    const pixels = new ImageData(280, 280);
    for (let i = 0; i < pixels.data.length; i += 4) {
      crypto.getRandomValues(pixels.data.subarray(i, i + 3));
      pixels.data[i + 3] = 255;
    }
    canvas.getContext("2d")?.putImageData(pixels, 0, 0);
    return canvas.toDataURL("image/png").split(",")[1];
  });
  assert.ok(noise.length > 50_000, `${noise.length}`);
  await page.setInputFiles("#image", { name: "noise.png", mimeType: "image/png", buffer: Buffer.from(noise, "base64") });
  await visitor.seen("#image-says", `280 × 280 pixels → 100 tokens`);
  for (const key of "Hello") {
    await page.type("#prompt", key);
    await visitor.counted();
  }
  await visitor.seen("#image-says", `280 × 280 pixels → 100 tokens`);
  const sizes = await page.evaluate(() => /** @type {any} */ (window).sizes);
  assert.ok(sizes.length >= 6, String(sizes));
  assert.equal(sizes.filter((/** @type {number} */ size) => size > 50_000).length, 1, String(sizes));
  assert.deepEqual(visitor.complaints, []);
});

test("of two images, one chosen while the other is still read, the last one counts", options, async () => {
  await page.click("summary:has-text('Image')");
  await page.evaluate(() => {
    const real = createImageBitmap;
    const held = /** @type {any} */ (window);
    held.createImageBitmap = async (/** @type {Blob} */ blob) => {
      held.createImageBitmap = real;
      await new Promise((resolve) => (held.goOn = resolve));
      return real(blob);
    };
  });
  await page.setInputFiles("#image", await picture(800, 600));
  await page.setInputFiles("#image", await picture(56, 28));
  await visitor.seen("#image-says", "56 × 28 pixels → 2 tokens");
  // One more of the browser's readings: the first image's is over by then.
  await page.evaluate(async () => {
    /** @type {any} */ (window).goOn();
    await createImageBitmap(document.createElement("canvas"));
  });
  await visitor.counted();
  await visitor.seen("#image-says", "56 × 28 pixels → 2 tokens");
  assert.equal(await visitor.text("#image-sum"), "56.png");
  assert.deepEqual(visitor.complaints, []);
});

test("1 MB is pasted, counted, drawn only where it is seen, and typing on stays fluent", options, async () => {
  const line = "The quick brown fox jumps over the lazy dog, and 1234 things happen; naïve ones too.\n";
  const text = line.repeat(Math.ceil((1 << 20) / line.length));
  await page.selectOption("#model", "o200k_base");
  await page.fill("#prompt", "");
  await page.focus("#prompt");
  await page.evaluate((text) => navigator.clipboard.writeText(text), text);
  const began = Date.now();
  await page.keyboard.press("Control+V");
  await page.waitForFunction((length) => /** @type {HTMLTextAreaElement} */ (document.getElementById("prompt")).value.length === length, text.length);
  await visitor.counted();
  const pasted = Date.now() - began;
  const vocabulary = get_encoding("o200k_base");
  const tokens = vocabulary.encode_ordinary(text).length;
  vocabulary.free();
  assert.equal(number(await visitor.text("#count")), tokens);
  const seen = await page.locator("#tokens span").count();
  assert.ok(seen > 20 && seen < 10_000, `${seen} of ${tokens} tokens are drawn`);

  // What is scrolled to is drawn, and what is left is not any more.
  await page.evaluate(() => (/** @type {HTMLElement} */ (document.getElementById("tokens")).scrollTop = 200_000));
  await page.waitForFunction(() => {
    const pane = /** @type {HTMLElement} */ (document.getElementById("tokens")).getBoundingClientRect();
    return [...document.querySelectorAll("#tokens span")].some((token) => Math.abs(token.getBoundingClientRect().top - pane.top) < 60);
  });
  assert.ok((await page.locator("#tokens span").count()) < 10_000);

  const typed = await latencies(page, "#prompt");
  await visitor.counted();
  assert.equal(number(await visitor.text("#count")) >= tokens, true);
  const bare = await browser.newPage();
  const like = await page.evaluate(() => {
    const { width, height, font, padding } = getComputedStyle(/** @type {HTMLElement} */ (document.getElementById("prompt")));
    return Object.entries({ width, height, font, padding }).map((rule) => rule.join(": ")).join("; ");
  });
  await bare.setContent(`<textarea id="prompt" spellcheck="false" style='box-sizing: border-box; ${like}'></textarea>`);
  await bare.evaluate((text) => void (/** @type {HTMLTextAreaElement} */ (document.getElementById("prompt")).value = text), text);
  const plain = await latencies(bare, "#prompt");
  await bare.close();
  console.log(`# 1 MB: counted ${pasted} ms after the paste; a key to the next frame p95 ${typed} ms, in a bare textarea ${plain} ms`);
  assert.ok(typed <= plain + ADDED_MS_MAX, `p95 ${typed} ms, bare ${plain} ms`);
  assert.deepEqual(visitor.complaints, []);
});

/**
 * From a key to the frame that shows it, p95 of 40, measured in the page.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} field
 */
async function latencies(page, field) {
  await page.focus(field);
  await page.evaluate((field) => /** @type {HTMLTextAreaElement} */ (document.querySelector(field)).setSelectionRange(500_000, 500_000), field);
  await page.evaluate((field) => {
    const times = /** @type {number[]} */ ([]);
    Object.assign(window, { times });
    document.querySelector(field)?.addEventListener("input", (event) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => times.push(performance.now() - event.timeStamp);
      requestAnimationFrame(() => channel.port2.postMessage(0));
    });
  }, field);
  for (let key = 1; key <= 40; key++) {
    await page.keyboard.press("x");
    await page.waitForFunction((key) => /** @type {any} */ (window).times.length >= key, key);
  }
  const times = /** @type {number[]} */ (await page.evaluate(() => /** @type {any} */ (window).times)).sort((a, b) => a - b);
  return Math.round(times[Math.floor(times.length * 0.95)]);
}

test("without its vocabulary the page says so, and still estimates", options, async () => {
  const context = await browser.newContext({ reducedMotion: "reduce" });
  await context.route("**/vocabularies/*", (route) => route.abort());
  const other = await context.newPage();
  await other.goto(`${world.gateway.url}/`);
  await other.locator("#tokens-says").filter({ hasText: "cannot be shown" }).waitFor();
  assert.match(await other.innerText("#count"), /^≈ \d+$/);
  await context.close();
});

test("without the package the page says what is missing, shows the rest, and sends nothing", options, async () => {
  const context = await browser.newContext({ reducedMotion: "reduce" });
  await context.route("**/vendor/**", (route) => route.abort());
  const other = await context.newPage();
  await other.goto(`${world.gateway.url}/`);
  await other.waitForSelector('#pill[data-state="ready"]');
  await other.locator("#how").filter({ hasText: "Not counted" }).waitFor();
  // Not for ever busy, which would hide it from screen readers.
  await other.fill("#prompt", "Hello");
  await other.waitForSelector('#figures[aria-busy="false"]');
  const { granted: before = 0 } = await world.stats();
  await other.fill("#key", await world.key());
  await other.click("#send");
  await other.locator("#problem-says").filter({ hasText: "nothing was sent" }).waitFor();
  assert.equal((await world.stats()).granted ?? 0, before);
  await context.close();
});
