// useTokenCount: a text's or a request's tokens, as it is typed.

import { useDeferredValue, useEffect, useMemo, useState } from "react";
import { DEFAULT_MODEL } from "./core.js";
import { TollgateError } from "./given.js";
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
  // By what it says, since apps write their requests down anew at each render.
  const isText = typeof input === "string";
  const text = useMemo(() => (typeof input === "string" ? input : written(input)), [input]);
  const prompt = useMemo(() => ({ isText, text }), [isText, text]);
  // A key press is drawn first; counting a long text follows when React has time.
  const deferred = useDeferredValue(prompt);
  const measured = useMemo(() => (counter?.name === model ? measuredBy(counter, deferred) : LOADING), [counter, model, deferred]);
  return failed?.model === model ? { status: "failed", measure: null, error: failed.error } : measured;
}

/** A request as JSON; null where it cannot be. @param {object} request */
function written(request) {
  try {
    return JSON.stringify(request);
  } catch {
    return null;
  }
}

/**
 * @param {import("../types/index.js").ClaudeCounter} counter
 * @param {{isText: boolean, text: string | null | undefined}} prompt
 * @returns {TokenCount}
 */
function measuredBy(counter, { isText, text }) {
  try {
    if (typeof text !== "string") throw new TollgateError("bad_request", "The request cannot be written as JSON.");
    const request = isText ? { messages: [{ role: "user", content: text }] } : JSON.parse(text);
    return { status: "ready", measure: counter.measure(request), error: null };
  } catch (error) {
    return { status: "failed", measure: null, error };
  }
}
