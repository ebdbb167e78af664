// A WebAssembly module of the package: brought in once, and text brought across to
// it. What its functions mean is the caller's.
//
// Text crosses by `encodeInto` into one buffer that is used again and again. What
// is only scanned comes in windows, so that 64 MB of text take no more memory than
// one window; what is counted exactly comes whole, but where a part may be enough to
// know. Everything after `init` is synchronous.

import { fetched } from "./fetched.js";
import { held, kindOf, reasonOf, TollgateError } from "./given.js";

/**
 * @typedef {string | URL | Request | Response | BufferSource | WebAssembly.Module} InitSource
 *
 * @typedef {object} Glue what wasm-bindgen writes, as far as every module has it
 * @property {(options: {module_or_path: InitSource}) => Promise<{memory: WebAssembly.Memory}>} default
 * @property {(options?: {module: BufferSource | WebAssembly.Module}) => {memory: WebAssembly.Memory}} initSync
 * @property {() => void} __wbg_reset_state
 * @property {(bytes: number) => number} room
 * @property {() => void} tidy
 */

/** Bytes of the buffer: larger windows are no faster (2026-11). */
const WINDOW_BYTES = 1 << 20;
/** UTF-8 bytes of one UTF-16 unit, at most. */
const BYTES_A_UNIT_MAX = 3;
/** A buffer that grew beyond this for one text is given back after it. */
const KEPT_BYTES_MAX = 8 << 20;
/** wasm's memory ends at 4 GB; long before that a page is of no use any more. */
const TEXT_UNITS_MAX = 256 << 20;

/**
 * Whether a text fits is seen of the whole where it has no more than this, or no more
 * units a token than nearly any text has (English and code: 3 to 5): it will mostly fit.
 * And where so many tokens are asked about that what is kept of them would be larger than
 * any text.
 */
export const WHOLE_UNITS = 1 << 16;
const UNITS_A_TOKEN_MAX = 16;
const WHOLE_TOKENS = 1 << 20;

const encoder = new TextEncoder();

/**
 * Whether a text is to be looked at whole, to see whether it has so many tokens.
 *
 * @param {string} text
 * @param {number} tokens
 */
export function isWhole(text, tokens) {
  return typeof text !== "string" || tokens >= WHOLE_TOKENS || text.length <= Math.max(WHOLE_UNITS, tokens * UNITS_A_TOKEN_MAX);
}

/**
 * @param {Glue} glue
 * @param {() => Promise<InitSource>} source where the module is
 */
