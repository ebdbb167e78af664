import { DurableObject } from "cloudflare:workers";
import { initSync, fetch as cold } from "../build/edge.js";
import module from "../build/edge_bg.wasm";
initSync({ module });
export class Gate extends DurableObject {}
export default { fetch: (request, env, ctx) => cold(request, env, ctx) };
