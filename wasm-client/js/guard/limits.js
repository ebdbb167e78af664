// What a gate or a provider says of its limits, parsed once: /v1/limits, the
// headers of responses, and limits given in code.

import { calibrationOf } from "../calibration.js";
import { TollgateError } from "../given.js";
import { BUDGETS, budgetOf, nextDay } from "./ledger.js";

/**
 * @typedef {import("./ledger.js").Limit} Limit
 * @typedef {import("./ledger.js").Kind} Kind
 * @typedef {import("./ledger.js").Snapshot} Snapshot
 */

/** @type {readonly Kind[]} */
const KINDS = ["requests", "input_tokens", "output_tokens", "concurrent", ...BUDGETS];
/** Models and limits that are read of one answer. */
const MODELS_MAX = 1_000;
const LIMITS_MAX = 100;
/** The gate answers from what it knew so long ago at most (design of /v1/limits). */
const GATE_AGE_MS_MAX = 1_000;
/** What a gate's own integers hold. Sums of larger ones are no numbers any more. */
const AMOUNT_MAX = 2 ** 64;
/** The least and the most between two polls, whatever an answer says. */
const POLL_MS = [1_000, 60_000];

/**
 * The answer of `GET /v1/limits`. Throws where it is not one.
 *
 * @param {any} told its JSON
 * @param {number} askedMs when it was asked for
 * @param {number} heardMs when it came
 * @returns {Snapshot}
 */
export function parseLimits(told, askedMs, heardMs) {
  if (!isObject(told) || !isObject(told.models) || !Array.isArray(told.limits)) throw new TypeError("the answer of /v1/limits has no models and limits");
  // What the caller's own limits leave, as told: where less is available, it is the
  // account that leaves less.
  const own = (/** @type {(string | null)[]} */ ...kinds) => Math.min(...told.limits.filter((/** @type {any} */ limit) => kinds.includes(budgetOf(limit?.kind) ?? limit?.kind)).map((/** @type {any} */ { level }) => Math.max(0, level)));
  const [ownRequests, ownInput] = [own("requests", "concurrent", "requests budget"), own("input_tokens", "tokens budget")];
  /** @type {Snapshot["models"]} */
  const models = {};
  for (const [id, model] of Object.entries(told.models).slice(0, MODELS_MAX)) {
    if (!isObject(model) || !isCount(model.max_input_tokens) || !model.max_input_tokens) throw new TypeError(`models.${id} is not a model's limits`);
    const calibration = calibrationOf(model.calibration);
    const { requests, input_tokens: inputTokens, output_tokens: outputTokens } = isObject(model.available) ? model.available : {};
    models[id] = {
      class: typeof model.class === "string" ? model.class : id,
      maxInputTokens: model.max_input_tokens,
      ...(calibration && { calibration }),
      available: [requests, inputTokens, outputTokens].every(isCount) ? { requests, inputTokens, outputTokens } : null,
      account: { requests: requests < ownRequests ? requests : null, inputTokens: inputTokens < ownInput ? inputTokens : null },
    };
  }
  const limits = told.limits.slice(0, LIMITS_MAX).flatMap((/** @type {any} */ limit) => {
    if (!isObject(limit) || typeof limit.scope !== "string" || !isAmount(limit.level) || !isCount(limit.capacity)) throw new TypeError("limits holds what is no limit");
    // A kind of a gate to come: it decides, not we.
    if (!KINDS.includes(limit.kind) || limit.models?.length > 0) return [];
    const perMinute = isCount(limit.per_minute) ? limit.per_minute : isCount(limit.per_s) ? limit.per_s * 60 : 0;
    const resetsMs = isCount(limit.resets_ms) ? limit.resets_ms : 0;
    // The level may be as old as this; what it refilled since is given to it.
    const ageMs = Math.max(0, heardMs - askedMs) + GATE_AGE_MS_MAX;
    // What others hold of a budget may come back, too.
    const held = isCount(limit.held) ? limit.held : 0;
    const level = perMinute > 0 ? Math.max(limit.level, Math.min(limit.capacity, limit.level + (ageMs * perMinute) / 60_000)) : limit.level + held;
    return [{ scope: limit.scope, kind: limit.kind, level, capacity: limit.capacity, perMinute, atMs: heardMs, endsMs: heardMs + resetsMs }];
  });
  const [least, most] = POLL_MS;
  const nextPollMs = isCount(told.next_poll_ms) ? Math.min(most, Math.max(least, told.next_poll_ms)) : 5_000;
  const gateMs = isCount(told.at_ms) ? told.at_ms : heardMs;
  return { gateMs, takenMs: heardMs, heardMs, nextPollMs, models, limits };
}

/**
 * Limits given in code, all full.
 *
 * @param {import("../../types/index.js").FixedLimits} fixed
 * @param {number} now
 * @returns {Snapshot}
 */
