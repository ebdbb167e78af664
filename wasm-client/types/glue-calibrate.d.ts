// What wasm-bindgen writes into calibrate/build/calibrate.js (calibrate/src/lib.rs).
export function initSync(options: { module: BufferSource | WebAssembly.Module }): { memory: WebAssembly.Memory };
export class Calibrator {
  learn(kinds: Float64Array, real: number): void;
  told(): Float64Array;
  free(): void;
}
