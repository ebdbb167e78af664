// Carries one request: all I/O of the Worker, and no decisions.
//
// Each step is decided by the wasm module (edge/src/request), synchronously;
// this file awaits what the step asks for and reports what came of it. The
// loop lives here and not in Rust so that a re-initialised module leaves no
// client hanging, and because every await in Rust costs a promise more.
import { Passage, Step, Unread, ready, gatePlace, trapped, debugPanic } from "./core.mjs";
import { report, take, putBack, flushSoon } from "./reports.mjs";
import { heldBytes, readBody, WINDOW_BYTES } from "./body.mjs";
import { relay } from "./relay.mjs";
import { look, keep } from "./cache.mjs";

/** The Gate answers at once or not at all: invariant 11. */
const GATE_MS = 2_000;

/** The Worker's fetch handler. */
export function carry(request, env, ctx) {
  const walk = new Walk(request, env, ctx);
  const answer = walk.run();
  // The client may leave: what was used is settled all the same.
  ctx.waitUntil(answer.then(() => walk.rest));
  return answer;
}

class Walk {
  constructor(request, env, ctx) {
    this.request = request;
    this.env = env;
    this.ctx = ctx;
    this.passage = undefined;
    this.held = 0;
    this.gone = false;
    /** What is left to do after the answer's head went. */
    this.rest = undefined;
  }

  async run() {
    try {
      ready(this.env);
      const { request } = this;
      this.passage = new Passage(request.method, request.url, flatten(request.headers), Date.now());
      request.signal.addEventListener("abort", () => this.left());
      return await this.steps();
    } catch (error) {
      return this.failed(error);
    } finally {
      heldBytes(-this.held);
      this.rest ??= this.finish();
    }
  }

