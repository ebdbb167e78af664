import type { Bounds, CalibrationOption, Chunk, EncodeOptions, LoadOptions, Measure, MessagesRequest, ModelId, OpenAiMeasure, OpenAiModel, OpenAiRequest, VocabularyCounter, VocabularyName } from "./index.js";

export interface WorkerOptions {
  /** A worker that already runs `worker-thread.js`, where a bundler has to make it. */
  worker?: Worker;
  /** For a Claude model, as {@link load} takes it. */
  calibration?: CalibrationOption;
  /** For a model with a vocabulary, as {@link load} takes it. */
  vocabulary?: LoadOptions["vocabulary"];
}

/** A counter that counts in a web worker: the page stays fluent whatever is pasted. */
export interface WorkerCounter<Request = MessagesRequest, Measured = Measure> {
  readonly name: string;
  count(text: string): Promise<number>;
  bounds(text: string): Promise<Bounds>;
  /** `undefined` where the bounds lie to both sides; an exact counter always knows. */
  fits(text: string, tokens: number): Promise<boolean | undefined>;
  measure(request: Request): Promise<Measured>;
  /** Ends the worker; what it still had to answer rejects. */
  close(): void;
}

/** With all calls of {@link VocabularyCounter} but `document`. */
export interface WorkerVocabularyCounter extends WorkerCounter<OpenAiRequest, OpenAiMeasure> {
  fits(text: string, tokens: number): Promise<boolean>;
  encode(text: string, options?: EncodeOptions): Promise<Uint32Array>;
  decode(ids: ArrayLike<number>): Promise<string>;
  truncate(text: string, tokens: number, options?: { keep?: "head" | "tail" }): Promise<string>;
  chunk(text: string, size: number, options?: { overlap?: number }): Promise<Chunk[]>;
}

/**
 * A counter as `load` makes it, off the main thread, with its calls but `document`. The page's policy needs
 * `worker-src 'self'` (or the package's origin).
 *
 * Rejects as `load` does, and with `no_wasm` where the worker's script does not come.
 */
export function loadInWorker(model: VocabularyName | OpenAiModel, options?: WorkerOptions): Promise<WorkerVocabularyCounter>;
export function loadInWorker(model: ModelId, options?: WorkerOptions): Promise<WorkerCounter>;
