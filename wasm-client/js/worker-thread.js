// The web worker of worker.js: one counter, calls in, answers out.

import { load, TollgateError } from "./index.js";

/** @type {import("../types/index.js").ClaudeCounter | import("../types/index.js").VocabularyCounter} */
let counter;

globalThis.addEventListener("message", async ({ data: { n, what, argument } }) => {
  const answer = (/** @type {object} */ message) => /** @type {any} */ (globalThis).postMessage({ n, ...message });
  try {
    switch (what) {
      case "load":
        // For who waits: the script is there, and what it loads may take its time.
        /** @type {any} */ (globalThis).postMessage({ begun: true });
        counter = await load(argument.model, { calibration: argument.calibration });
        return answer({ value: null });
      case "count":
        return answer({ value: counter.count(argument) });
      case "bounds":
        return answer({ value: counter.bounds(argument) });
      case "measure":
        return answer({ value: /** @type {any} */ (counter).measure(argument) });
    }
  } catch (error) {
    const { code = "internal", message } = /** @type {any} */ (error);
    answer({ error: { code, message } });
  }
});
