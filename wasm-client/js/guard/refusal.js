// The guard's own answers, in the JSON of the API that the client speaks, so that
// its SDK raises its usual errors.

import { randomHex } from "../hash.js";

/**
 * @typedef {import("./ledger.js").Refusal} Refusal
 * @typedef {import("./call.js").Api} Api
 */

/** Codes that the gate does not have; the others' rows are in docs/errors.md. */
const OWN_CODES = ["tollgate_guard_limit", "tollgate_not_yet", "tollgate_limits_unknown"];

/**
 * @param {Refusal} refusal
 * @param {Api} api
 * @returns {Response}
 */
export function answer(refusal, api) {
  const id = `tgl_${randomHex(12)}`;
  const headers = new Headers({
    "content-type": "application/json",
    "request-id": id,
    "x-tollgate-local": "1",
    "x-should-retry": refusal.retryAfterMs === null ? "false" : "true",
  });
  if (refusal.retryAfterMs !== null) {
    const ms = Math.max(1, Math.ceil(refusal.retryAfterMs));
    headers.set("retry-after", String(Math.max(1, Math.ceil(ms / 1000))));
    headers.set("retry-after-ms", String(ms));
  }
  const page = OWN_CODES.includes(refusal.code) ? "docs/browser.md" : "docs/errors.md";
  const message = `${refusal.message} (${page}#${refusal.code})`;
  const body =
    api === "anthropic"
      ? { type: "error", error: { type: refusal.type, message, details: { error_code: refusal.code } }, request_id: id }
      : { error: { message, type: refusal.type, param: null, code: openaiCode(refusal) } };
  return new Response(JSON.stringify(body), { status: refusal.status, headers });
}

/**
 * Apps look for this one code; all others are ours.
 *
 * @param {Refusal} refusal
 */
function openaiCode(refusal) {
  return refusal.code === "tollgate_context_window" ? "context_length_exceeded" : refusal.code;
}
