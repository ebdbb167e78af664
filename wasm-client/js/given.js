// What callers give, looked at once at the door, and the error that says what is wrong
// with it: the argument's name, what it must be, and what came instead.

/** What went wrong, with a stable code. */
export class TollgateError extends Error {
  /**
   * @param {import("../types/index.js").ErrorCode} code
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(code, message, cause) {
    super(message, { cause });
    this.name = "TollgateError";
    this.code = code;
  }
}

/**
 * What may be a promise, marked as heard before anything is awaited: one that fails meanwhile,
 * or that is not needed, would end a Node process. Who awaits it hears of it all the same.
 *
 * @template T
 * @param {T} given
 * @returns {T}
 */
export function held(given) {
  // Not by `instanceof`: test runners have another realm than what reads files.
  Promise.resolve(given).catch(() => {});
  return given;
}

/** @param {unknown} error */
export function reasonOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {unknown} value */
export function kindOf(value) {
  return value === null ? "null" : Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}

/**
 * An object of named fields: options, a request, what an answer used.
 *
 * @template T
 * @param {T} given
 * @param {string} what it must be, e.g. "load's options are an object like { vocabulary }"
 * @returns {NonNullable<T>}
 */
export function fieldsOf(given, what) {
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw new TollgateError("bad_request", `${what}, not ${kindOf(given)}.`);
  return given;
}

/**
 * A request, or a part of one, as it will be sent.
 *
 * @param {unknown} value
 * @returns {string}
 */
export function jsonOf(value) {
  let json;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    throw new TollgateError("bad_request", `The request cannot be written as JSON: ${reasonOf(error)}`, error);
  }
  // Of a toJSON that gives nothing.
  if (json === undefined) throw new TollgateError("bad_request", "The request cannot be written as JSON: nothing is left of it.");
  return json;
}

/**
 * A whole request, as an API takes it: half of an emoji, which a user may just be typing or a
 * log was cut within, `JSON.stringify` writes as an escape that none takes.
 *
 * @param {unknown} request
 */
export function bodyOf(request) {
  const json = jsonOf(request);
  if (!json.includes("\\ud")) return json;
  // An escaped backslash before it makes it text, so those are stepped over.
  return json.replace(/\\(?:ud[89a-f][0-9a-f]{2}|.)/g, (escape) => (escape.startsWith("\\ud") ? "\ufffd" : escape));
}

/**
 * @param {string} name
 * @param {string} what takes it
 */
export function nameOf(name, what) {
  if (typeof name !== "string") throw new TollgateError("not_a_string", `${what} takes a model's name, not ${kindOf(name)}.`);
  return name;
}

/**
 * @param {number} number
 * @param {string} what its name
 */
export function wholeOf(number, what, least = 0) {
  if (!Number.isSafeInteger(number) || number < least) throw new TollgateError("bad_request", `${what} must be a whole number, ${least} or more.`);
  return number;
}

/**
 * Tokens of a text, or places in one, for the modules, which know 32 bits: a text has fewer.
 *
 * @param {number} number
 * @param {string} what its name
 */
export function tokensOf(number, what, least = 0) {
  return Math.min(wholeOf(number, what, least), 0xffffffff);
}

/** More than memory takes: their text alone would be larger. */
const IDS_MAX = 2 ** 28;

/**
 * Ids as the modules take them.
 *
 * @param {ArrayLike<number>} ids
 */
export function idsOf(ids) {
  if (ids instanceof Uint32Array) return ids;
  if (typeof ids !== "object" || ids === null || !(Number.isSafeInteger(ids.length) && ids.length >= 0 && ids.length <= IDS_MAX)) throw new TollgateError("bad_request", `decode takes a list of ids, not ${kindOf(ids)}.`);
  return Uint32Array.from(ids, (id) => {
    if (wholeOf(id, "An id") > 0xffffffff) throw new TollgateError("bad_request", `no token has the id ${id}`);
    return id;
  });
}

/**
 * @param {unknown} given
 * @param {string} what its name
 * @returns {boolean}
 */
export function flagOf(given, what) {
  if (typeof given !== "boolean") throw new TollgateError("bad_request", `${what} must be true or false, not ${kindOf(given)}.`);
  return given;
}
