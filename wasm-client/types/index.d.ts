/**
 * Tollgate in the browser, in Node and in Workers: count prompts where they are
 * typed, and refuse what must fail before it is sent.
 *
 * @module
 */

/** Where the WebAssembly module is: its address, its response, its bytes, or itself. */
export type InitSource = string | URL | Request | Response | BufferSource | WebAssembly.Module;

/**
 * Starts the module. Idempotent: later calls get the first one's promise, and one
 * that failed may be tried again. {@link load} and {@link guard} call it by
 * themselves; call it first to give another source.
 *
 * Rejects with `no_wasm`, e.g. under a policy that lacks `'wasm-unsafe-eval'`, or where
 * a server falls silent for half a minute.
 */
export function init(source?: InitSource | Promise<InitSource>): Promise<void>;

/** The same at once, from a compiled module or its bytes. */
export function initSync(module: BufferSource | WebAssembly.Module): void;

/**
 * An exact counter for one of OpenAI's vocabularies, or for a model that uses it.
 * Its asset is fetched at the first call, checked by its hash and kept by the browser.
 *
 * Rejects with `bad_vocabulary` where the asset is missing, damaged or another one, or
 * its server falls silent for half a minute; with `unknown_model` for a model of which
 * nobody told which vocabulary it has: it is not guessed.
 */
export function load(vocabulary: VocabularyName | OpenAiModel, options?: LoadOptions): Promise<VocabularyCounter>;
/**
 * A counter for a Claude model, e.g. `await load("claude-sonnet-5-5")`: by estimate,
 * as no vocabulary is published. Made once for each name, but for those with a
 * calibration, which are not kept; everything after it is synchronous.
 *
 * Rejects with `unknown_model`, which lists those that are known.
 */
export function load(model: ModelId, options?: LoadOptions): Promise<ClaudeCounter>;

/**
 * A whole Messages request, part by part. Call and await {@link init} or
 * {@link load} before.
 *
 * Throws `bad_request` with the field that is wrong, as the gate would answer.
 */
export function measure(request: MessagesRequest & { model: ModelId }): Measure;

/** The Claude models that this version knows. After {@link init} or {@link load}. */
export function models(): readonly ModelInfo[];

/** What an answer cost, in micro-dollars, at the list prices of today. */
export function cost(model: ModelId, usage: AnthropicUsage): number;

/**
 * A `fetch` for the official SDKs that answers by itself what the limits would
 * refuse: nothing is sent then. In doubt it sends.
 *
 * ```js
 * const client = new Anthropic({
 *   baseURL: "https://gate.example.com",
 *   apiKey: key,
 *   fetch: guard({ limits: "https://gate.example.com/v1/limits", key }),
 * });
 * ```
 */
export function guard(options: GuardOptions): GuardedFetch;

/** A model's id; those with a date suffix are known, too. */
export type ModelId = "claude-fable-5-2" | "claude-opus-5-5" | "claude-sonnet-5-5" | "claude-haiku-5-5" | (string & {});

/** Tokens of a text or a request. `lower <= estimate <= upper`. A calibration's bounds aim at 95 of 100 requests; of one kind of text, or one tenant of a gate, it can be fewer (docs/counting.md). */
export interface Bounds {
  /** Fewer are not to be expected. */
  lower: number;
  /** The best guess. */
  estimate: number;
  /** More are not to be expected: a token has at least one byte. */
  upper: number;
}

export type VocabularyName = "o200k_base" | "o200k_harmony" | "cl100k_base" | "p50k_base" | "r50k_base";
/** By tiktoken's own list, and `ft:` before those that a fine-tuned model is made of. A name that is not on it rejects with `unknown_model`: load its vocabulary by name. */
export type OpenAiModel = `${"" | "ft:"}${`gpt-${string}` | "davinci-002" | "babbage-002"}` | `o1${string}` | `o3${string}` | `o4-mini${string}` | `chatgpt-4o-${string}` | `text-embedding-${string}`;

/** A vocabulary's bytes (packed or not), or where they are. */
export type VocabularySource = string | URL | Response | ArrayBuffer | ArrayBufferView;

export interface LoadOptions {
  /**
   * Where the vocabulary is. Needed only in Workers, which bring along what their
   * script imports: `import vocabulary from "tollgate/vocabularies/o200k_base.bin"`. Its bytes
   * are checked by their hash, so from wherever it comes it is the same: one that is loaded is not
   * asked for again, and of several places at once each caller waits for its own alone.
   */
  vocabulary?: VocabularySource | Promise<VocabularySource>;
  /** How a Claude model's estimates are corrected: this one's alone, with or without a date. Exact counters need none. */
  calibration?: CalibrationOption;
}

