// Exact counters by OpenAI's vocabularies: each an asset of its own, fetched when
// it is first asked for, checked by its hash, kept by the browser.

import { Document as DocumentHandle, Encoder, vocabulary_of } from "#glue";
import { vocabulary } from "#platform";
import index from "../vocabularies/index.json" with { type: "json" };
import { arrived, read, unpacked } from "./bytes.js";
import { idsAt, onLost, withBytes, withParts, withText } from "./core.js";
import { documentOf } from "./document.js";
import encodings from "./encodings.json" with { type: "json" };
import { fieldsOf, idsOf, kindOf, tokensOf, TollgateError } from "./given.js";
import { exactly, openaiMeasure } from "./guard/openai.js";
import { sha256 } from "./hash.js";
import { isWhole, WHOLE_UNITS } from "./module.js";
import { storeOf } from "./store.js";

/**
 * @typedef {import("../types/index.js").VocabularyCounter} VocabularyCounter
 * @typedef {import("../types/index.js").VocabularySource} VocabularySource
 * @typedef {{sha256: string, bytes: number}} Known
 */

/** What every special token looks like. None of them begins within another. */
const SPECIAL = /<\|[a-z0-9_]+\|>/g;

/** 256 KiB, which stay for the next text. */
const IDS_KEPT_MAX = 1 << 16;

/** The browser's store of whole answers; the name is the asset's own version. */
const CACHE = "tollgate-vocabularies";

/** Counters that are there, for whoever asks without waiting: by encoding. @type {Map<string, VocabularyCounter>} */
const ready = new Map();
/** The same by the other names that were asked for. @type {Map<string, VocabularyCounter>} */
const named = new Map();
onLost(() => {
  ready.clear();
  named.clear();
});
/**
 * Those on their way, by encoding and where from: names of one encoding that are asked for at
 * once from one place share it, and none waits for another's place.
 *
 * @type {Map<string, Map<unknown, Promise<VocabularyCounter>>>}
 */
const making = new Map();

/**
 * The encoding that a name means, if it is known to: encodings.json says by whom. After `init`.
 *
 * @param {string} name
 * @returns {string | null}
 */
export function encodingOf(name) {
  if (vocabulary_of(name) !== undefined) return name;
  // `ft:gpt-4o-2024-08-06:org::id` has the tokenizer of what it was made of. (tiktoken looks for
  // `ft:gpt-4` and so takes a GPT-4.1 for a GPT-4.)
  const model = name.startsWith("ft:") ? name.split(":")[1] : name;
  const among = (/** @type {Record<string, string[]>} */ lists, /** @type {(of: string) => boolean} */ fits) => Object.entries(lists).find(([, list]) => list.some(fits))?.[0];
  return among(encodings.names, (known) => known === model) ?? among(encodings.beginnings, (start) => model.startsWith(start)) ?? null;
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
  for (;;) {
    const known = ready.get(encoding);
    if (known) return known.name === name ? known : renamed(known, name);
    const ways = making.get(encoding) ?? new Map();
    making.set(encoding, ways);
    // Who names no place takes what is on its way already.
    const [place] = from === undefined && ways.size > 0 ? ways.keys() : [from];
    if (!ways.has(place)) ways.set(place, make(name, encoding, place).finally(() => ways.delete(place)));
    try {
      await ways.get(place);
    } catch (error) {
      // Another's place failed; one's own may be sound.
      if (Object.is(place, from)) throw error;
    }
  }
}

/**
 * @param {VocabularyCounter} counter
 * @param {string} name
 */
function renamed(counter, name) {
  const other = named.get(name) ?? Object.freeze({ ...counter, name, measure: measurer(name, counter.count) });
  named.set(name, other);
  return other;
}

/**
 * @param {string} name
 * @param {string} encoding
 * @param {VocabularySource | Promise<VocabularySource>} [from]
 */
async function make(name, encoding, from) {
  const needed = /** @type {string} */ (vocabulary_of(encoding));
  const bytes = await bytesOf(needed, /** @type {Record<string, Known>} */ (index)[needed], from);
  // From another place it may have come sooner; it is the same, by its hash.
  const known = ready.get(encoding);
  if (known) return known;
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
    return openaiMeasure({ model, ...fieldsOf(request, "measure takes a request like responses.create does") }, exactly(count));
  };
}

/**
 * @param {string} name
 * @param {any} encoding one of VocabularyName
 * @param {Encoder} encoder
 * @returns {VocabularyCounter}
 */
