// Why a request is refused, in words: status, type and code as the gate would say
// it, what is left, and when to come back.

/**
 * @typedef {import("./ledger.js").Ask} Ask
 * @typedef {import("./ledger.js").Kind} Kind
 * @typedef {import("./ledger.js").Limit} Limit
 * @typedef {import("./ledger.js").Refusal} Refusal
 */

/** Of what is refused because nothing is known. */
export const UNKNOWN = "tollgate_limits_unknown";

/** @returns {Refusal} */
export function limitsUnknown() {
  const message = "The limits are not known: the gate could not be asked for them, and the guard was told to refuse then.";
  return { status: 503, type: "api_error", code: UNKNOWN, message, retryAfterMs: 2_000, limit: null };
}

/**
 * @param {Ask} ask
 * @param {number} lower
 * @param {number} window
 * @returns {Refusal}
 */
export function tooLong(ask, lower, window) {
  const message = `messages: the prompt has at least ${lower} tokens, and ${ask.model} takes ${window} at most. Shorten it.`;
  return { status: 413, type: "request_too_large", code: "tollgate_context_window", message, retryAfterMs: null, limit: null };
}

/**
 * @param {Limit} limit
 * @param {number} need
 * @returns {Refusal}
 */
export function tooLarge(limit, need) {
  const message = `This request alone needs ${need} ${words(limit.kind)}, more than its limit of ${limit.capacity} ever holds (${scopeOf(limit)}). Make it smaller, or let the operator raise the limit.`;
  return { status: 400, type: "invalid_request_error", code: "tollgate_larger_than_limit", message, retryAfterMs: null, limit: seen(limit, limit.level) };
}

/**
 * @param {Limit} limit
 * @param {number} level
 * @param {number} waitMs
 * @returns {Refusal}
 */
export function reached(limit, level, waitMs) {
  const left = limit.capacity > 0 ? `: ${Math.max(0, Math.floor(level))} of ${limit.capacity} ${words(limit.kind)} left (${scopeOf(limit)})` : ` (${words(limit.kind)})`;
  const codes = /** @type {Record<string, string>} */ ({ user: "tollgate_user_limit", account: "tollgate_provider_limit", code: "tollgate_guard_limit" });
  const code = codes[limit.scope] ?? "tollgate_tenant_limit";
  const message = `The rate limit is reached${left}. Retry in ${span(waitMs)}.`;
  return { status: 429, type: "rate_limit_error", code, message, retryAfterMs: waitMs, limit: seen(limit, level) };
}

/**
 * @param {Limit} limit
 * @param {number} level
 * @param {number} waitMs
 * @returns {Refusal}
 */
export function spent(limit, level, waitMs) {
  const code = limit.scope === "deployment" ? "tollgate_deployment_budget_spent" : limit.scope === "code" ? "tollgate_guard_limit" : "tollgate_budget_spent";
  const isOver = limit.kind.endsWith("_life");
  const then = isOver ? "This visitor token is used up: ask your server for another." : `It begins anew in ${span(waitMs)}.`;
  const message = `The budget is spent: ${Math.max(0, Math.floor(level))} of ${limit.capacity} ${words(limit.kind)} left (${scopeOf(limit)}). ${then}`;
  return { status: 429, type: "rate_limit_error", code, message, retryAfterMs: isOver ? null : waitMs, limit: seen(limit, level) };
}

/**
 * @param {Limit} limit
 * @param {number} level
 */
function seen({ scope, kind, capacity }, level) {
  return { scope, kind, level: Math.floor(level), capacity };
}

/** @param {Limit} limit */
const scopeOf = (limit) => (limit.scope === "code" ? "set in this app" : limit.scope);

/** @param {Kind} kind */
const words = (kind) => kind.replace("microusd_", "micro-dollars_").replace(/_(day|week|month)$/, " a $1").replace("_life", " of its life").replaceAll("_", " ");

/** @param {number} ms */
function span(ms) {
  const s = Math.ceil(ms / 1000);
  if (s <= 1) return "1 second";
  if (s < 120) return `${s} seconds`;
  if (s < 7_200) return `${Math.ceil(s / 60)} minutes`;
  return `${Math.ceil(s / 3600)} hours`;
}
