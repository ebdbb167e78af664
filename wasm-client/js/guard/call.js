// What a call of `fetch` is to the guard: which API it speaks, what it asks for,
// how long it would wait. What cannot be read is not guessed.

import { estimateText, knownModel, measureJson } from "../core.js";
import { readyFor } from "../vocabulary.js";
import { byEstimate, exactly, openaiMeasure } from "./openai.js";

/**
 * @typedef {"anthropic" | "openai"} Api
 *
 * @typedef {object} Call
 * @property {Api} api
 * @property {URL} url
 * @property {Headers} headers
 * @property {AbortSignal | null} signal
 * @property {() => Promise<string | null>} body its text; null: not to be had without using it up
 *
 * @typedef {import("./ledger.js").Ask} Ask
 */

/** Seconds that the gate lets a request wait which says nothing, by priority. */
const WAIT_S = /** @type {Record<string, number>} */ ({ critical: 30, normal: 120, background: 600 });
/** The tenant's own default is not known here: the longest of them. */
const WAIT_S_UNKNOWN = 600;
/** A body over this is the gate's to refuse (32 MB), and not worth reading here. */
const BODY_CHARS_MAX = 48 << 20;

/**
 * The call, where it is one that limits are for.
 *
 * @param {RequestInfo | URL} input
 * @param {RequestInit | undefined} init
 * @returns {Call | null}
 */
export function callOf(input, init) {
  const request = typeof Request === "function" && input instanceof Request ? input : null;
  const method = (init?.method ?? request?.method ?? "GET").toUpperCase();
  const url = urlOf(request?.url ?? String(input));
  const api = url && method === "POST" ? apiOf(url.pathname) : null;
  if (!url || !api) return null;
  return {
    api,
    url,
    headers: new Headers(init?.headers ?? request?.headers),
    signal: init?.signal ?? request?.signal ?? null,
    body: () => textOf(init?.body, request),
  };
}

/**
 * What the call asks for; null where its body cannot be read or is no request:
 * the gate will say what is wrong with it.
 *
 * @param {Call} call
 * @param {number} now
 * @param {number | null} maxWaitS the guard's own option
 * @param {boolean} measured whether the module is there to measure it
 * @param {NonNullable<import("../../types/index.js").GuardOptions["tokenizers"]>} [tokenizers] counters by the model
 * @returns {Promise<Ask | null>}
 */
export async function askOf(call, now, maxWaitS, measured, tokenizers = {}) {
  const text = await call.body();
  if (text === null || text.length > BODY_CHARS_MAX) return null;
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof body !== "object" || body === null || typeof body.model !== "string") return null;
  const { model } = body;
  const patienceMs = patience(call.headers, maxWaitS);
  const count = (/** @type {unknown} */ tokens) => (typeof tokens === "number" && tokens >= 0 && Number.isFinite(tokens) ? tokens : 0);
  const maxTokens = count(body.max_tokens ?? body.max_completion_tokens ?? body.max_output_tokens);
  const unmeasured = { model, class: model, input: null, maxTokens, microusdMax: 0, window: null, patienceMs };
  if (!measured) return unmeasured;
  if (call.api === "openai") {
    const known = Object.hasOwn(tokenizers, model) ? tokenizers[model] : readyFor(model);
    try {
      const { lower, estimate, upper } = openaiMeasure(body, known ? exactly(known.count) : byEstimate((text) => estimateText(text, "claude-haiku-4-5")));
      return { ...unmeasured, input: { lower, estimate, upper } };
    } catch {
      // A counter of the app's may be closed, a tool's description anything.
      return unmeasured;
    }
  }
  try {
    const { lower, estimate, upper, kinds, cost, max_input_tokens } = measureJson(text, true, now);
    return { model, class: knownModel(model)?.class ?? model, input: { lower, estimate, upper }, kinds, maxTokens, microusdMax: cost.most_microusd, window: max_input_tokens, patienceMs };
  } catch {
    return null;
  }
}

/** @param {string} path */
function apiOf(path) {
  if (path.endsWith("/v1/messages")) return "anthropic";
  if (path.endsWith("/chat/completions") || path.endsWith("/v1/responses")) return "openai";
  return null;
}

/** @param {string} text */
function urlOf(text) {
  try {
    return new URL(text, globalThis.location?.href);
  } catch {
    return null;
  }
}

/**
 * @param {BodyInit | null | undefined} body
 * @param {Request | null} request
 * @returns {Promise<string | null>}
 */
async function textOf(body, request) {
  if (typeof body === "string") return body;
  if (body instanceof Uint8Array || body instanceof ArrayBuffer) return new TextDecoder().decode(body);
  if (typeof Blob === "function" && body instanceof Blob) return body.text();
  if (body === undefined && request?.body && !request.bodyUsed) return request.clone().text();
  return null;
}

/**
 * @param {Headers} headers
 * @param {number | null} maxWaitS
 */
function patience(headers, maxWaitS) {
  const asked = seconds(headers.get("x-tollgate-max-wait")) ?? maxWaitS;
  const wish = asked ?? WAIT_S[headers.get("x-tollgate-priority") ?? ""] ?? WAIT_S_UNKNOWN;
  return Math.min(wish, seconds(headers.get("x-stainless-timeout")) ?? Infinity) * 1000;
}

/** @param {string | null} text */
function seconds(text) {
  return text !== null && /^\d{1,9}(\.\d+)?$/.test(text) ? Math.floor(Number(text)) : null;
}