/** How a model's estimates are corrected: learned by `tollgate calibrate`, or by a gate from its usage ({@link LimitsSnapshot}). In thousandths. */
export interface Calibration {
  /** For each estimated token: of Latin words, digits, punctuation, blanks, other alphabets, ideographs, signs and emoji, framing and tools. At most 4,000 each. */
  readonly weights: readonly number[];
  /** The lower bound as a part of the corrected estimate: below 256 tokens, below 4,096, beyond. 0: the prior's. */
  readonly lower: readonly number[];
  /** The upper bound, likewise. They aim at 95 of 100 requests, all tenants' together; of one tenant or one kind of text it can be fewer (docs/counting.md). */
  readonly upper: readonly number[];
}

/** A calibration; its bounds may be left out. What would be beyond a text's bytes is cut to them. `model`, where it says whose it is, must be that model; what else stands beside passes. */
export type CalibrationOption = Pick<Calibration, "weights"> & Partial<Calibration> & { readonly model?: string };

/** What every counter has. */
export interface Counter {
  /** As it was asked for. */
  readonly name: string;
  /** Whether {@link count} is the provider's own figure. Never for Claude, whose vocabulary is not published. */
  readonly exact: boolean;
  /** Tokens: the best guess where it is not exact. */
  count(text: string): number;
  /** The same with its bounds. */
  bounds(text: string): Bounds;
  /** Whether the text has at most so many tokens, a whole number, by {@link bounds}; `undefined`: that cannot be told. */
  fits(text: string, tokens: number): boolean | undefined;
}

/** Counts for a Claude model, by estimate. */
export interface ClaudeCounter extends Counter {
  readonly exact: false;
  readonly model: ModelInfo;
  /** A whole request; `model` may be left out. One of another model than the counter's is measured for that one, without the counter's calibration. */
  measure(request: MessagesRequest): Measure;
}

/**
 * Counts by a vocabulary, exactly as tiktoken does. A lone surrogate counts as
 * U+FFFD, which is what would be sent in its place.
 */
export interface VocabularyCounter extends Counter {
  readonly exact: true;
  readonly encoding: VocabularyName;
  /** Whether the text has at most so many tokens. A long text is read no further than it takes to know. */
  fits(text: string, tokens: number): boolean;
  /**
   * A whole request of Chat Completions or Responses: texts exact, what stands around
   * them as OpenAI published it. `model` may be left out where the counter was loaded by it.
   */
  measure(request: OpenAiRequest): OpenAiMeasure;
  /** The ids. Without options special tokens in the text are text like any other: tiktoken's `encode_ordinary`. */
  encode(text: string, options?: EncodeOptions): Uint32Array;
  /** The text of ids; what is not UTF-8 becomes U+FFFD. Throws `bad_request` for an id that is none. */
  decode(ids: ArrayLike<number>): string;
  /**
   * The beginning (or end) as far as so many tokens of the whole text reach, tearing no grapheme, and of
   * at most so many by itself. Where a cut makes other tokens of it, more might fit.
   */
  truncate(text: string, tokens: number, options?: { keep?: "head" | "tail" }): string;
  /**
   * Parts of at most `size` tokens, each beginning with at most the last `overlap` tokens of the one
   * before. What a reader takes for one character is torn only where it has more tokens than `size` (a flag, a family
   * of emoji), and then between its code points; one of these that has more is a part of its own.
   */
  chunk(text: string, size: number, options?: { overlap?: number }): Chunk[];
  /** A text that is being written: an edit costs what its surroundings cost. */
  document(text?: string): TokenDocument;
}

/**
 * What becomes of special tokens (`<|endoftext|>` and its like) in a text, as tiktoken's `allowed_special`
 * and `disallowed_special` say it. A name that the encoding does not have is a `bad_request`.
 */
export interface EncodeOptions {
  /**
   * `true`: all become their ids; of a list those that it has. All others are text, unless `refused`.
   * `"refuse"`: none, and all are refused, as tiktoken's `encode` does without arguments.
   */
  specials?: boolean | "refuse" | readonly string[];
  /**
   * Those that are a `bad_request` where the text holds one; `"all"`: all that `specials` does not have,
   * which is what tiktoken's `encode` refuses where only `allowed_special` is given.
   */
  refused?: "all" | readonly string[];
}

