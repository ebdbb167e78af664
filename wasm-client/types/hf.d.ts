/**
 * Counters by any Hugging Face `tokenizer.json`: for the models that vLLM, Ollama and
 * their like serve.
 *
 * ```js
 * import { loadTokenizer } from "tollgate/hf";
 * const qwen = await loadTokenizer("/models/qwen3/tokenizer.json");
 * qwen.count("Hello");
 * const fetch = guard({ limits, tokenizers: { "qwen3:8b": qwen } });
 * ```
 *
 * @module
 */

import type { Counter, InitSource } from "./index.js";

export { TollgateError } from "./index.js";

/** The file's bytes (packed or not), where they are, or the JSON; or what {@link Tokenizer.form} gave. */
export type TokenizerSource = string | URL | Response | ArrayBuffer | ArrayBufferView | object;

export interface TokenizerOptions {
  /** What the counter is called. */
  name?: string;
  /**
   * SHA-256 of the (unpacked) file, 64 hexadecimal digits. Another file is refused; and
   * where the compact form of this one was kept, the file is not even fetched.
   */
  sha256?: string;
  /**
   * Whether the compact form is kept: by the browser (Cache API), or by Node in
   * `$XDG_CACHE_HOME/tollgate/tokenizers`. Default true.
   */
  cache?: boolean;
  /** Another source for this module, as `init` takes it. */
  wasm?: InitSource | Promise<InitSource>;
}

/**
 * Makes a counter of a tokenizer.json. The first time this takes half a second to three quarters
 * for a file of 7 to 9 MB; from its compact form, 0.03 to 0.1.
 *
 * Rejects with `bad_tokenizer` for what is none, is of a kind that is not known or has a
 * part that the crate `tokenizers` does not read (such as `ByteLevel` before other steps:
 * docs/browser.md has the list), is damaged, has another hash, or whose server falls silent for half a minute; with `no_wasm` where the module cannot be started.
 */
export function loadTokenizer(source: TokenizerSource | Promise<TokenizerSource>, options?: TokenizerOptions): Promise<Tokenizer>;

/** `addSpecialTokens`: with the tokens that the model's template puts around a text. Default false. */
export interface EncodeOptions {
  addSpecialTokens?: boolean;
}

/**
 * Counts as the crate `tokenizers` does. Throws `bad_request` for a text over which the
 * tokenizer's pattern goes back without end, and for a character that a model without an
 * unknown token has not. Added tokens within a text, such as
 * `<|im_start|>`, are always those tokens. A lone surrogate counts as U+FFFD.
 */
export interface Tokenizer extends Counter {
  readonly exact: true;
  /** Whether it is byte-level BPE of a kind that the package's own counter runs, several times as fast. */
  readonly quick: boolean;
  count(text: string, options?: EncodeOptions): number;
  /** Whether the text has at most so many tokens. Where it is `quick` a long text is read no further than it takes to know. */
  fits(text: string, tokens: number, options?: EncodeOptions): boolean;
  encode(text: string, options?: EncodeOptions): Uint32Array;
  /** The text of ids. Throws `bad_request` for an id that is none. */
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** The compact form, to be served in the file's place: smaller, and read several times as fast where it is `quick`. */
  form(): Uint8Array<ArrayBuffer>;
  /** Gives its memory back; it counts no more. */
  close(): void;
}