  /** The way of a request. */
  async steps() {
    const { passage } = this;
    let body = null;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      if (this.gone) return new Response(null, { status: CLIENT_LEFT });
      switch (passage.step()) {
        case Step.Read:
          body = await this.read();
          break;
        case Step.Look:
          passage.looked(...(await look(this.env, passage)));
          break;
        case Step.Ask:
          await this.ask();
          break;
        case Step.Send: {
          const answer = await this.send(body);
          if (answer !== undefined) return answer;
          break;
        }
        case Step.Answer:
          return this.answer(passage.answer_body());
        case Step.Asset:
          return this.env.ASSETS.fetch(this.request);
        default:
          throw new Error(`no step ${passage.step()}`);
      }
    }
    throw new Error("a request took more steps than any request may");
  }

  /** Reads the body, and lets the scanner see it through a window. */
  async read() {
    const { passage, request } = this;
    const body = await readBody(request, passage.body_bytes_max());
    if (!(body instanceof ArrayBuffer)) {
      passage.unread(body);
      return null;
    }
    this.held = body.byteLength;
    heldBytes(this.held);
    if (debugPanic && request.headers.has("x-debug-panic")) debugPanic();
    for (let at = 0; at < body.byteLength; at += WINDOW_BYTES) {
      passage.read(new Uint8Array(body, at, Math.min(WINDOW_BYTES, body.byteLength - at)));
    }
    passage.parsed(Date.now());
    return body;
  }

  /** One call to the Gate; what waits to be told rides on it. */
  async ask() {
    const { passage } = this;
    const method = passage.gate_method();
    const reports = method === "admit" || method === "poll" ? take() : [];
    let reply;
    try {
      const message = passage.gate_message(reports.join(","), Date.now());
      if (message === "") return putBack(reports);
      reply = await within(GATE_MS + passage.gate_parks_ms(), gateOf(this.env)[method](message));
    } catch (error) {
      putBack(reports);
      if (trapped(error)) throw error;
      passage.gate_failed(error?.overloaded === true);
      return this.tell();
    }
    passage.replied(reply, Date.now());
    this.tell();
  }

  /** One attempt upstream. Undefined: there is a next step. */
  async send(body) {
    const { passage } = this;
    const upstream = new AbortController();
    this.upstream = upstream;
    passage.begin_attempt(Date.now());
    const timer = setTimeout(() => upstream.abort("first byte"), passage.first_byte_ms());
    let response;
    try {
      response = await fetch(passage.upstream_url(), {
        method: passage.method(),
        headers: fields(passage.upstream_headers()),
        body,
        redirect: "manual",
        signal: upstream.signal,
      });
    } catch (error) {
      if (trapped(error)) throw error;
      const why = upstream.signal.aborted ? String(upstream.signal.reason) : String(error?.message ?? error);
      passage.unanswered(why, Date.now());
      return void this.tell();
    } finally {
      clearTimeout(timer);
    }
    passage.response(response.status, flatten(response.headers), Date.now());
    this.tell();
    if (passage.step() === Step.Relay) {
      const { answer, rest } = relay(this, response, upstream);
      this.rest = rest.then(() => this.finish());
      return answer;
    }
    let bytes;
    try {
      bytes = await within(passage.total_ms(), response.arrayBuffer());
    } catch {
      upstream.abort("total");
      passage.broke(Date.now());
      return void this.tell();
    }
    passage.whole(new Uint8Array(bytes), Date.now());
    this.tell();
    if (passage.step() !== Step.Answer) return undefined;
    if (passage.cacheable()) this.ctx.waitUntil(keep(this.env, passage, bytes));
    return this.answer(passage.passes_body() ? bytes : passage.answer_body());
  }

  /** Renews the ticket of a running stream. */
  async renew() {
    try {
      await within(GATE_MS, gateOf(this.env).admit(this.passage.renewal(Date.now())));
    } catch (error) {
      // The next one comes in half a minute; a ticket outlives several.
      trapped(error);
    }
  }

  answer(body) {
    const { passage } = this;
    const status = passage.answer_status();
    const none = status === 204 || status === 304 || this.request.method === "HEAD";
    return new Response(none ? null : body, { status, headers: fields(passage.answer_headers()) });
  }

  /** The client went: stop the upstream, free the place in the queue. */
  left() {
    this.gone = true;
    this.upstream?.abort("client left");
    if (this.passage === undefined) return;
    try {
      this.passage.left();
      this.tell();
    } catch (error) {
      trapped(error);
    }
    this.ctx.waitUntil(this.flush());
  }

  /** Moves what the passage has to tell to the reports. */
  tell() {
    for (let text; (text = this.passage.take_report()) !== undefined; ) report(text);
  }

  /** Everything is decided. */
  async finish() {
    const { passage } = this;
    this.passage = undefined;
    try {
      for (let text; (text = passage?.take_report()) !== undefined; ) report(text);
      passage?.free();
    } catch (error) {
      trapped(error);
    }
    await this.flush();
  }

  flush() {
    return flushSoon(async (reports) => {
      try {
        await within(GATE_MS, gateOf(this.env).admit(`{"v":1,"events":[${reports.join(",")}]}`));
        return true;
      } catch {
        putBack(reports);
        return false;
      }
    });
  }

  /** Something that must not happen: the client gets the provider's JSON all the same. */
  failed(error) {
    trapped(error);
    console.error(JSON.stringify({ event: "internal_error", message: String(error?.message ?? error) }));
    return new Response(INTERNAL, {
      status: 500,
      headers: { "content-type": "application/json", "x-should-retry": "true", "access-control-allow-origin": "*" },
    });
  }
}

/** More steps than any request takes: a wait of an hour polled each 10 s, and refusals by the provider between. */
const ROUNDS_MAX = 2_000;
/** Nobody reads it; logs know this status. */
const CLIENT_LEFT = 499;

const INTERNAL = JSON.stringify({
  type: "error",
  error: {
    type: "api_error",
    message: "Tollgate failed while it handled this request. Retry it; if it persists, see docs/errors.md#tollgate_internal.",
    details: { error_code: "tollgate_internal" },
  },
  request_id: null,
});

/** The object that decides. A stub belongs to one request. */
function gateOf(env) {
  const [name, locationHint, jurisdiction] = gatePlace();
  const namespace = jurisdiction ? env.GATE.jurisdiction(jurisdiction) : env.GATE;
  return namespace.get(namespace.idFromName(name), locationHint ? { locationHint } : undefined);
}

/** Rejects when `promise` takes longer than `ms`. */
async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("late")), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Headers as one string: one crossing into wasm instead of one a header. */
export function flatten(headers) {
  let flat = "";
  for (const [name, value] of headers) flat += name + "\0" + value + "\0";
  return flat;
}

/** The way back: a plain object, the cheapest form for `fetch` and `Response` (docs/bench.md). */
function fields(flat) {
  const parts = flat.split("\0");
  const headers = {};
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const [name, value] = [parts[i], parts[i + 1]];
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  return headers;
}