export function fixedLimits(fixed, now) {
  const { rpm, itpm, otpm, concurrent, requests_day, tokens_day, usd_day, windows = {}, ...others } = fixed;
  const unknown = Object.keys(others);
  if (unknown.length) throw new TollgateError("bad_request", `guard: limits.${unknown[0]} is no limit`);
  if (!isObject(windows)) throw new TollgateError("bad_request", "guard: limits.windows must have the context window of each model, by its name");
  const ofWindows = Object.entries(windows).map(([model, tokens]) => [`windows.${model}`, tokens]);
  for (const [name, value] of [...Object.entries({ rpm, itpm, otpm, concurrent, requests_day, tokens_day, usd_day }), ...ofWindows])
    if (value !== undefined && !(Number.isFinite(value) && Number(value) > 0)) throw new TollgateError("bad_request", `guard: limits.${name} must be a number above 0`);
  const limit = (/** @type {Kind} */ kind, /** @type {number | undefined} */ capacity, perMinute = 0) =>
    capacity === undefined ? [] : [{ scope: "code", kind, level: capacity, capacity, perMinute, atMs: now, endsMs: nextDay(now) }];
  const limits = [
    ...limit("requests", rpm, rpm),
    ...limit("input_tokens", itpm, itpm),
    ...limit("output_tokens", otpm, otpm),
    ...limit("concurrent", concurrent),
    ...limit("requests_day", requests_day),
    ...limit("tokens_day", tokens_day),
    ...limit("microusd_day", usd_day === undefined ? undefined : Math.round(usd_day * 1e6)),
  ];
  const models = Object.fromEntries(Object.entries(windows).map(([id, maxInputTokens]) => [id, { class: id, maxInputTokens, available: null, account: { requests: null, inputTokens: null } }]));
  return { gateMs: now, takenMs: now, heardMs: now, nextPollMs: Infinity, models, limits };
}

/**
 * What a response's headers say of limits: the gate's `RateLimit`, Anthropic's and
 * OpenAI's own.
 *
 * @param {Headers} headers
 * @param {string} modelClass
 * @param {number} now
 * @returns {Limit[]}
 */
export function limitsOfHeaders(headers, modelClass, now) {
  return [...gateLimit(headers, now), ...providerLimits(headers, modelClass, now)];
}

/**
 * How long the response asks to stay away, where it does.
 *
 * @param {Headers} headers
 * @param {number} now
 * @returns {number | null}
 */
export function retryAfterMs(headers, now) {
  if (headers.get("x-should-retry") === "false") return null;
  const ms = number(headers.get("retry-after-ms"));
  if (ms !== null) return ms;
  const after = headers.get("retry-after");
  const s = number(after);
  if (s !== null) return s * 1000;
  const date = after ? Date.parse(after) - now : NaN;
  return Number.isFinite(date) && date > 0 ? date : null;
}

/**
 * `RateLimit: "tenant-requests";r=0;t=12` and its policy (draft-ietf-httpapi-ratelimit-headers).
 *
 * @param {Headers} headers
 * @param {number} now
 * @returns {Limit[]}
 */
function gateLimit(headers, now) {
  const [, name, left, reset] = headers.get("ratelimit")?.match(/^"([a-z]+-[a-z-]+)";r=(\d{1,15});t=(\d{1,9})$/) ?? [];
  const [, policy, capacity] = headers.get("ratelimit-policy")?.match(/^"([a-z-]+)";q=(\d{1,15});w=\d{1,9}$/) ?? [];
  if (!name || name !== policy) return [];
  const [scope, ...kind] = name.split("-");
  const found = KINDS.find((known) => known === kind.join("_"));
  // Zeros are told where the numbers are not the caller's to know: that is no level.
  // When to come back is in retry-after.
  if (!found || Number(capacity) === 0) return [];
  return [{ scope, kind: found, level: Number(left), capacity: Number(capacity), perMinute: 0, atMs: now, endsMs: now + Number(reset) * 1000, heldUnknown: true }];
}

/**
 * @param {Headers} headers
 * @param {string} modelClass
 * @param {number} now
 * @returns {Limit[]}
 */
function providerLimits(headers, modelClass, now) {
  const families = /** @type {const} */ ([
    ["requests", "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining"],
    ["input_tokens", "anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining"],
    ["output_tokens", "anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining"],
    ["requests", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"],
    ["input_tokens", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"],
  ]);
  return families.flatMap(([kind, ofLimit, ofRemaining]) => {
    const capacity = number(headers.get(ofLimit));
    const remaining = number(headers.get(ofRemaining));
    if (capacity === null || remaining === null) return [];
    // Tokens are told to the nearest thousand (Anthropic's docs, rate limits, 2026-10).
    const level = kind === "requests" ? remaining : Math.min(capacity, remaining + 500);
    return [{ scope: "account", kind, level, capacity, perMinute: capacity, atMs: now, endsMs: now + 60_000, class: modelClass }];
  });
}

/** @param {string | null} text */
function number(text) {
  return text !== null && /^\d{1,15}(\.\d+)?$/.test(text.trim()) ? Number(text) : null;
}

/** @param {unknown} value */
const isAmount = (value) => typeof value === "number" && Math.abs(value) <= AMOUNT_MAX;

/** @param {unknown} value */
const isCount = (value) => isAmount(value) && Number(value) >= 0;

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
