// Somebody who looks at the page: a browser's tab, and what it complained of.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

/**
 * @typedef {object} Visitor
 * @property {import("playwright-core").Page} page
 * @property {string[]} complaints of the console, of the policy, of scripts
 * @property {(selector: string) => Promise<string>} text
 * @property {(selector: string, part: string | RegExp) => Promise<void>} seen waits for it
 * @property {() => Promise<void>} counted waits until the newest text is counted and drawn
 */

/**
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {import("playwright-core").BrowserContextOptions} [options]
 * @returns {Promise<Visitor>}
 */
export async function visit(browser, url, options = {}) {
  const page = await browser.newPage({ reducedMotion: "reduce", ...options });
  /** @type {string[]} */
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  await page.goto(`${url}/`);
  await page.waitForSelector('#pill[data-state="ready"]');
  await page.waitForSelector('#figures[aria-busy="false"]');
  return {
    page,
    complaints,
    text: (selector) => page.innerText(selector),
    seen: (selector, part) => page.locator(selector).filter({ hasText: part }).waitFor(),
    counted: async () => void (await page.waitForSelector('#figures[aria-busy="false"]')),
  };
}

/**
 * What axe-core finds wrong, as `rule: element`, by WCAG 2.2 AA and its best practices.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
export async function barriers(page) {
  // By the debugger, since the page's policy lets nobody's script in.
  await page.evaluate(await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
  return page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (window).axe.run(document, { resultTypes: ["violations"] });
    return violations.flatMap((/** @type {any} */ rule) => rule.nodes.map((/** @type {any} */ node) => `${rule.id}: ${node.html.slice(0, 160)} ${node.any.map((/** @type {any} */ check) => check.message).join("; ")}`));
  });
}
