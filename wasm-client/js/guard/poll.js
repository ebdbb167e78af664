// Asks a gate for its limits: one call at a time, with the tag of the last answer,
// slower and slower while it fails.

import { parseLimits } from "./limits.js";

/**
 * @typedef {import("./ledger.js").Snapshot} Snapshot
 * @typedef {typeof globalThis.fetch} Fetch
 */

/** The gate takes no such key: it says why to the request itself, which uses nothing. */
export class KeyRefused extends Error {}

/** As long as the gate itself waits for what it asks (2 s). */
const TIMEOUT_MS = 2_000;
/** Spans between tries that fail. */
const BACKOFF_MS = [1_000, 30_000];
/** An answer over this is no answer of a gate. */
const CHARS_MAX = 1 << 20;

/**
 * @param {URL} url
 * @param {Record<string, string>} headers the caller's key and user
 * @param {Fetch} fetch
 * @param {() => number} clock
 * @returns {() => Promise<Snapshot>} rejects where there is none to be had now
 */
export function poller(url, headers, fetch, clock) {
  let tag = "";
  /** @type {any} what the tag is of */
  let told;
  /** @type {Promise<Snapshot> | undefined} */
  let asking;
  let failures = 0;
  let notBeforeMs = 0;
  // A failure for want of a network says nothing of the gate: back online it is asked.
  let wasOffline = false;
  /** @type {unknown} */
  let lastError;

  const ask = async () => {
    const askedMs = clock();
    if (askedMs < notBeforeMs && !(wasOffline && isOnline())) throw lastError;
    try {
      const response = await fetch(url, {
        headers: { ...headers, ...(tag && { "if-none-match": tag }) },
        // A redirect could lead the key elsewhere.
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
        // workerd refuses what it does not have.
        ...(typeof location === "object" && { cache: /** @type {const} */ ("no-store"), credentials: /** @type {const} */ ("omit") }),
      });
      const same = response.status === 304 && told !== undefined;
      if (response.status === 401 || response.status === 403) throw new KeyRefused(`${url.pathname} answers ${response.status}`);
      if (!same && response.status !== 200) throw new Error(`${url.pathname} answers ${response.status}`);
      const text = same ? "" : await response.text();
      if (text.length > CHARS_MAX) throw new Error(`${url.pathname} answers more than ${CHARS_MAX} characters`);
      const body = same ? told : JSON.parse(text);
      // Equal levels: told as of then, and not touched since.
      const snapshot = parseLimits(body, askedMs, clock());
      if (!same) [told, tag] = [body, response.headers.get("etag") ?? ""];
      failures = notBeforeMs = 0;
      return snapshot;
    } catch (error) {
      wasOffline = !isOnline();
      const [least, most] = BACKOFF_MS;
      notBeforeMs = clock() + Math.min(most, least * 2 ** failures);
      failures = Math.min(failures + 1, 10);
      throw (lastError = error);
    }
  };
  return () => (asking ??= ask().finally(() => (asking = undefined)));
}

/** Node and Workers do not say. */
function isOnline() {
  return globalThis.navigator?.onLine !== false;
}
