// Numbers, times, money and limits in words, the same wherever they are shown.

/** @type {Record<string, string>} */
const KINDS = {
  requests: "requests a minute",
  input_tokens: "input tokens a minute",
  output_tokens: "output tokens a minute",
  concurrent: "requests at a time",
  requests_day: "requests today",
  tokens_day: "tokens today",
  microusd_day: "dollars today",
  requests_week: "requests this week",
  tokens_week: "tokens this week",
  microusd_week: "dollars this week",
  requests_month: "requests this month",
  tokens_month: "tokens this month",
  microusd_month: "dollars this month",
  tokens_life: "tokens by this token",
  microusd_life: "dollars by this token",
};
/** @type {Record<string, string>} */
const SCOPES = { tenant: "Tenant", user: "End user", visitor: "Visitor", deployment: "Deployment", account: "Provider account" };

const NUMBER = new Intl.NumberFormat("en");

/** @param {number} value */
export function number(value) {
  return NUMBER.format(value);
}

/** @param {number} ms */
export function seconds(ms) {
  const s = Math.ceil(ms / 1000);
  if (s < 120) return s === 1 ? "1 second" : `${s} seconds`;
  return s < 7200 ? `${Math.ceil(s / 60)} minutes` : `${Math.ceil(s / 3600)} hours`;
}

/**
 * A limit's name for people.
 *
 * @param {string} scope
 * @param {string} kind
 */
export function named(scope, kind) {
  return `${SCOPES[scope] ?? scope}: ${KINDS[kind] ?? kind.replaceAll("_", " ")}`;
}

/**
 * @param {string} kind
 * @param {number} value
 */
export function amount(kind, value) {
  return kind.startsWith("microusd_") ? `$${(value / 1e6).toFixed(2)}` : number(value);
}