export function moduleOf(glue, source) {
  /** @type {WebAssembly.Memory | undefined} */
  let memory;
  /** @type {Promise<void> | undefined} */
  let starting;
  let view = new Uint8Array(0);
  /** All of the memory, for lists of ids; empty where it has grown since. */
  let words = new Uint32Array(0);

  /**
   * Brings the module in, once: later calls get the first one's promise. One that
   * failed may be tried again.
   *
   * @param {InitSource | Promise<InitSource>} [from] none: the package's own
   * @returns {Promise<void>}
   */
  function init(from) {
    held(from);
    if (memory) return Promise.resolve();
    return (starting ??= begin(from).catch((error) => {
      starting = undefined;
      throw new TollgateError("no_wasm", `The WebAssembly module could not be started: ${reasonOf(error)}`, error);
    }));
  }

  /**
   * The same at once, from a module or its bytes.
   *
   * @param {BufferSource | WebAssembly.Module} module
   */
  function initSync(module) {
    if (memory) return;
    try {
      memory = glue.initSync({ module }).memory;
    } catch (error) {
      throw new TollgateError("no_wasm", `The WebAssembly module could not be started: ${reasonOf(error)}`, error);
    }
  }

  /** Whether `init` is through. */
  function isReady() {
    return memory !== undefined;
  }

  /**
   * Calls with a whole text in the buffer.
   *
   * @template T
   * @param {string} text
   * @param {(bytes: number) => T} call
   * @returns {T}
   */
  function withText(text, call) {
    return reading(text, () => call(written(text)));
  }

  /**
   * Calls with a text in the buffer part by part, each as large as all before it, until
   * an answer comes. So a part may be counted together with those before it, and all is
   * counted twice at most.
   *
   * @template T
   * @param {string} text
   * @param {number} first bytes of the first part, at most
   * @param {(bytes: number) => T | undefined} call
   * @returns {T | undefined}
   */
  function withParts(text, first, call) {
    return reading(text, () => {
      let rest = text;
      for (let bytes = first, all = 0; rest; bytes = all) {
        const part = Math.min(bytes, rest.length * BYTES_A_UNIT_MAX);
        const { read, written } = encoder.encodeInto(rest, roomFor(part).subarray(0, part));
        const answer = call(written);
        if (answer !== undefined) return answer;
        all += written;
        rest = rest.slice(read);
      }
      return undefined;
    });
  }

  /**
   * @template T
   * @param {string} text
   * @param {() => T} read
   * @returns {T}
   */
  function reading(text, read) {
    if (typeof text !== "string") throw new TollgateError("not_a_string", `A text is a string, not ${kindOf(text)}.`);
    if (text.length > TEXT_UNITS_MAX) throw new TollgateError("too_long", `A text has ${TEXT_UNITS_MAX} UTF-16 units at most.`);
    try {
      return read();
    } catch (error) {
      throw told(error);
    } finally {
      if (view.length > KEPT_BYTES_MAX) {
        glue.tidy();
        view = new Uint8Array(0);
      }
    }
  }

  /**
   * A copy of so many ids that stand at an address.
   *
   * @param {number} at
   * @param {number} count
   */
  function idsAt(at, count) {
    if (words.length === 0) words = new Uint32Array(/** @type {WebAssembly.Memory} */ (memory).buffer);
    return words.slice(at / 4, at / 4 + count);
  }

  /**
   * Calls with bytes in the buffer, which is given up then: they are more than most
   * texts.
   *
   * @template T
   * @param {Uint8Array} bytes
   * @param {(bytes: number) => T} call
   * @returns {T}
   */
  function withBytes(bytes, call) {
    return guarded(() => {
      roomFor(bytes.length).set(bytes);
      view = new Uint8Array(0);
      const answer = call(bytes.length);
      glue.tidy();
      return answer;
    });
  }

  /** @type {(() => void)[]} */
  const lost = [];

  /**
   * Calls back when the module was started anew, and what it had made is gone.
   *
   * @param {() => void} forget
   */
  function onLost(forget) {
    lost.push(forget);
  }

  /** @param {InitSource | Promise<InitSource> | undefined} from */
  async function begin(from) {
    const module = (await from) ?? (await source());
    if (module instanceof ArrayBuffer || ArrayBuffer.isView(module)) {
      // What the glue would look at first, `Response`, takes Node longer than the module.
      memory = glue.initSync({ module: await WebAssembly.compile(/** @type {BufferSource} */ (module)) }).memory;
    } else {
      const start = (/** @type {Exclude<InitSource, BufferSource>} */ module_or_path) => glue.default({ module_or_path });
      memory = (await (typeof module === "string" || module instanceof URL ? fetched(module, start) : start(module))).memory;
    }
  }

  /**
   * @template T
   * @param {string} text
   * @param {(bytes: number) => T | undefined} feed
   * @returns {T | undefined} what `feed` answered first
   */
  function windows(text, feed) {
    let rest = text;
    do {
      const room = roomFor(Math.min(rest.length * BYTES_A_UNIT_MAX, WINDOW_BYTES));
      // A lone surrogate becomes U+FFFD, as in every tokenizer for UTF-8.
      const { read, written } = encoder.encodeInto(rest, room);
      const answer = feed(written);
      if (answer !== undefined) return answer;
      rest = rest.slice(read);
    } while (rest);
    return undefined;
  }

  /**
   * Writes a whole text; answers its bytes. Most texts are ASCII but for a little,
   * so there is first room for that, and more only for what is left.
   *
   * @param {string} text
   */
  function written(text) {
    // A memory that grew has taken the old view's bytes.
    if (memory && text.length * BYTES_A_UNIT_MAX <= view.length) return encoder.encodeInto(text, view).written;
    let at = 0;
    let rest = text;
    for (let bytes = Math.min(text.length * BYTES_A_UNIT_MAX, text.length + WINDOW_BYTES); ; bytes = at + rest.length * BYTES_A_UNIT_MAX) {
      const { read, written } = encoder.encodeInto(rest, at ? roomFor(bytes).subarray(at) : roomFor(bytes));
      at += written;
      if (read === rest.length) return at;
      rest = rest.slice(read);
    }
  }

  /** @param {number} bytes */
  function roomFor(bytes) {
    if (!memory) throw new TollgateError("not_ready", "Call and await init() or load() first.");
    // A memory that grew has another buffer, and the old view no bytes.
    if (view.length < bytes || view.buffer !== memory.buffer) {
      const at = glue.room(Math.max(bytes, view.length));
      view = new Uint8Array(memory.buffer, at, Math.max(bytes, view.length));
    }
    return view;
  }

  /**
   * @template T
   * @param {() => T} call
   * @returns {T}
   */
  function guarded(call) {
    if (!memory) throw new TollgateError("not_ready", "Call and await init() or load() first.");
    try {
      return call();
    } catch (error) {
      throw error instanceof WebAssembly.RuntimeError ? stopped(error) : error;
    }
  }

  /**
   * What a caller is to read of what a call with a text threw.
   *
   * @param {unknown} error
   */
  function told(error) {
    if (error instanceof WebAssembly.RuntimeError) return stopped(error);
    // What the bindings have to say comes as a plain string.
    if (typeof error === "string") return new TollgateError("bad_request", error);
    if (error instanceof Error && error.message.startsWith("null pointer")) return new TollgateError("not_ready", "The counter was closed.", error);
    if (error instanceof Error && error.message.startsWith("Invalid stale object")) return new TollgateError("not_ready", "The module was started anew after a mistake of its own: load the counter again.", error);
    return error;
  }

  /**
   * Starts anew after a mistake of ours: what a trap leaves is not to be called again.
   *
   * @param {WebAssembly.RuntimeError} error
   */
  function stopped(error) {
    glue.__wbg_reset_state();
    memory = glue.initSync().memory;
    view = new Uint8Array(0);
    words = new Uint32Array(0);
    for (const forget of lost) forget();
    return new TollgateError("internal", `The WebAssembly module stopped: ${reasonOf(error)}. Please report it.`, error);
  }

  return { init, initSync, isReady, withText, withParts, withBytes, idsAt, windows, guarded, onLost };
}
