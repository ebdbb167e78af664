import type { Bounds, CalibrationOption, Measure, MessagesRequest, ModelId, OpenAiMeasure, OpenAiModel, OpenAiRequest, VocabularyName } from "./index.js";

export interface WorkerOptions {
  /** A worker that already runs `worker-thread.js`, where a bundler has to make it. */
  worker?: Worker;
  /** For a Claude model, as {@link load} takes it. */
  calibration?: CalibrationOption;
}

/** A counter that counts in a web worker: the page stays fluent whatever is pasted. */
export interface WorkerCounter<Request = MessagesRequest, Measured = Measure> {
  readonly name: string;
  count(text: string): Promise<number>;
  bounds(text: string): Promise<Bounds>;
  measure(request: Request): Promise<Measured>;
  /** Ends the worker; what it still had to answer rejects. */
  close(): void;
}

/**
 * A counter as `load` makes it, off the main thread, with the calls of {@link WorkerCounter}. The page's policy needs
 * `worker-src 'self'` (or the package's origin).
 *
 * Rejects as `load` does, and with `no_wasm` where the worker's script does not come.
 */
export function loadInWorker(model: VocabularyName | OpenAiModel, options?: WorkerOptions): Promise<WorkerCounter<OpenAiRequest, OpenAiMeasure>>;
export function loadInWorker(model: ModelId, options?: WorkerOptions): Promise<WorkerCounter>;
