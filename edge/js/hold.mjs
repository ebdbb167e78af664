// Holds an answer until it is complete (x-tollgate-delivery: atomic): nobody acts
// on half of it. Bounded one by one, and together with the request bodies.
import { HELD_BYTES_MAX, heldBytes } from "./body.mjs";
import { Copy } from "./cache.mjs";
import { drain } from "./relay.mjs";

/** What more than may be held is rejected with. */
export const TOO_LARGE = new Error("too large");

/**
 * One answer: the longest, 128,000 tokens (Claude's models, 2026-11), has as much where
 * each token is an event of 128 bytes.
 */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/** The whole body; counted in `walk.held` until the walk is over. */
export async function hold(walk, response) {
  const { passage } = walk;
  const copy = new Copy(ANSWER_BYTES_MAX);
  const see = (bytes) => {
    passage.chunk(bytes);
    copy.add(bytes);
    walk.held += bytes.byteLength;
    if (heldBytes(bytes.byteLength) > HELD_BYTES_MAX || !copy.whole) throw TOO_LARGE;
  };
  try {
    await drain(walk, response.body, { state: "held" }, see);
    return copy.bytes();
  } catch (error) {
    walk.held -= copy.size;
    heldBytes(-copy.size);
    throw error;
  }
}