function counterOf(name, encoding, encoder) {
  const count = (/** @type {string} */ text) => withText(text, (bytes) => encoder.count(bytes));
  const decode = (/** @type {ArrayLike<number>} */ ids) => {
    const list = idsOf(ids);
    const bytes = withText("", () => encoder.decode(list));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  };
  const longest = encoder.longest_token();
  const ids = (/** @type {string} */ text, /** @type {boolean} */ specials) => withText(text, (bytes) => {
    const count = encoder.encode(bytes, specials);
    const list = idsAt(encoder.ids(), count);
    if (count > IDS_KEPT_MAX) encoder.tidy();
    return list;
  });
  /** The id of a special token, if it is one. @param {unknown} name */
  const idOf = (name) => {
    const [found, ...more] = typeof name === "string" && name.replace(SPECIAL, "") === "" ? ids(name, true) : [];
    return more.length ? undefined : found;
  };
  /** Their ids by their names. @param {readonly unknown[]} names */
  const specialsOf = (names) => {
    const known = names.map((name) => {
      const id = idOf(name);
      if (id === undefined) throw new TollgateError("bad_request", `${encoding} has no special token ${typeof name === "string" ? name : kindOf(name)}.`);
      return /** @type {[string, number]} */ ([name, id]);
    });
    return new Map(known);
  };
  /**
   * What stands between special tokens is cut by itself, as tiktoken does it.
   *
   * @param {string} text
   * @param {Map<string, number>} known
   */
  const encodeSome = (text, known) => {
    if (known.size === 0) return ids(text, false);
    const escaped = [...known.keys()].map((name) => name.replaceAll("|", "\\|"));
    const parts = text.split(new RegExp(`(${escaped.join("|")})`));
    const found = parts.flatMap((part, at) => (at % 2 ? [known.get(part)] : [...ids(part, false)]));
    return Uint32Array.from(/** @type {number[]} */ (found));
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
    fits(/** @type {string} */ text, /** @type {number} */ tokens) {
      const most = tokensOf(tokens, "tokens");
      // No unit of it is less than a byte.
      if (typeof text === "string" && text.length > most * longest) return false;
      if (isWhole(text, most)) return withText(text, (bytes) => encoder.fits(bytes, most));
      const grown = new DocumentHandle();
      const exceeds = withParts(text, WHOLE_UNITS, (bytes) => {
        grown.append(encoder, bytes);
        return grown.stable(encoder) > most || undefined;
      });
      const fits = !exceeds && grown.count() <= most;
      // Not where the module stopped: then it is gone with all others.
      grown.free();
      return fits;
    },
    encode(/** @type {string} */ text, /** @type {import("../types/index.js").EncodeOptions} */ options = {}) {
      const { specials = false, refused = [] } = fieldsOf(options, "encode's options are an object like { specials: true }");
      if (typeof specials !== "boolean" && specials !== "refuse" && !Array.isArray(specials)) throw new TollgateError("bad_request", 'specials must be true, false, "refuse" or a list of special tokens.');
      if (refused !== "all" && !Array.isArray(refused)) throw new TollgateError("bad_request", 'refused must be "all" or a list of special tokens.');
      const allowed = Array.isArray(specials) ? specialsOf(specials) : null;
      const named = Array.isArray(refused) ? specialsOf(refused) : null;
      const othersToo = specials !== true && (specials === "refuse" || refused === "all");
      if (typeof text === "string" && (othersToo || named?.size)) {
        const isRefused = (/** @type {string} */ name) => named?.has(name) || (othersToo && !allowed?.has(name) && idOf(name) !== undefined);
        // Each once: a text may hold many that only look like one.
        const found = [...new Set(text.match(SPECIAL))].find(isRefused);
        if (found !== undefined) throw new TollgateError("bad_request", `The text holds the special token ${found}.`);
      }
      return allowed && typeof text === "string" ? encodeSome(text, allowed) : ids(text, specials === true);
    },
    decode,
    truncate(/** @type {string} */ text, /** @type {number} */ tokens, /** @type {{keep?: "head" | "tail"}} */ options = {}) {
      const { keep = "head" } = fieldsOf(options, 'truncate\'s options are an object like { keep: "tail" }');
      if (keep !== "head" && keep !== "tail") throw new TollgateError("bad_request", 'keep must be "head" or "tail".');
      const most = tokensOf(tokens, "tokens");
      const at = withText(text, (bytes) => encoder.truncate(bytes, most, keep === "tail"));
      return keep === "tail" ? text.slice(at) : text.slice(0, at);
    },
    chunk(/** @type {string} */ text, /** @type {number} */ size, /** @type {{overlap?: number}} */ options = {}) {
      const { overlap = 0 } = fieldsOf(options, "chunk's options are an object like { overlap: 8 }");
      const [most, again] = [tokensOf(size, "size", 1), tokensOf(overlap, "overlap")];
      const flat = withText(text, (bytes) => encoder.chunk(bytes, most, again));
      return Array.from({ length: flat.length / 3 }, (_, i) => {
        const [start, end, tokens] = flat.subarray(i * 3);
        return { start, end, tokens, text: text.slice(start, end) };
      });
    },
    document: (text = "") => documentOf(encoder, text),
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
  const given = await arrived(from, of);
  if (given !== undefined) return checked(name, known, await whole(given));
  const place = await arrived(vocabulary(name), of);
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
