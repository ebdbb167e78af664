// The web worker of worker.js: one counter, calls in, answers out.

import { load } from "./index.js";

/** Its calls, but for `document`, whose answer cannot be sent. @type {Record<string, (...given: any[]) => unknown>} */
let calls = {};

globalThis.addEventListener("message", async ({ data: { n, what, given } }) => {
  const answer = (/** @type {object} */ message) => /** @type {any} */ (globalThis).postMessage({ n, ...message });
  try {
    if (what !== "load") return answer({ value: calls[what](...given) });
    // For who waits: the script is there, and what it loads may take its time.
    /** @type {any} */ (globalThis).postMessage({ begun: true });
    const [model, options] = given;
    const counter = await load(model, options);
    calls = Object.fromEntries(Object.entries(counter).filter(([name, call]) => typeof call === "function" && name !== "document"));
    answer({ value: Object.keys(calls) });
  } catch (error) {
    const { code = "internal", message } = /** @type {any} */ (error);
    answer({ error: { code, message } });
  }
});
