// Relays a stream: the bytes flow to the client by a native pipe, the meter
// reads the other branch of the tee lazily.
//
// Why so: a transform in the middle costs a third of the throughput, a meter
// that reads each chunk half of it, and one that waits for 16 KiB holds the
// client's branch back (measured: docs/bench.md). The pipe leaves the client's
// end open, so that a broken stream can be closed by an error event.
import { LATE } from "./carry.mjs";
import { Close, epoch, trapped } from "./core.mjs";
import { COPY_BYTES_MAX, Copy, keep } from "./cache.mjs";
import { KEPT_BYTES_MAX, settle } from "./claim.mjs";

/** The meter's cycle while the stream runs: long enough to be cheap, short enough to bound the tee's backlog. */
const CYCLE_MS = 400;
/** One read of the meter. */
const READ_BYTES = 64 * 1024;

/**
 * Starts relaying. Returns the answer's head, and `rest`: a promise that ends
 * when the stream is accounted for.
 */
export function relay(walk, response) {
  const { passage } = walk;
  const client = new IdentityTransformStream();
  const [toClient, toMeter] = response.body.tee();
  const pipe = { state: "running" };
  pipe.ended = toClient
    .pipeTo(client.writable, { preventClose: true, preventAbort: true, preventCancel: true })
    .then(
      () => (pipe.state = "complete"),
      () => {
        pipe.state = "broken";
        // Where the stream goes on without its client, nothing piles up for it.
        toClient.cancel().catch(() => {});
      },
    );
  const rest = meter(walk, toMeter, pipe, client.writable);
  return { answer: walk.answer(client.readable), rest };
}

async function meter(walk, branch, pipe, toClient) {
  const { passage, env } = walk;
  const bytesMax = walk.claimed !== undefined ? KEPT_BYTES_MAX : passage.cacheable() ? COPY_BYTES_MAX : 0;
  const copy = bytesMax > 0 ? new Copy(bytesMax) : undefined;
  const see = (bytes) => {
    for (let at = 0; at < bytes.byteLength; at += READ_BYTES) passage.chunk(bytes.subarray(at, at + READ_BYTES));
    if (!copy?.whole) return;
    copy.add(bytes);
    // Without room the answer is delivered all the same, and not kept.
    if (!walk.holds(bytes.byteLength)) copy.drop();
    if (!copy.whole) walk.holds(-walk.held);
  };
  const born = epoch();
  let why = Close.Complete;
  try {
    await cycle(walk, pipe);
    if (pipe.state !== "complete") await drain(walk, branch, pipe, see);
    else see(new Uint8Array(await new Response(branch).arrayBuffer()));
    // All came from upstream; a client that does not read it is waited for as
    // long as an upstream that does not write.
    if (pipe.state === "running") await walk.bounded(passage.between_bytes_ms(), pipe.ended);
    if (pipe.state !== "complete") why = Close.Left;
  } catch (error) {
    trapped(error);
    why = born !== epoch() ? Close.Failed : error === LATE ? Close.Stalled : Close.Broken;
  }
  if (walk.gone) why = Close.Left;
  if (why !== Close.Complete) {
    // Ends the pipe, too, which holds the client's end.
    walk.upstream.abort();
    await cycle(walk, pipe);
  }
  await close(walk, toClient, why, copy);
  if (born === epoch() && copy?.whole && copy.size <= COPY_BYTES_MAX && passage.cacheable()) {
    walk.ctx.waitUntil(keep(env, passage, copy.bytes()));
  }
}

/**
 * Reads a stream while it runs, the meter's branch or one that is held. A read that
 * finds nothing waits for the next piece, which holds nobody up.
 */
export async function drain(walk, branch, pipe, see) {
  const { passage } = walk;
  const reader = branch.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(READ_BYTES);
  for (;;) {
    const { value, done } = await walk.bounded(
      passage.between_bytes_ms(),
      reader.read(new Uint8Array(buffer)),
    );
    if (done) return;
    if (Date.now() > walk.endsAt) throw LATE;
    see(value);
    buffer = value.buffer;
    if (passage.renewal_due(Date.now())) await walk.renew();
    if (pipe.state === "running") await cycle(walk, pipe);
  }
}

/** Ends the client's stream: as the upstream did, or by an error event; whoever saw its end finds it again. */
async function close(walk, toClient, why, copy) {
  let text = "";
  try {
    text = walk.passage.ended(why, Date.now());
    walk.tell();
    if (walk.claimed !== undefined && copy.whole) await settle(walk, copy.bytes());
  } catch (error) {
    trapped(error);
    text = FAILED;
  }
  if (why === Close.Left) return void toClient.abort().catch(() => {});
  try {
    const writer = toClient.getWriter();
    if (text !== "") await walk.bounded(CYCLE_MS, writer.write(new TextEncoder().encode(text)));
    await walk.bounded(CYCLE_MS, writer.close());
  } catch {
    // The pipe may still hold the writable, or the client is gone.
    toClient.abort().catch(() => {});
  }
}

/** For a stream whose passage was lost to a trap. The ping ends an event that the cut may have torn. */
const FAILED =
  '\nevent: ping\n\nevent: error\ndata: {"type":"error","error":{"type":"api_error","message":"Tollgate lost this stream; retry the request.","details":{"error_code":"tollgate_internal"}}}\n\n';

/** Waits for the pipe's end, at most one cycle. */
async function cycle(walk, pipe) {
  try {
    await walk.bounded(CYCLE_MS, pipe.ended);
  } catch (error) {
    if (error !== LATE) throw error;
  }
}
