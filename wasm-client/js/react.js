// useTokenCount: a text's or a request's tokens, as it is typed.

import { useEffect, useState } from "react";
import { DEFAULT_MODEL, TollgateError } from "./core.js";
import { load } from "./index.js";

/** @typedef {import("../types/react.js").TokenCount} TokenCount */

/** @type {TokenCount} */
const LOADING = { status: "loading", measure: null, error: null };

/**
 * @param {string | import("../types/index.js").MessagesRequest} input
 * @param {string} [model]
 * @returns {TokenCount}
 */
export function useTokenCount(input, model = DEFAULT_MODEL) {
  const [counter, setCounter] = useState(/** @type {import("../types/index.js").ClaudeCounter | null} */ (null));
  // Of which model, too: another one's says nothing of this one.
  const [failed, setFailed] = useState(/** @type {{model: string, error: unknown} | null} */ (null));
  useEffect(() => {
    // The model may change before the first one is there.
    let current = true;
    load(model).then(
      (counter) => {
        if (!current) return;
        const error = counter.exact && new TollgateError("unknown_model", `${model} has no prices here: useTokenCount is for Claude models.`);
        setFailed(error ? { model, error } : null);
        if (!error) setCounter(() => counter);
      },
      (error) => current && setFailed({ model, error }),
    );
    return () => {
      current = false;
    };
  }, [model]);
  if (failed?.model === model) return { status: "failed", measure: null, error: failed.error };
  // Rendered on a server, or not loaded yet: the same output, so that hydration agrees.
  if (counter?.name !== model) return LOADING;
  try {
    const request = typeof input === "string" ? { messages: [{ role: "user", content: input }] } : input;
    return { status: "ready", measure: counter.measure(request), error: null };
  } catch (error) {
    return { status: "failed", measure: null, error };
  }
}
