// The Relay's shell: one Durable Object for each idempotency key in use.
//
// It holds who runs, and the answer for whoever repeats the request. What a key is
// to a request is decided by edge/src/objects/relay.rs. Storage begins with an
// answer and ends with its alarm: a request that fails leaves nothing behind.
import { DurableObject } from "cloudflare:workers";
import { Claim, decideClaim } from "./core.mjs";

/** A value of the storage has 2 MB at most (Durable Objects limits, 2026-11). */
const PIECE_BYTES = 1024 * 1024;

export class Relay extends DurableObject {
  /** The claim of the request that runs. */
  running = undefined;
  /** Those who claim meanwhile. Each has its own time, and wakes nobody else by it. */
  waiting = new Set();

  /**
   * What the key is to a request: `{ state }`, and `meta` and `body` of a kept answer.
   * Parked at most `parksMs` while the same request runs. A claim that is the
   * request's own lasts until `owner` says that it is over, or is gone: a call that
   * waits at its side is the one sign that also those give who were ended.
   */
  async claim(fingerprint, parksMs, owner) {
    const claim = { fingerprint, isOver: false, wake() {} };
    const its = owner.dup();
    const over = () => {
      its[Symbol.dispose]();
      this.over(claim);
    };
    its.over().then(over, over);
    const until = Date.now() + parksMs;
    for (;;) {
      const now = Date.now();
      const kept = this.ctx.storage.kv.get("answer");
      const state = decideClaim(kept?.fingerprint, kept?.until ?? 0, this.running?.fingerprint, fingerprint, now);
      if (state === Claim.Kept) return { state, meta: kept.meta, body: this.body(kept) };
      if (state === Claim.Mine && !claim.isOver) this.running = claim;
      if (state !== Claim.Running || now >= until || claim.isOver) return { state };
      await this.changed(claim, until - now);
    }
  }

  /** Keeps an answer until then, in one step with its end: all of it, or nothing. */
  keep(fingerprint, meta, bytes, until) {
    const { kv } = this.ctx.storage;
    // An object that was restarted in between may have let another one run: whose
    // answer was kept first is the one that everybody gets.
    if (Date.now() < (kv.get("answer")?.until ?? 0)) return;
    let pieces = 0;
    for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) {
      kv.put(`piece ${pieces++}`, bytes.slice(at, at + PIECE_BYTES));
    }
    kv.put("answer", { fingerprint, meta, until, pieces, size: bytes.byteLength });
    return this.ctx.storage.setAlarm(until);
  }

  alarm() {
    return this.ctx.storage.deleteAll();
  }

  body({ pieces, size }) {
    const bytes = new Uint8Array(size);
    for (let n = 0; n < pieces; n++) bytes.set(new Uint8Array(this.ctx.storage.kv.get(`piece ${n}`)), n * PIECE_BYTES);
    return bytes;
  }

  /** Resolves when the claim that runs is over, or this one is, or after `ms`. */
  async changed(claim, ms) {
    const { promise, resolve } = Promise.withResolvers();
    claim.wake = resolve;
    this.waiting.add(claim);
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.waiting.delete(claim);
  }

  over(claim) {
    claim.isOver = true;
    claim.wake();
    if (this.running !== claim) return;
    this.running = undefined;
    for (const { wake } of this.waiting) wake();
  }
}
