// guard(…): a `fetch` for the official SDKs that refuses what must fail before it
// leaves. The way of a call is `guarded` below; what is decided is ledger.js's.

import { calibrationOf, isOf, SHAPE, undated } from "../calibration.js";
import { costOf, init, isReady } from "../core.js";
import { fieldsOf, held, TollgateError } from "../given.js";
import { randomHex, sha256 } from "../hash.js";
import { Book } from "./book.js";
import { askOf, callOf } from "./call.js";
import { fixedLimits, limitsOfHeaders, retryAfterMs } from "./limits.js";
import { poller } from "./poll.js";
import { answer } from "./refusal.js";
import { watched } from "./usage.js";

/**
 * @typedef {import("../../types/index.js").GuardOptions} GuardOptions
 * @typedef {import("../../types/index.js").GuardedFetch} GuardedFetch
 * @typedef {import("./ledger.js").Ask} Ask
 */

/** Callers remembered: a server that guards for many users forgets the idlest. */
const BOOKS_MAX = 256;
const STALE_MS = 30_000;
/** A module that is not there by then is not waited for: as long as a gate gives its own. */
const MODULE_MS = 2_000;

/**
 * @param {GuardOptions} options
 * @returns {GuardedFetch}
 */
export function guard(options) {
  const { limits, key, maxWait, share = true, onRefuse, onUnchecked } = fieldsOf(options, "guard: its options are an object like { limits, key }");
  held(options.wasm);
  const clock = options.now ?? Date.now;
  // As it is at the time of a call: tests and polyfills replace it.
  const send =
    options.fetch ??
    (async (input, init) => {
      if (typeof globalThis.fetch !== "function") throw new TypeError("guard: there is no fetch here; give one as guard({ …, fetch })");
      return globalThis.fetch(input, init);
    });
  const url = typeof limits === "string" || limits instanceof URL ? absolute(limits) : null;
  const fixed = url ? null : /** @type {import("../../types/index.js").FixedLimits} */ (limits);
  if (!url && (typeof fixed !== "object" || fixed === null || Array.isArray(fixed))) throw new TollgateError("bad_request", "guard: limits must be the address of /v1/limits, or limits");
  if (maxWait !== undefined && !(Number.isInteger(maxWait) && maxWait >= 0 && maxWait <= 3600)) throw new TollgateError("bad_request", "guard: maxWait must be whole seconds, 0 to 3600");
  const whenUnknown = options.whenUnknown ?? "open";
  if (whenUnknown !== "open" && whenUnknown !== "closed") throw new TollgateError("bad_request", 'guard: whenUnknown must be "open" or "closed"');
  const staleMs = options.staleMs ?? STALE_MS;
  if (!(typeof staleMs === "number" && staleMs >= 0)) throw new TollgateError("bad_request", "guard: staleMs must be milliseconds, 0 or more");
  const tokenizers = options.tokenizers ?? {};
  for (const [model, counter] of Object.entries(tokenizers)) if (typeof counter?.count !== "function") throw new TollgateError("bad_request", `guard: tokenizers["${model}"] must be a counter: await loadTokenizer(…)`);
  /** @type {NonNullable<import("./ledger.js").Rules["calibrations"]>} */
  const calibrations = {};
  for (const [model, told] of Object.entries(options.calibrations ?? {})) {
    const calibration = calibrationOf(told);
    if (!calibration) throw new TollgateError("bad_request", `guard: calibrations["${model}"] is none: it has ${SHAPE}, as \`tollgate calibrate\` writes it`);
    if (!isOf(told, model)) throw new TollgateError("bad_request", `guard: calibrations["${model}"] corrects ${/** @type {any} */ (told).model}`);
    calibrations[undated(model)] = calibration;
  }
  const rules = { whenUnknown, staleMs, fixed: fixed !== null, calibrations };
  // Told here where they are wrong, not at the first call.
  if (fixed) fixedLimits(fixed, 0);
  let stopped = false;

  /** @type {Map<string, Promise<Book>>} the most recently used last */
  const books = new Map();
  const bookOf = (/** @type {string} */ credential, /** @type {string} */ user) => {
    const name = fixed ? "" : `${credential}\n${user}`;
    const book = books.get(name) ?? open(name, credential, user);
    books.delete(name);
    books.set(name, book);
    if (books.size > BOOKS_MAX) {
      const [idlest] = books.keys();
      void books.get(idlest)?.then((book) => book.close());
      books.delete(idlest);
    }
    return book;
  };
  const open = async (/** @type {string} */ name, /** @type {string} */ credential, /** @type {string} */ user) => {
    const headers = { ...(credential && { "x-api-key": credential }), ...(user && !isForPages(credential) && { "x-tollgate-user": user }) };
    return new Book({
      rules,
      clock,
      poll: url && poller(url, headers, send, clock),
      snapshot: fixed && fixedLimits(fixed, clock()),
      shared: share ? await tabsName(JSON.stringify([url ?? fixed, rules, name])) : null,
      onSnapshot: (snapshot) => quietly(() => options.onSnapshot?.(publicOf(snapshot))),
    });
  };

  /** @type {(input: RequestInfo | URL, init?: RequestInit) => Promise<Response>} */
  const guarded = async (input, requestInit) => {
    const call = callOf(input, requestInit);
    if (!call || stopped) return send(input, requestInit);
    call.signal?.throwIfAborted();
    const measured = isReady() || (await until(atMost(MODULE_MS, init(options.wasm)), call.signal).then(isReady, failed(call.signal)));
    const ask = await until(askOf(call, clock(), maxWait ?? null, measured, tokenizers), call.signal);
    const tells = url && maxWait !== undefined && !isForPages(keyOf(call.headers));
    const sent = tells ? withMaxWait(call.headers, requestInit, maxWait) : requestInit;
    if (!ask) return send(input, sent);
    if (!ask.input) quietly(() => onUnchecked?.({ reason: "not_measured", model: ask.model }));

    // Without a key of its own the guard may use the request's, where it goes anyway.
    const own = call.url.origin === url?.origin ? keyOf(call.headers) : "";
    const book = await bookOf(key ?? own, call.headers.get("x-tollgate-user") ?? "");
    const id = randomHex(8);
    const admitting = book.admit(id, ask);
    const decision = await until(admitting, call.signal).catch((error) => {
      // It left while the limits were asked for: its place, once it has one, is free.
      void admitting.then(() => book.release(id), () => {});
      throw error;
    });
    if (decision.kind !== "send") {
      const { refusal } = decision;
      quietly(() => onRefuse?.({ ...refusal, model: ask.model, input: ask.input }));
      return answer(refusal, call.api);
    }
    if (decision.unchecked) quietly(() => onUnchecked?.({ reason: /** @type {"no_snapshot" | "stale"} */ (decision.unchecked), model: ask.model }));
    /** @type {Response} */
    let response;
    try {
      response = await send(input, sent);
    } catch (error) {
      // Whether it arrived nobody knows; the next snapshot will.
      book.release(id);
      throw error;
    }
    return heard(book, id, ask, response);
  };

  /**
   * What a response teaches, and the response.
   *
   * @param {Book} book
   * @param {string} id
   * @param {Ask} ask
   * @param {Response} response
   */
  const heard = (book, id, ask, response) => {
    const now = clock();
    book.learnLimits(limitsOfHeaders(response.headers, ask.class, now));
    if (response.ok) {
      return watched(response, (used) => {
        if (!used) return book.keep(id);
        const { input, cacheWritten, cacheRead, output } = used;
        const microusd = isReady() ? costOf(ask.model, { input: input - cacheWritten, cacheWritten, cacheRead, output }, now) : 0;
        book.settle(id, { input, output, tokens: input + cacheRead + output, microusd });
      });
    }
    book.release(id);
    const after = response.status === 429 || response.status === 503 || response.status === 529 ? retryAfterMs(response.headers, now) : null;
    if (after !== null) {
      const { status } = response;
      const message = "The last such request was refused, and its time to come back has not come.";
      const type = status === 429 ? "rate_limit_error" : status === 529 ? "overloaded_error" : "api_error";
      book.learnBar({
        model: ask.model,
        heardMs: now,
        untilMs: now + after,
        input: ask.input?.estimate ?? 0,
        maxTokens: ask.maxTokens,
        patienceMs: ask.patienceMs,
        said: { status, type, code: "tollgate_not_yet", message },
      });
    }
    return response;
  };

  return Object.assign(guarded, {
    async refresh() {
      const book = await bookOf(key ?? "", "");
      return book.refresh();
    },
    close() {
      stopped = true;
      for (const book of books.values()) void book.then((book) => book.close());
      books.clear();
    },
  });
}

