// How to make a request, for this origin; tabs by the WAI-ARIA pattern.

import { VERSION } from "./message.js";
import { show, the } from "./page.js";

const MODEL = "claude-sonnet-5-5";

/** @type {Record<string, (origin: string) => string>} */
const SNIPPETS = {
  js: (origin) => `import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: "${origin}",
  apiKey: process.env.TOLLGATE_KEY,
});

const message = await client.messages.create({
  model: "${MODEL}",
  max_tokens: 512,
  messages: [{ role: "user", content: "Hello" }],
});
console.log(message.content);`,
  py: (origin) => `import os
from anthropic import Anthropic

client = Anthropic(
    base_url="${origin}",
    api_key=os.environ["TOLLGATE_KEY"],
)

message = client.messages.create(
    model="${MODEL}",
    max_tokens=512,
    messages=[{"role": "user", "content": "Hello"}],
)
print(message.content)`,
  curl: (origin) => `curl -sS ${origin}/v1/messages \\
  -H "x-api-key: $TOLLGATE_KEY" \\
  -H "anthropic-version: ${VERSION}" \\
  -H "content-type: application/json" \\
  -d '{"model": "${MODEL}", "max_tokens": 512,
       "messages": [{"role": "user", "content": "Hello"}]}'`,
};

/** Fills the panels and makes the tabs work. */
export function fillSnippets() {
  const names = Object.keys(SNIPPETS);
  for (const name of names) {
    const panel = the(`panel-${name}`);
    const text = SNIPPETS[name](location.origin);
    /** @type {HTMLElement} */ (panel.querySelector("code")).textContent = text;
    const copy = /** @type {HTMLButtonElement} */ (panel.querySelector(".copy"));
    copy.addEventListener("click", async () => {
      const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
      copy.textContent = done ? "Copied" : "Press Ctrl C";
      if (!done) getSelection()?.selectAllChildren(/** @type {HTMLElement} */ (panel.querySelector("code")));
    });
    the(`tab-${name}`).addEventListener("click", () => choose(names, name));
    the(`tab-${name}`).addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const to = step === undefined ? { Home: 0, End: names.length - 1 }[event.key] : names.indexOf(name) + step;
      if (to === undefined) return;
      event.preventDefault();
      choose(names, names[(to + names.length) % names.length]);
    });
  }
}

/**
 * @param {string[]} names
 * @param {string} chosen
 */
function choose(names, chosen) {
  for (const name of names) {
    const tab = the(`tab-${name}`);
    tab.setAttribute("aria-selected", String(name === chosen));
    tab.tabIndex = name === chosen ? 0 : -1;
    show(the(`panel-${name}`), name === chosen);
  }
  the(`tab-${chosen}`).focus();
}
