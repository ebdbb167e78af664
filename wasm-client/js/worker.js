// Counting off the main thread: a web worker, and the promises of its answers.

import { arrived, read } from "./bytes.js";
import { SILENT_MS } from "./fetched.js";
import { fieldsOf, held, kindOf, nameOf, reasonOf, TollgateError } from "./given.js";

/**
 * A counter in a web worker of its own.
 *
 * @param {string} model
 * @param {import("../types/worker.js").WorkerOptions} [options]
 * @returns {Promise<any>} types/worker.d.ts
 */
export async function loadInWorker(model, options = {}) {
  held(options?.vocabulary);
  nameOf(model, "loadInWorker");
  const { calibration, vocabulary, worker } = fieldsOf(options, "loadInWorker's options are an object like { calibration }");
  if (worker !== undefined && typeof worker?.postMessage !== "function") throw new TollgateError("bad_request", `worker must be a Worker, not ${kindOf(worker)}.`);
  const thread = worker ?? started();
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: unknown) => void}>} */
  const waiting = new Map();
  let asked = 0;
  let ended = /** @type {TollgateError | null} */ (null);
  const end = (/** @type {TollgateError} */ error) => {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  thread.addEventListener("message", ({ data: { n, value, error } }) => {
    const call = waiting.get(n);
    waiting.delete(n);
    if (error) call?.reject(new TollgateError(error.code, error.message));
    else call?.resolve(value);
  });
  thread.addEventListener("error", (event) => {
    event.preventDefault?.();
    end(new TollgateError("no_wasm", `The web worker could not be started: ${event.message || "its script was not loaded"}`));
  });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let silence;
  thread.addEventListener("message", () => clearTimeout(silence), { once: true });
  const call = (/** @type {string} */ what, /** @type {unknown[]} */ ...given) =>
    new Promise((/** @type {(value: any) => void} */ resolve, reject) => {
      if (ended) return reject(ended);
      const n = asked++;
      waiting.set(n, { resolve, reject });
      try {
        thread.postMessage({ n, what, given });
      } catch (error) {
        // What cannot be copied to it, e.g. a function within a request.
        waiting.delete(n);
        reject(new TollgateError("bad_request", reasonOf(error), error));
      }
    });
  const terminate = () => {
    clearTimeout(silence);
    end(new TollgateError("not_ready", "The counter was closed."));
    thread.terminate();
  };
  /** @type {string[]} What the counter there can be asked. */
  let asks;
  try {
    const given = { calibration, vocabulary: await sendable(vocabulary, model) };
    // Nothing tells of a script that does not come, and one that is there says nothing until it is
    // asked. Then it answers at once, and gives up by itself.
    silence = setTimeout(() => end(new TollgateError("no_wasm", `The web worker could not be started: nothing came of it for ${SILENT_MS / 1000} seconds`)), SILENT_MS);
    asks = await call("load", model, given);
  } catch (error) {
    terminate();
    throw error;
  }
  const calls = asks.map((what) => [what, (/** @type {unknown[]} */ ...given) => call(what, ...given)]);
  return { name: model, ...Object.fromEntries(calls), close: terminate };
}

/**
 * A vocabulary's place as the worker understands it, whose script has another address; or its bytes.
 *
 * @param {import("../types/index.js").LoadOptions["vocabulary"]} given
 * @param {string} model
 */
async function sendable(given, model) {
  const of = /** @type {const} */ ({ code: "bad_vocabulary", what: `${model}'s vocabulary` });
  const from = await arrived(given, of);
  if (from === undefined) return undefined;
  if (typeof from !== "string" && !(from instanceof URL)) return read(from, of);
  try {
    // A worker that starts another has no document.
    return new URL(from, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch (error) {
    throw new TollgateError(of.code, `${of.what} could not be fetched from ${from}: ${reasonOf(error)}`, error);
  }
}

/** A policy or a platform may have no workers. */
function started() {
  try {
    return new Worker(new URL("./worker-thread.js", import.meta.url), { type: "module", name: "tollgate" });
  } catch (error) {
    throw new TollgateError("no_wasm", `The web worker could not be started: ${reasonOf(error)}`, error);
  }
}
