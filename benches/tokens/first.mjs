// One contestant by itself, in a process or a page of its own: how long from its bytes
// to the first count, and what memory it then holds.

import { contestants } from "./contestants.mjs";

/** Every module's memory, whoever makes it. @type {WebAssembly.Memory[]} */
const memories = [];

/** From here on. */
function watchMemories() {
  const { instantiate, Instance } = WebAssembly;
  WebAssembly.instantiate = /** @type {any} */ (
    async (/** @type {BufferSource} */ source, /** @type {WebAssembly.Imports} */ imports) => {
      const made = await instantiate(source, imports);
      noted("instance" in made ? made.instance : /** @type {any} */ (made));
      return made;
    }
  );
  WebAssembly.Instance = class extends Instance {
    /** What `instantiate` makes is none of this class, and npm's tiktoken asks. @param {unknown} made */
    static [Symbol.hasInstance](made) {
      return made instanceof Instance;
    }

    /**
     * @param {WebAssembly.Module} module
     * @param {WebAssembly.Imports} [imports]
     */
    constructor(module, imports) {
      super(module, imports);
      noted(this);
    }
  };
}

/** @param {WebAssembly.Instance} instance */
function noted({ exports: { memory } }) {
  if (memory instanceof WebAssembly.Memory) memories.push(memory);
}

/**
 * @param {object} input
 * @param {string} input.name the contestant's
 * @param {string} input.text what is counted before memory is looked at
 * @param {(name: string) => Uint8Array<ArrayBuffer>} input.bytes
 * @param {() => number} [input.rss] bytes of the process, where they can be told
 */
export async function first({ name, text, bytes, rss }) {
  const contestant = contestants.find((one) => one.name === name);
  if (!contestant) throw new Error(`no contestant is named ${name}`);
  watchMemories();
  globalThis.gc?.();
  const before = rss?.() ?? 0;
  const began = performance.now();
  const counter = await contestant.start(bytes);
  const first = counter.count("How many tokens are in this sentence?");
  const first_count_ms = performance.now() - began;
  counter.count(text);
  const linear_mib = memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0) / (1 << 20);
  globalThis.gc?.();
  return { first, first_count_ms, linear_mib, ...(rss && { rss_mib: (rss() - before) / (1 << 20) }) };
}
