// What wasm-bindgen writes into build/client.js (src/lib.rs), as far as it is used.
export function cost(model: string, input: number, written: number, read: number, output: number, at_ms: number): number;
export function model_list(): string;
export function request_begin(complete: boolean): void;
export function request_end(at_ms: number): string;
export function request_feed(bytes: number): string | undefined;
export function room(bytes: number): number;
export function text_begin(): void;
export function text_end(model: string): Float64Array;
export function text_feed(bytes: number): void;

export function __wbg_reset_state(): void;
type Source = string | URL | Request | Response | BufferSource | WebAssembly.Module;
export default function init(options: { module_or_path: Source | Promise<Source> }): Promise<{ memory: WebAssembly.Memory }>;
export function initSync(options?: { module: BufferSource | WebAssembly.Module }): { memory: WebAssembly.Memory };

export function tidy(): void;
export function vocabulary_of(encoding: string): string | undefined;
export class Encoder {
  constructor(encoding: string, bytes: number);
  count(bytes: number): number;
  fits(bytes: number, tokens: number): boolean;
  longest_token(): number;
  encode(bytes: number, specials: boolean): number;
  ids(): number;
  tidy(): void;
  decode(ids: Uint32Array): Uint8Array;
  truncate(bytes: number, tokens: number, tail: boolean): number;
  chunk(bytes: number, size: number, overlap: number): Uint32Array;
  free(): void;
}
export class Document {
  set(by: Encoder, bytes: number): number;
  append(by: Encoder, bytes: number): number;
  edit(by: Encoder, start: number, end: number, bytes: number): number;
  cut(at: number): number;
  count(): number;
  stable(by: Encoder): number;
  free(): void;
}
