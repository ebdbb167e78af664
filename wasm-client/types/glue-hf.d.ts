// What wasm-bindgen writes into hf/build/hf.js (hf/src/lib.rs), as far as it is used.
export function __wbg_reset_state(): void;
type Source = string | URL | Request | Response | BufferSource | WebAssembly.Module;
export default function init(options: { module_or_path: Source | Promise<Source> }): Promise<{ memory: WebAssembly.Memory }>;
export function initSync(options?: { module: BufferSource | WebAssembly.Module }): { memory: WebAssembly.Memory };
export function room(bytes: number): number;
export function tidy(): void;
export class Tokenizer {
  constructor(bytes: number);
  form(): Uint8Array<ArrayBuffer>;
  is_quick(): boolean;
  count(bytes: number, framed: boolean): number;
  fits(bytes: number, tokens: number, framed: boolean): boolean;
  encode(bytes: number, framed: boolean): Uint32Array;
  decode(ids: Uint32Array, bare: boolean): string;
  free(): void;
}
export class Growing {
  constructor(by: Tokenizer, framed: boolean);
  exceeds(by: Tokenizer, bytes: number, most: number): boolean;
  fits(by: Tokenizer, most: number): boolean;
  free(): void;
}
