import type { Bounds, Measure, MessagesRequest, ModelId } from "./index.js";

export interface WorkerOptions {
  /** A worker that already runs `worker-thread.js`, where a bundler has to make it. */
  worker?: Worker;
}

/** A counter that counts in a web worker: the page stays fluent whatever is pasted. */
export interface WorkerCounter {
  readonly name: string;
  count(text: string): Promise<number>;
  bounds(text: string): Promise<Bounds>;
  measure(request: MessagesRequest): Promise<Measure>;
  /** Ends the worker; what it still had to answer rejects. */
  close(): void;
}

/**
 * The same as `load`, off the main thread. The page's policy needs
 * `worker-src 'self'` (or the package's origin).
 */
export function loadInWorker(model: ModelId, options?: WorkerOptions): Promise<WorkerCounter>;