/**
 * What `chat.completions.create` or `responses.create` takes: the SDK's own types, too. What
 * is not measured passes.
 */
export type OpenAiRequest = OpenAiFields | (OpenAiFields & { [field: string]: unknown });

/** The fields that are measured. */
export interface OpenAiFields {
  model?: string;
  messages?: readonly unknown[];
  input?: string | readonly unknown[];
  instructions?: string | null;
  tools?: readonly unknown[];
}

export interface OpenAiMeasure extends Bounds {
  /** Whether all three figures are one. */
  exact: boolean;
  /** `low`: no upper bound is known, as of files by id, earlier answers, tools that OpenAI runs. */
  confidence: "medium" | "low";
  parts: readonly OpenAiPart[];
}

export interface OpenAiPart extends Bounds {
  /** `roles`: what each message adds. `remote`: what is not in the request. */
  name: "roles" | "system" | "messages" | "tools" | "images" | "other" | "remote";
  /** Where the figure comes from, and when it was read. */
  source: string;
}

/** A part of a text; `start` and `end` are places in the string. */
export interface Chunk {
  start: number;
  end: number;
  /** `count(text)`: of this part alone. Those of all parts can add up to more than the whole text has. */
  tokens: number;
  text: string;
}

/**
 * The count of a text that is being written. Each edit answers the new one: that of the whole text, also
 * where its ends lie within a surrogate pair, or a half that stood alone gets its other one.
 */
export interface TokenDocument {
  readonly count: number;
  /** Those tokens that nothing appended can change any more. */
  readonly stable: number;
  /** Makes this the whole text; what stayed is compared, not counted again. */
  set(text: string): number;
  append(text: string): number;
  /** Throws `bad_request` where the range does not fit. */
  edit(start: number, end: number, text: string): number;
  /** Gives its memory back at once, not when it is collected. All else throws `not_ready` then. */
  close(): void;
}

/** What `messages.create` takes: the SDK's own types, too. What is not measured passes. */
export type MessagesRequest = MessagesFields | (MessagesFields & { [field: string]: unknown });

/** The fields that are measured. */
export interface MessagesFields {
  model?: ModelId;
  messages: readonly unknown[];
  system?: string | readonly unknown[];
  tools?: readonly unknown[];
  tool_choice?: unknown;
  thinking?: unknown;
  max_tokens?: number;
}

/** A request's size, and what is known of it. */
export interface Measure extends Bounds {
  model: string;
  /** Whether all three figures are one. */
  exact: boolean;
  /**
   * `medium`: ordinary text of a known model, within some 15 %. `low`: the model is
   * not known, or much of the input is short, encrypted, in a rare script, or not in
   * the request at all (files, addresses, server tools). `calibrated`: text alone, and
   * its bounds are a calibration's, which aim at 95 of 100 requests like those it saw, all
   * kinds and tenants together; of one alone it can be fewer.
   */
  confidence: "calibrated" | "medium" | "low";
  /** Each estimated by itself; rounding makes their sum differ a little. */
  parts: readonly Part[];
  /** What of the estimate a calibration corrects, by kinds of text: {@link Calibration.weights}. */
  kinds: readonly number[];
  /** What may come back, as the request limits it; thinking is a part of `max_tokens`. */
  output: { max_tokens: number; thinking_tokens: number };
  /** Micro-dollars at the list prices of today. */
  cost: {
    /** The input alone, at the estimate. */
    input_microusd: number;
    /** The most: the input's upper bound at its dearest rate, and all output. */
    most_microusd: number;
    /** Whether a price had to be assumed. */
    assumed: boolean;
  };
  /** The model's context window; null: not known. */
  max_input_tokens: number | null;
}

export interface Part extends Bounds {
  /** `roles`: what each message adds. `tool_choice`: the prompt that tools bring along. */
  name: "framing" | "roles" | "system" | "messages" | "tools" | "tool_choice" | "images" | "documents" | "opaque" | "other" | "remote";
  /** Where the figure comes from, and of which date it is. */
  source: string;
}

export interface ModelInfo {
  readonly id: string;
  /** Models of one class share their rate limits. */
  readonly class: string;
  readonly max_input_tokens: number;
  readonly max_output_tokens: number;
  readonly retired: boolean;
}

/** `usage` of an answer. */
export interface AnthropicUsage {
  input_tokens: number;
  output_tokens: number;
  cache_creation_input_tokens?: number | null;
  cache_read_input_tokens?: number | null;
}

