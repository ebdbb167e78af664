// Exact counters by OpenAI's vocabularies: each an asset of its own, fetched when
// it is first asked for, checked by its hash, kept by the browser.

import { Document as DocumentHandle, Encoder, vocabulary_of } from "#glue";
import { vocabulary } from "#platform";
import index from "../vocabularies/index.json" with { type: "json" };
import { read, unpacked } from "./bytes.js";
import { kindOf, onLost, TollgateError, withBytes, withText } from "./core.js";
import { exactly, openaiMeasure } from "./guard/openai.js";
import { sha256 } from "./hash.js";
import { storeOf } from "./store.js";

/**
 * @typedef {import("../types/index.js").VocabularyCounter} VocabularyCounter
 * @typedef {import("../types/index.js").VocabularySource} VocabularySource
 * @typedef {{sha256: string, bytes: number}} Known
 */

/**
 * Models by the beginning of their names: tiktoken's model.py, 0.12 (2026). The
 * first that fits.
 *
 * @type {readonly (readonly [string, string])[]}
 */
const ENCODINGS = [
  ["gpt-oss-", "o200k_harmony"],
  ["gpt-5", "o200k_base"],
  ["gpt-4.5", "o200k_base"],
  ["gpt-4.1", "o200k_base"],
  ["gpt-4o", "o200k_base"],
  ["chatgpt-4o-", "o200k_base"],
  ["o1", "o200k_base"],
  ["o3", "o200k_base"],
  ["o4-mini", "o200k_base"],
  ["gpt-4", "cl100k_base"],
  ["gpt-3.5-turbo", "cl100k_base"],
  ["gpt-35-turbo", "cl100k_base"],
  ["text-embedding-3-", "cl100k_base"],
  ["text-embedding-ada-002", "cl100k_base"],
];
/** The browser's store of whole answers; the name is the asset's own version. */
const CACHE = "tollgate-vocabularies";

/** Counters that are there, for whoever asks without waiting. @type {Map<string, VocabularyCounter>} */
const ready = new Map();
onLost(() => ready.clear());

/**
 * The encoding that a name means, if any. After `init`.
 *
 * @param {string} name
 * @returns {string | null}
 */
export function encodingOf(name) {
  if (vocabulary_of(name) !== undefined) return name;
  return ENCODINGS.find(([start]) => name.startsWith(start))?.[1] ?? null;
}

/**
 * The counter for a model of OpenAI's, if its vocabulary is loaded already.
 *
 * @param {string} model
 * @returns {VocabularyCounter | undefined}
 */
export function readyFor(model) {
  const encoding = encodingOf(model);
  return encoding ? ready.get(encoding) : undefined;
}

/**
 * @param {string} name as it was asked for
 * @param {string} encoding
 * @param {VocabularySource | Promise<VocabularySource>} [from]
 * @returns {Promise<VocabularyCounter>}
 */
export async function loadVocabulary(name, encoding, from) {
  const known = ready.get(encoding);
  if (known) return Object.freeze({ ...known, name, measure: measurer(name, known.count) });
  const needed = /** @type {string} */ (vocabulary_of(encoding));
  const bytes = await bytesOf(needed, /** @type {Record<string, Known>} */ (index)[needed], from);
  let encoder;
  try {
    encoder = withBytes(bytes, (length) => new Encoder(encoding, length));
  } catch (error) {
    throw typeof error === "string" ? new TollgateError("bad_vocabulary", `${needed}: ${error}`) : error;
  }
  const counter = counterOf(name, encoding, encoder);
  ready.set(encoding, counter);
  return counter;
}

/**
 * @param {string} model where the request names none
 * @param {(text: string) => number} count
 */
function measurer(model, count) {
  return (/** @type {import("../types/index.js").OpenAiRequest} */ request) => {
    if (typeof request !== "object" || request === null || Array.isArray(request)) throw new TollgateError("bad_request", `measure takes a request like responses.create does, not ${kindOf(request)}.`);
    return openaiMeasure({ model, ...request }, exactly(count));
  };
}

/**
 * @param {string} name
 * @param {any} encoding one of VocabularyName
 * @param {Encoder} encoder
 * @returns {VocabularyCounter}
 */
