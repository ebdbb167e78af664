// One request to POST /v1/messages, told as it goes. It is sent through the guard,
// whose refusals come back like the gate's own, but never left the browser.

import { events } from "./sse.js";

/**
 * @typedef {object} Ask
 * @property {string} key
 * @property {number} waitS at most in the gate's queue
 * @property {Record<string, unknown>} request
 *
 * @typedef {object} Problem
 * @property {string} says the provider's or the gate's own sentence
 * @property {string} code `error_code`, or the error's type
 * @property {number} [status]
 * @property {number} [retryMs] when to come back
 * @property {boolean} [local] refused by the guard: nothing was sent
 * @property {import("../../wasm-client/types/index.js").Refusal} [refusal] what the guard knows of it
 *
 * @typedef {object} Told what is learned, piece by piece; each piece only what is new
 * @property {string} [text]
 * @property {string} [thinking]
 * @property {string} [model]
 * @property {string} [requestId]
 * @property {number} [waitMs] in the gate's queue
 * @property {{input_tokens?: number, output_tokens?: number}} [usage]
 * @property {string} [stopReason]
 */

/** The versions of the API are dates; both are served. */
export const VERSION = "2026-10-21";

/** @type {{name: string, fetch: import("../../wasm-client/types/index.js").GuardedFetch} | undefined} */
let guarded;
/** The guard tells before it answers. @type {import("../../wasm-client/types/index.js").Refusal | undefined} */
let refusal;

/**
 * One guard a key, so that it remembers what was used.
 *
 * @param {string} key
 * @param {number} waitS
 */
async function guardOf(key, waitS) {
  const name = `${waitS} ${key}`;
  if (guarded?.name === name) return guarded.fetch;
  guarded?.fetch.close();
  guarded = undefined;
  // Only now, so that a page without it still shows the gate's state.
  const { guard } = await import("/vendor/tollgate/browser/index.js");
  const limits = new URL("/v1/limits", location.href);
  guarded = { name, fetch: guard({ limits, key, maxWait: waitS, onRefuse: (told) => (refusal = told) }) };
  return guarded.fetch;
}

/**
 * @param {Ask} ask
 * @param {AbortSignal} signal
 * @param {(told: Told) => void} tell
 * @returns {Promise<Problem | undefined>} undefined: complete. Rejects with an AbortError when stopped.
 */
export async function send({ key, waitS, request }, signal, tell) {
  refusal = undefined;
  let guardedFetch;
  try {
    guardedFetch = await guardOf(key, waitS);
  } catch {
    // Unguarded nothing is sent: that is what this form is for.
    return { says: "The guard’s script was not loaded, so nothing was sent. `make build` brings it.", code: "no guard", local: true };
  }
  let response;
  try {
    response = await guardedFetch("/v1/messages", {
      method: "POST",
      headers: { "content-type": "application/json", "anthropic-version": VERSION, "x-api-key": key },
      body: JSON.stringify({ ...request, stream: true }),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    return { says: "The gate cannot be reached from this browser.", code: "no connection" };
  }
  const header = (/** @type {string} */ name) => response.headers.get(name) ?? undefined;
  const waited = header("x-tollgate-wait-ms");
  tell({
    requestId: header("x-tollgate-request-id") ?? header("request-id"),
    waitMs: waited === undefined ? undefined : Number(waited),
    model: header("x-tollgate-model"),
  });
  if (!response.ok || !response.body) return refused(response);
  try {
    return await streamed(events(response.body), tell);
  } catch (error) {
    if (signal.aborted) throw error;
    return { says: "The connection to the gate broke.", code: "connection broken" };
  }
}

/**
 * @param {AsyncGenerator<any>} stream
 * @param {(told: Told) => void} tell
 * @returns {Promise<Problem | undefined>}
 */
async function streamed(stream, tell) {
  for await (const event of stream) {
    switch (event?.type) {
      case "message_start":
        // Its output_tokens are those so far: one or two.
        tell({ model: event.message?.model, usage: { input_tokens: event.message?.usage?.input_tokens } });
        break;
      case "content_block_start":
        if (event.content_block?.type === "tool_use") tell({ text: `\n→ ${event.content_block.name} ` });
        break;
      case "content_block_delta":
        if (event.delta?.type === "text_delta") tell({ text: event.delta.text });
        // A tool's input comes as JSON in pieces; to read it is the program's part.
        if (event.delta?.type === "input_json_delta") tell({ text: event.delta.partial_json });
        if (event.delta?.type === "thinking_delta") tell({ thinking: event.delta.thinking });
        break;
      case "message_delta":
        tell({ stopReason: event.delta?.stop_reason, usage: event.usage });
        break;
      case "message_stop":
        return undefined;
      case "error":
        return problemOf(event);
    }
  }
  return { says: "The stream ended without its end mark: the answer is not complete.", code: "stream broken" };
}

/** @param {Response} response */
async function refused(response) {
  const body = await response.json().catch(() => undefined);
  const local = response.headers.get("x-tollgate-local") === "1";
  return { ...problemOf(body), status: response.status, retryMs: retryMs(response.headers), local, refusal: local ? refusal : undefined };
}

/**
 * @param {any} body of the provider's JSON, or none
 * @returns {Problem}
 */
export function problemOf(body) {
  const error = body?.error ?? {};
  const says = typeof error.message === "string" ? error.message : "The answer is not the provider’s JSON.";
  return { says, code: String(error.details?.error_code ?? error.type ?? "unknown") };
}

/**
 * @param {Headers} headers
 * @returns {number | undefined}
 */
export function retryMs(headers) {
  const ms = Number(headers.get("retry-after-ms") ?? NaN);
  if (ms > 0) return ms;
  const s = Number(headers.get("retry-after") ?? NaN);
  return s > 0 ? s * 1000 : undefined;
}
