// One contestant in a process of its own: how long from its bytes to the first
// count, and what memory it then holds.

import { readFileSync } from "node:fs";
import { contestants } from "./contestants.mjs";

/** @type {{name: string, files: Record<string, string>, text: string}} */
const { name, files, text } = JSON.parse(readFileSync(0, "utf8"));
const contestant = contestants.find((one) => one.name === name);
if (!contestant) throw new Error(`no contestant is named ${name}`);
const bytes = new Map(Object.entries(files).map(([name, file]) => [name, new Uint8Array(readFileSync(file))]));

/** Every module's memory, whoever makes it. @type {WebAssembly.Memory[]} */
const memories = [];
const { instantiate } = WebAssembly;
WebAssembly.instantiate = /** @type {any} */ (
  async (/** @type {BufferSource} */ source, /** @type {WebAssembly.Imports} */ imports) => {
    const made = await instantiate(source, imports);
    noted("instance" in made ? made.instance : /** @type {any} */ (made));
    return made;
  }
);
const { Instance } = WebAssembly;
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

/** @param {WebAssembly.Instance} instance */
function noted({ exports: { memory } }) {
  if (memory instanceof WebAssembly.Memory) memories.push(memory);
}

globalThis.gc?.();
const before = process.memoryUsage().rss;
const began = performance.now();
const counter = await contestant.start((name) => /** @type {Uint8Array<ArrayBuffer>} */ (bytes.get(name)));
const first = counter.count("How many tokens are in this sentence?");
const first_count_ms = performance.now() - began;
counter.count(text);
const linear_mib = memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0) / (1 << 20);
globalThis.gc?.();
const rss_mib = (process.memoryUsage().rss - before) / (1 << 20);
process.stdout.write(JSON.stringify({ first, first_count_ms, linear_mib, rss_mib }));
