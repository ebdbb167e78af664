// A walk's idempotency key: claimed at its Relay, and given the answer in the end.
import { RpcTarget } from "cloudflare:workers";
import { again, objectOf, within } from "./carry.mjs";
import { Claim, complain, trapped } from "./core.mjs";
import { GATE_MS } from "./together.mjs";

/**
 * Longest answer that is kept: an isolate's memory is shared, and a call carries 32 MB
 * at most (Workers RPC, 2026-11). A longer one is delivered, and a repeat runs anew.
 */
export const KEPT_BYTES_MAX = 8 * 1024 * 1024;

/** The Relay's line to a request that claims a key. */
class Owner extends RpcTarget {
  #over = Promise.withResolvers();

  /** Resolves when the key is let go. */
  over() {
    return this.#over.promise;
  }

  letGo() {
    this.#over.resolve();
  }
}

/** Asks what the walk's key is to it. Returns the body of a kept answer. */
export async function claim(walk) {
  const { passage, env } = walk;
  const [name, fingerprint, parksMs] = passage.claim_ask(Date.now()).split("\0");
  let owner, reply;
  try {
    reply = await again(() => {
      // What a broken call claimed is free with its owner.
      owner?.letGo();
      owner = new Owner();
      const claim = objectOf(env.RELAY, name).claim(fingerprint, Number(parksMs), owner);
      return walk.bounded(GATE_MS + Number(parksMs), claim);
    });
    if (reply.state === Claim.Mine) walk.claimed = { name, fingerprint, owner };
    else owner.letGo();
  } catch (error) {
    owner.letGo();
    complain("relay_unreachable", error);
    passage.unclaimed();
    return undefined;
  }
  passage.claimed(reply.state, reply.meta, Date.now());
  return reply.body;
}

/** The walk's answer is decided: a good one is kept for repeats, and the key let go. */
export async function settle(walk, bytes) {
  const { passage, env } = walk;
  const { name, fingerprint, owner } = walk.claimed;
  walk.claimed = undefined;
  try {
    const ttlS = passage.keeps_s();
    if (ttlS > 0 && bytes.byteLength <= KEPT_BYTES_MAX) {
      const until = Date.now() + ttlS * 1000;
      const meta = passage.answer_meta();
      await again(() => within(GATE_MS, objectOf(env.RELAY, name).keep(fingerprint, meta, bytes, until)));
    }
  } catch (error) {
    if (!trapped(error)) complain("answer_not_kept", error);
  }
  owner.letGo();
}
