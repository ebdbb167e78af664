// Holds an answer until it is complete (x-tollgate-delivery: atomic): nobody acts
// on half of it. Bounded one by one, and together with the request bodies.
import { Copy } from "./cache.mjs";
import { drain } from "./relay.mjs";

/** What more than may be held is rejected with. */
export const TOO_LARGE = new Error("too large");

/**
 * One answer: the longest, 128,000 tokens (Claude's models, 2026-11), has as much where
 * each token is an event of 128 bytes.
 */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/** The whole body; counted in `walk.held`, also where it broke off. */
export async function hold(walk, response) {
  const { passage } = walk;
  const copy = new Copy(ANSWER_BYTES_MAX);
  const see = (bytes) => {
    passage.chunk(bytes);
    copy.add(bytes);
    if (!walk.holds(bytes.byteLength) || !copy.whole) throw TOO_LARGE;
  };
  await drain(walk, response.body, { state: "held" }, see);
  return copy.bytes();
}
