// The answer cache: the Cache API of this place in front of KV.
//
// An entry is the answer's bytes as the provider sent them; how to serve them
// is KV metadata (and response headers in the Cache API). Keys are made by
// edge/src/request/cache.rs and hold the tenant and the end user.
import { complain } from "./core.mjs";

/** KV keeps no value for less (Cloudflare KV limits, 2026-11). */
const TTL_S_MIN = 60;
/** Longest stream that is kept for replay: an isolate's memory is shared. */
export const COPY_BYTES_MAX = 1024 * 1024;
/** Never routed: the Cache API wants a URL. */
const ORIGIN = "https://cache.tollgate.invalid/";

/** `[meta, body]` of a hit, or `[undefined, undefined]`. */
export async function look(env, passage) {
  const key = passage.cache_key();
  try {
    const near = await caches.default.match(ORIGIN + key);
    if (near) return [near.headers.get("x-tollgate-meta"), new Uint8Array(await near.arrayBuffer())];
  } catch {
    // Without a near cache KV alone answers.
  }
  try {
    const { value, metadata } = await env.CACHE.getWithMetadata(key, { type: "arrayBuffer" });
    if (value !== null && metadata?.meta) return [metadata.meta, new Uint8Array(value)];
  } catch (error) {
    complain("cache_unreadable", error);
  }
  return [undefined, undefined];
}

/** Keeps a complete, successful answer (invariant 12). */
export async function keep(env, passage, bytes) {
  const key = passage.cache_key();
  const meta = passage.answer_meta();
  const ttl = Math.max(passage.cache_ttl_s(), TTL_S_MIN);
  try {
    await Promise.all([
      caches.default.put(
        ORIGIN + key,
        new Response(bytes, { headers: { "cache-control": `max-age=${ttl}`, "x-tollgate-meta": meta } }),
      ),
      env.CACHE.put(key, bytes, { expirationTtl: ttl, metadata: { meta } }),
    ]);
  } catch (error) {
    complain("cache_unwritable", error);
  }
}

/**
 * A stream's bytes, up to a bound. One buffer that grows, because a chunk may be an
 * event of 100 bytes; by transfer, which leaves none for the garbage collector.
 */
export class Copy {
  buffer = new ArrayBuffer(0);
  size = 0;

  constructor(bytesMax) {
    this.bytesMax = bytesMax;
  }

  add(chunk) {
    const at = this.size;
    this.size += chunk.byteLength;
    if (!this.whole) return void (this.buffer = this.buffer.transfer(0));
    if (this.size > this.buffer.byteLength) {
      const larger = Math.max(2 * this.buffer.byteLength, this.size);
      this.buffer = this.buffer.transfer(Math.min(larger, this.bytesMax));
    }
    new Uint8Array(this.buffer).set(chunk, at);
  }

  /** It is not wanted any more. */
  drop() {
    this.bytesMax = -1;
    this.buffer = this.buffer.transfer(0);
  }

  get whole() {
    return this.size <= this.bytesMax;
  }

  /** All of them, once there will be no more. */
  bytes() {
    if (this.buffer.byteLength !== this.size) this.buffer = this.buffer.transfer(this.size);
    return new Uint8Array(this.buffer);
  }
}