export interface GuardOptions {
  /** The address of a gate's `/v1/limits`, or limits of your own where there is no gate. */
  limits: string | URL | FixedLimits;
  /**
   * The key that may ask for the limits. Left out, it is the request's own, and only
   * where the request goes to the gate that `limits` names.
   */
  key?: string;
  /**
   * Seconds that a request may wait in the gate's queue. Also told to the gate, as
   * `x-tollgate-max-wait`, unless the request says so itself. Left out, only what
   * would outlast every patience is refused.
   */
  maxWait?: number;
  /**
   * What happens while the limits are not known (offline, stale, no answer): `"open"`,
   * the default, sends and calls `onUnchecked`; `"closed"` answers 503. Where the
   * gate refuses the key itself, the request goes either way, and hears why.
   */
  whenUnknown?: "open" | "closed";
  /** A snapshot older than this decides nothing. Default 30,000. */
  staleMs?: number;
  /**
   * Counters for models whose tokenizer you name: what `loadTokenizer` of `tollgate/hf`
   * gives, by the model of the request. Others are counted as before.
   */
  tokenizers?: Record<string, { count(text: string): number }>;
  /**
   * Calibrations by model: what `tollgate calibrate` wrote. Limits given in code are kept by
   * them; a gate's by what it learned itself and tells with its limits.
   */
  calibrations?: Record<string, CalibrationOption>;
  /** Whether tabs of one origin act as one caller. Default true. */
  share?: boolean;
  /** Called for each request that was refused here. */
  onRefuse?(refusal: Refusal): void;
  /** Called for each new state of the limits. */
  onSnapshot?(snapshot: LimitsSnapshot): void;
  /** Called for each request that was sent without being checked. */
  onUnchecked?(what: { reason: "no_snapshot" | "stale" | "not_measured"; model: string }): void;
  /** What requests are sent by. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Another source for the WebAssembly module, as {@link init} takes it. */
  wasm?: InitSource | Promise<InitSource>;
  /** Milliseconds since 1970. Default: `Date.now`. */
  now?: () => number;
}

/** Limits of your own; each may be left out. A day begins at 00:00 UTC. */
export interface FixedLimits {
  /** Requests a minute. */
  rpm?: number;
  /** Input tokens a minute, by estimate, then by the provider's own count. */
  itpm?: number;
  /** Output tokens a minute, as they are generated. */
  otpm?: number;
  /** Requests at a time. */
  concurrent?: number;
  requests_day?: number;
  /** Input, and output at `max_tokens` until it is known. */
  tokens_day?: number;
  /** US dollars, at list prices. */
  usd_day?: number;
  /** Context windows of models, beside those that are known. */
  windows?: Record<string, number>;
}

export interface GuardedFetch {
  (input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Asks for the limits now. Whether there was an answer. */
  refresh(): Promise<boolean>;
  /** Leaves the other tabs, and guards no more: requests pass. */
  close(): void;
}

export interface Refusal {
  /** 429, 413, 400 for what is larger than a limit ever holds, 503 for unknown limits. */
  status: number;
  type: string;
  /** A row of docs/errors.md. */
  code: string;
  message: string;
  /** null: waiting does not help. */
  retryAfterMs: number | null;
  limit: { scope: string; kind: LimitKind; level: number; capacity: number } | null;
  model: string;
  input: Bounds | null;
}

export type LimitKind = "requests" | "input_tokens" | "output_tokens" | "concurrent" | `${"requests" | "tokens" | "microusd"}_${"day" | "week" | "month" | "life"}`;

/** What a gate told of the caller's limits. */
export interface LimitsSnapshot {
  /** When it came. */
  atMs: number;
  models: Record<string, { class: string; maxInputTokens: number; available: { requests: number; inputTokens: number; outputTokens: number } | null; calibration?: Calibration }>;
  limits: { scope: string; kind: LimitKind; level: number; capacity: number; perMinute: number; endsMs: number }[];
}

/**
 * `no_wasm`: the module could not be started. `not_ready`: before `init`. `too_long`:
 * over 256 M units. `bad_tokenizer`: of tollgate/hf. `internal`: our mistake.
 */
export type ErrorCode = "no_wasm" | "not_ready" | "unknown_model" | "bad_vocabulary" | "bad_tokenizer" | "not_a_string" | "too_long" | "bad_request" | "internal";

/** What the package throws and rejects with. */
export class TollgateError extends Error {
  constructor(code: ErrorCode, message: string, cause?: unknown);
  readonly name: "TollgateError";
  readonly code: ErrorCode;
}
