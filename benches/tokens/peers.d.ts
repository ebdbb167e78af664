// Packages that only make bench-tokens installs: nothing checks against their types.

declare module "ai-tokenizer";
declare module "ai-tokenizer/encoding/o200k_base";
declare module "gpt-tokenizer/encoding/o200k_base";
declare module "js-tiktoken/lite";
declare module "js-tiktoken/ranks/o200k_base";
declare module "tollgate" {
  export function init(from: unknown): Promise<void>;
  export function load(name: string, options: object): Promise<import("./contestants.mjs").Counter>;
}
