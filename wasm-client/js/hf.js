// tollgate/hf: counters by any tokenizer.json, in a module of its own that is brought
// in when the first is asked for. Reading such a file takes the better part of a second, so the
// compact form that the module makes of it is kept, by the hash of the file.

import * as glue from "#glue-hf";
import { keep, kept, source } from "#platform-hf";
import { arrived, read, unpacked } from "./bytes.js";
import { fieldsOf, flagOf, held, idsOf, kindOf, reasonOf, tokensOf, TollgateError } from "./given.js";
import { sha256 } from "./hash.js";
import { isWhole, moduleOf, WHOLE_UNITS } from "./module.js";

export { TollgateError };

/**
 * @typedef {import("../types/hf.js").Tokenizer} Tokenizer
 * @typedef {import("../types/hf.js").TokenizerSource} TokenizerSource
 * @typedef {import("../types/hf.js").EncodeOptions} EncodeOptions
 */

/** The form's version: an older one that was kept is not found. */
const FORM = "TGH1";
const OF = /** @type {const} */ ({ code: "bad_tokenizer", what: "A tokenizer" });
/** The largest published ones have 35 MB. What is larger is something else. */
const BYTES_MAX = 256 << 20;

const { init, withText, withParts, withBytes } = moduleOf(glue, source);

/**
 * @param {TokenizerSource | Promise<TokenizerSource>} from
 * @param {import("../types/hf.js").TokenizerOptions} [options]
 * @returns {Promise<Tokenizer>}
 */
export async function loadTokenizer(from, options = {}) {
  held(from);
  held(options?.wasm);
  const { name = "tokenizer.json", cache = true, wasm } = fieldsOf(options, "loadTokenizer's options are an object like { sha256 }");
  if (typeof name !== "string") throw new TollgateError("bad_request", `name must be a text, not ${kindOf(name)}.`);
  flagOf(cache, "cache");
  const wanted = hashOf(options.sha256);
  await init(wasm);
  if (wanted && cache) {
    const known = await remembered(wanted);
    if (known) return counterOf(name, known);
  }
  const bytes = await unpacked(await bytesOf(await arrived(from, OF)), OF);
  if (bytes.length > BYTES_MAX) throw new TollgateError(OF.code, `A tokenizer has ${BYTES_MAX >> 20} MiB at most, not ${bytes.length >> 20}.`);
  const hash = await sha256(bytes);
  if (wanted && hash === null) throw new TollgateError(OF.code, "The tokenizer's hash cannot be checked here: only pages of https: and localhost can hash.");
  if (wanted && hash !== wanted) throw new TollgateError(OF.code, `The tokenizer is not the one that was asked for: its SHA-256 is ${hash}.`);
  const keeps = cache && hash !== null && !isForm(bytes);
  const known = keeps ? await remembered(hash) : null;
  if (known) return counterOf(name, known);
  const tokenizer = made(bytes);
  if (keeps) await keep(`${FORM}-${hash}.bin`, tokenizer.form());
  return counterOf(name, tokenizer);
}

/**
 * What was kept for this file; null where there is nothing, or it is damaged.
 *
 * @param {string} hash
 */
async function remembered(hash) {
  const bytes = await kept(`${FORM}-${hash}.bin`).catch(() => null);
  if (!bytes || !isForm(bytes)) return null;
  try {
    return made(bytes);
  } catch (error) {
    // Made anew from its source, and kept in its place.
    if (error instanceof TollgateError && error.code === OF.code) return null;
    throw error;
  }
}

/** @param {Uint8Array} bytes */
function made(bytes) {
  try {
    return withBytes(bytes, (length) => new glue.Tokenizer(length));
  } catch (error) {
    throw typeof error === "string" ? new TollgateError(OF.code, `The tokenizer cannot be used: ${error}`) : error;
  }
}

/**
 * @param {string} name
 * @param {glue.Tokenizer} tokenizer
 * @returns {Tokenizer}
 */
function counterOf(name, tokenizer) {
  const framedOf = (/** @type {EncodeOptions} */ options) => flagOf(fieldsOf(options, "The options are an object like { addSpecialTokens: true }").addSpecialTokens ?? false, "addSpecialTokens");
  const count = (/** @type {string} */ text, /** @type {EncodeOptions} */ options = {}) => {
    const framed = framedOf(options);
    return withText(text, (bytes) => tokenizer.count(bytes, framed));
  };
  const quick = tokenizer.is_quick();
  let closed = false;
  return Object.freeze({
    name,
    exact: /** @type {const} */ (true),
    quick,
    count,
    bounds(/** @type {string} */ text) {
      const tokens = count(text);
      return { lower: tokens, estimate: tokens, upper: tokens };
    },
    fits(/** @type {string} */ text, /** @type {number} */ tokens, /** @type {EncodeOptions} */ options = {}) {
      const [most, framed] = [tokensOf(tokens, "tokens"), framedOf(options)];
      // The crate `tokenizers` takes a text whole.
      if (!quick || isWhole(text, most)) return withText(text, (bytes) => tokenizer.fits(bytes, most, framed));
      const grown = withText("", () => new glue.Growing(tokenizer, framed));
      const exceeds = withParts(text, WHOLE_UNITS, (bytes) => grown.exceeds(tokenizer, bytes, most) || undefined);
      const fits = !exceeds && withText("", () => grown.fits(tokenizer, most));
      // Not where the module stopped: then it is gone with all others.
      grown.free();
      return fits;
    },
    encode(/** @type {string} */ text, /** @type {EncodeOptions} */ options = {}) {
      const framed = framedOf(options);
      return withText(text, (bytes) => tokenizer.encode(bytes, framed));
    },
    decode(/** @type {ArrayLike<number>} */ ids, /** @type {{skipSpecialTokens?: boolean}} */ options = {}) {
      const list = idsOf(ids);
      const { skipSpecialTokens = false } = fieldsOf(options, "decode's options are an object like { skipSpecialTokens: true }");
      flagOf(skipSpecialTokens, "skipSpecialTokens");
      return withText("", () => tokenizer.decode(list, skipSpecialTokens));
    },
    form: () => withText("", () => tokenizer.form()),
    close() {
      if (!closed) withText("", () => tokenizer.free());
      closed = true;
    },
  });
}

/**
 * The JSON itself is taken, too, as text or as a value.
 *
 * @param {TokenizerSource} from
 */
async function bytesOf(from) {
  if (typeof from === "string" && /^\s*\{/.test(from)) return new TextEncoder().encode(from);
  if (typeof from !== "object" || from === null || from instanceof URL || from instanceof Response || from instanceof ArrayBuffer || ArrayBuffer.isView(from)) return read(/** @type {import("./bytes.js").BytesSource} */ (from), OF);
  if (Array.isArray(from)) throw new TollgateError(OF.code, `A tokenizer is JSON, bytes, a response or an address, not ${kindOf(from)}.`);
  try {
    return new TextEncoder().encode(JSON.stringify(from));
  } catch (error) {
    throw new TollgateError(OF.code, `The tokenizer cannot be written as JSON: ${reasonOf(error)}`, error);
  }
}

/** @param {Uint8Array} bytes */
function isForm(bytes) {
  return FORM === String.fromCharCode(...bytes.subarray(0, FORM.length));
}

/** @param {string | undefined} sha256 */
function hashOf(sha256) {
  if (sha256 === undefined) return null;
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/i.test(sha256)) throw new TollgateError(OF.code, "sha256 must be 64 hexadecimal digits.");
  return sha256.toLowerCase();
}