/**
 * @param {string | URL} limits
 * @returns {URL}
 */
function absolute(limits) {
  try {
    return new URL(limits, globalThis.location?.href);
  } catch {
    throw new TollgateError("bad_request", `guard: limits is no address: ${limits}`);
  }
}

/**
 * A refusal to start the module is no reason to keep requests back; a call that was
 * given up is.
 *
 * @param {AbortSignal | null} signal
 */
function failed(signal) {
  return () => {
    signal?.throwIfAborted();
    return false;
  };
}

/**
 * @param {number} ms
 * @param {Promise<void>} promise
 * @returns {Promise<void>}
 */
function atMost(ms, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | null} signal
 * @returns {Promise<T>}
 */
function until(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/**
 * The gate is told the same patience that the guard decides by.
 *
 * @param {Headers} headers all that the call has
 * @param {RequestInit | undefined} init
 * @param {number} maxWait
 */
function withMaxWait(headers, init, maxWait) {
  if (headers.has("x-tollgate-max-wait")) return init;
  const all = new Headers(headers);
  all.set("x-tollgate-max-wait", String(maxWait));
  return { ...init, headers: all };
}

/** The gate takes no headers of its own from publishable keys and visitor tokens. @param {string} key */
function isForPages(key) {
  return /^tg_(pk|vt)_/.test(key);
}

/** @param {Headers} headers */
function keyOf(headers) {
  return headers.get("x-api-key") ?? headers.get("authorization")?.replace(/^Bearer +/i, "") ?? "";
}

/**
 * A name that only callers with the same key and gate have, and that gives
 * neither away; null where it cannot be made.
 *
 * @param {string} secret
 */
async function tabsName(secret) {
  const hash = await sha256(new TextEncoder().encode(secret));
  return hash && `tollgate:${hash.slice(0, 24)}`;
}

/**
 * @param {import("./ledger.js").Snapshot} snapshot
 * @returns {import("../../types/index.js").LimitsSnapshot}
 */
function publicOf({ heardMs, models, limits }) {
  const told = Object.entries(models).map(([id, { account: _, ...model }]) => [id, model]);
  return structuredClone({ atMs: heardMs, models: Object.fromEntries(told), limits: limits.map(({ scope, kind, level, capacity, perMinute, endsMs }) => ({ scope, kind, level, capacity, perMinute, endsMs })) });
}

/**
 * A callback's mistake is its own: the request goes on.
 *
 * @param {() => void} callback
 */
function quietly(callback) {
  try {
    callback();
  } catch (error) {
    console.error(error);
  }
}
