// The Worker's entry: the wasm module, the request carrier, the Durable Objects.
import { carry } from "./carry.mjs";
export { Gate } from "./gate.mjs";
export { Relay } from "./answers.mjs";

export default {
  fetch: carry,
};