function counterOf(name, encoding, encoder) {
  const whole = (/** @type {number} */ number, /** @type {string} */ what, least = 0) => {
    if (!Number.isSafeInteger(number) || number < least) throw new TollgateError("bad_request", `${what} must be a whole number, ${least} or more.`);
    // A text has fewer.
    return Math.min(number, 0xffffffff);
  };
  const count = (/** @type {string} */ text) => withText(text, (bytes) => encoder.count(bytes));
  const decode = (/** @type {ArrayLike<number>} */ ids) => {
    const list = ids instanceof Uint32Array ? ids : Uint32Array.from(ids, (id) => whole(id, "An id"));
    const bytes = withText("", () => encoder.decode(list));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  };
  return Object.freeze({
    name,
    encoding,
    exact: /** @type {const} */ (true),
    count,
    measure: measurer(name, count),
    bounds(/** @type {string} */ text) {
      const tokens = count(text);
      return { lower: tokens, estimate: tokens, upper: tokens };
    },
    fits: (/** @type {string} */ text, /** @type {number} */ tokens) => withText(text, (bytes) => encoder.fits(bytes, whole(tokens, "tokens"))),
    encode(/** @type {string} */ text, /** @type {{specials?: boolean | "refuse"}} */ { specials = false } = {}) {
      const ids = withText(text, (bytes) => encoder.encode(bytes, specials === true));
      // All of them begin so.
      if (specials === "refuse" && text.includes("<|")) {
        const special = withText(text, (bytes) => encoder.encode(bytes, true));
        if (special.length !== ids.length || special.some((id, at) => id !== ids[at])) {
          const names = Array.from(special, (id) => decode([id])).filter((name) => /^<\|.+\|>$/.test(name));
          throw new TollgateError("bad_request", `The text holds the special token ${names[0]}.`);
        }
      }
      return ids;
    },
    decode,
    truncate(/** @type {string} */ text, /** @type {number} */ tokens, { keep = "head" } = {}) {
      const at = withText(text, (bytes) => encoder.truncate(bytes, whole(tokens, "tokens"), keep === "tail"));
      return keep === "tail" ? text.slice(at) : text.slice(0, at);
    },
    chunk(/** @type {string} */ text, /** @type {number} */ size, { overlap = 0 } = {}) {
      const flat = withText(text, (bytes) => encoder.chunk(bytes, whole(size, "size", 1), whole(overlap, "overlap")));
      return Array.from({ length: flat.length / 3 }, (_, i) => {
        const [start, end, tokens] = flat.subarray(i * 3);
        return { start, end, tokens, text: text.slice(start, end) };
      });
    },
    document(text = "") {
      const handle = new DocumentHandle();
      withText(text, (bytes) => handle.set(encoder, bytes));
      return {
        get count() {
          return handle.count();
        },
        get stable() {
          return handle.stable(encoder);
        },
        set: (/** @type {string} */ text) => withText(text, (bytes) => handle.set(encoder, bytes)),
        append: (/** @type {string} */ text) => withText(text, (bytes) => handle.append(encoder, bytes)),
        edit: (/** @type {number} */ start, /** @type {number} */ end, /** @type {string} */ text) =>
          withText(text, (bytes) => handle.edit(encoder, whole(start, "start"), whole(end, "end"), bytes)),
        close: () => handle.free(),
      };
    },
  });
}

/**
 * The vocabulary's bytes, unpacked, and sure to be what was published.
 *
 * @param {string} name
 * @param {Known} known
 * @param {VocabularySource | Promise<VocabularySource>} [from]
 */
async function bytesOf(name, known, from) {
  const of = /** @type {const} */ ({ code: "bad_vocabulary", what: name });
  const whole = async (/** @type {VocabularySource} */ from) => unpacked(await read(from, of), of);
  const given = await from;
  if (given !== undefined) return checked(name, known, await whole(given));
  const place = await vocabulary(name);
  if (!place) throw new TollgateError("bad_vocabulary", `${name} is not at hand here: import "tollgate/vocabularies/${name}.bin" and give it as load(…, { vocabulary }).`);
  if (!(place instanceof URL)) return checked(name, known, await whole(place));
  // Some bundlers put an address without an origin there.
  const address = new URL(place.href, globalThis.location?.href);
  // By its hash, so that a new version of the package never finds an old one.
  const key = new URL(address);
  key.searchParams.set("sha256", known.sha256);
  const store = await storeOf(CACHE);
  const kept = await store?.match(key).catch(() => undefined);
  if (kept) {
    try {
      return await checked(name, known, await whole(kept));
    } catch {
      // Damaged where it was kept: fetched again.
      await store?.delete(key);
    }
  }
  const packed = await read(address, of);
  const bytes = await checked(name, known, await unpacked(packed, of));
  // A store that is full or forbidden is none.
  await store?.put(key, new Response(packed)).catch(() => {});
  return bytes;
}

/**
 * @param {string} name
 * @param {Known} known
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
async function checked(name, known, bytes) {
  const wrong = (/** @type {string} */ what) => new TollgateError("bad_vocabulary", `${name} is not what was published: ${what}.`);
  if (bytes.length !== known.bytes) throw wrong(`it has ${bytes.length} bytes, not ${known.bytes}`);
  const hash = await sha256(bytes);
  // Where nothing hashes, the file's own checksum, which the module looks at, has
  // to do.
  if (hash !== null && hash !== known.sha256) throw wrong("its hash differs");
  return bytes;
}
