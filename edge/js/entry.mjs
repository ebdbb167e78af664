// The Worker's entry: the wasm module, the request carrier, the Durable Object.
import { carry } from "./carry.mjs";
export { Gate } from "./gate.mjs";

export default {
  fetch: carry,
};
