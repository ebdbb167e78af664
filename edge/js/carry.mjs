// Carries one request: all I/O of the Worker, and no decisions.
//
// Each step is decided by the wasm module (edge/src/request), synchronously;
// this file awaits what the step asks for and reports what came of it. The
// loop lives here and not in Rust so that a re-initialised module leaves no
// client hanging, and because every await in Rust costs a promise more.
import { Passage, Close, GateMethod, Step, complain, ready, gatePlace, heard, leases, trapped, debugPanic } from "./core.mjs";
import { report, take, putBack, flushSoon, watch } from "./reports.mjs";
import { HELD_BYTES_MAX, heldBytes, readBody, WINDOW_BYTES } from "./body.mjs";
import { relay } from "./relay.mjs";
import { hold, TOO_LARGE } from "./hold.mjs";
import { look, keep } from "./cache.mjs";
import { claim, settle } from "./claim.mjs";
import { GATE_MS, together } from "./together.mjs";
import { begins, ends, renewAll, runs } from "./running.mjs";

/** What a step that took too long is rejected with. */
export const LATE = new Error("late");

/**
 * A request with an idempotency key goes on so long without its client, whose repeat
 * then finds the answer; Cloudflare ends it after 30 s (Workers limits, 2026-11).
 */
const LINGER_MS = 25_000;

/**
 * How long after its first step a request begins to hear of a client that leaves, ms, or
 * has left: the listener is a twentieth of what it costs to answer one (docs/bench.md),
 * and a cached answer or a refusal is out by then.
 */
const LISTENS_MS = 50;
/**
 * A long wait is looked after this often: a running attempt renews its ticket when that is
 * due, so at most this much later (crates/limits/src/places.rs counts on it).
 */
const BEAT_MS = 5_000;

/** Calls to the Gate that may come twice. */
const IDEMPOTENT = new Set([GateMethod.Admit, GateMethod.Poll, GateMethod.View]);
/** Pauses before one is made again, ms: together half of what the Gate may take. */
const AGAIN_MS = [20, 200, 800];

/** The Worker's fetch handler. */
export function carry(request, env, ctx) {
  const walk = new Walk(request, env, ctx);
  const answer = walk.run();
  // The client may leave: what was used is settled all the same.
  ctx.waitUntil((walk.over = answer.then(() => walk.rest)));
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
    this.listens = false;
    this.upstream = undefined;
    /** When the attempt's answer must be whole. */
    this.endsAt = Infinity;
    /** Its hold on its idempotency key, where it has one. */
    this.claimed = undefined;
    /** Resolves when all is done. */
    this.over = undefined;
    /** What is left to do after the answer's head went. */
    this.rest = undefined;
    // The one timer, see bounded().
    this.lateAt = Infinity;
    this.ringsAt = Infinity;
    this.late = undefined;
  }

  async run() {
    try {
      const { request } = this;
      ready(this.env, request);
      this.passage = new Passage(request.method, request.url, flatten(request.headers), Date.now());
      return await this.steps();
    } catch (error) {
      return this.failed(error);
    } finally {
      this.rest ??= this.finish();
    }
  }

  /** The way of a request. */
  async steps() {
    const { passage } = this;
    let body = null;
    let kept;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      if (this.gone) return new Response(null, { status: CLIENT_LEFT });
      switch (passage.step()) {
        case Step.Read:
          body = await this.read();
          break;
        case Step.Claim:
          kept = await claim(this);
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
        case Step.Answer: {
          const bytes = passage.passes_body() ? kept : passage.answer_body();
          if (this.claimed !== undefined) await settle(this, bytes);
          return this.answer(bytes);
        }
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
    this.holds(body.byteLength);
    if (debugPanic && request.headers.has("x-debug-panic")) debugPanic();
    if (debugPanic && request.headers.has("x-debug-restart")) await gateOf(this.env).restart().catch(() => {});
    for (let at = 0; at < body.byteLength; at += WINDOW_BYTES) {
      passage.read(new Uint8Array(body, at, Math.min(WINDOW_BYTES, body.byteLength - at)));
    }
    passage.parsed(Date.now());
    return body;
  }

  /** One call to the Gate; what waits to be told rides on it. */
  async ask() {
    const { passage } = this;
    if (passage.borrow(Date.now())) return;
    // What the provider said to the attempt before must be there with the next.
    this.tell();
    const method = passage.gate_method();
    const reports = method === GateMethod.Admit || method === GateMethod.Poll ? take() : [];
    let reply;
    try {
      const bare = passage.gate_message(Date.now());
      if (bare === "") return putBack(reports);
      const message = laden(bare, reports);
      const ask = () => this.bounded(GATE_MS + passage.gate_parks_ms(), call(gateOf(this.env), method, message));
      reply = await (IDEMPOTENT.has(method) ? again(ask) : ask());
    } catch (error) {
      putBack(reports);
      if (trapped(error)) throw error;
      passage.gate_failed(error?.overloaded === true);
      return;
    }
    if (reply === "") console.error(JSON.stringify({ event: "call_not_understood", reports: reports.length }));
    if (passage.replied(reply, Date.now())) this.ctx.waitUntil(this.renewAll());
    if (method !== GateMethod.Admit) return;
    const watching = watch(leases.lent_until(), giveBack, (reports) => this.sendReports(reports));
    if (watching !== undefined) this.ctx.waitUntil(watching);
  }

  /** One attempt upstream. Undefined: there is a next step. */
  async send(body) {
    const { passage } = this;
    const { signal } = (this.upstream = new AbortController());
    const outgoing = passage.begin_attempt(Date.now()).split("\0");
    const headers = fields(outgoing, 1);
    begins(this);
    this.endsAt = Date.now() + passage.total_ms();
    let response;
    try {
      response = await this.bounded(
        passage.first_byte_ms(),
        fetch(outgoing[0], { method: this.request.method, headers, body, redirect: "manual", signal }),
      );
    } catch (error) {
      ends(this);
      this.upstream.abort();
      if (trapped(error)) throw error;
      passage.unanswered(error === LATE ? "first byte" : String(error?.message ?? error), Date.now());
      return undefined;
    }
    const { status } = response;
    const read = passage.reads_all(status, Date.now()) ? flatten : few;
    passage.response(status, read(response.headers), Date.now());
    const step = passage.step();
    if (step === Step.Relay) {
      this.tell();
      this.holds(-this.held);
      const { answer, rest } = relay(this, response);
      this.rest = rest.catch(trapped).then(() => this.finish());
      return answer;
    }
    const before = this.held;
    let bytes;
    try {
      bytes =
        step === Step.Whole
          ? await this.bounded(Math.max(this.endsAt - Date.now(), 1), response.arrayBuffer())
          : await hold(this, response);
    } catch (error) {
      this.upstream.abort();
      this.holds(before - this.held);
      if (trapped(error)) throw error;
      passage.broke(error === TOO_LARGE ? Close.TooLarge : Close.Broken, Date.now());
      return undefined;
    } finally {
      ends(this);
    }
    if (step === Step.Hold) passage.held(Date.now());
    else passage.whole(new Uint8Array(bytes), Date.now());
    if (passage.step() !== Step.Answer) return void this.holds(before - this.held);
    if (passage.cacheable()) this.ctx.waitUntil(keep(this.env, passage, bytes));
    const whole = passage.passes_body() ? bytes : passage.answer_body();
    if (this.claimed !== undefined) await settle(this, whole);
    return this.answer(whole);
  }

  answer(body) {
    const { passage } = this;
    const status = passage.answer_status();
    if (status >= 400) console.log(passage.log_line());
    const none = status === 204 || status === 304 || this.request.method === "HEAD";
    return new Response(none ? null : body, { status, headers: fields(passage.answer_headers().split("\0"), 0) });
  }

  /** Renews the ticket of a running stream. */
  async renew() {
    try {
      const message = this.renewal();
      if (message !== "") await this.tellGate(message);
    } catch (error) {
      // The next one comes in half a minute; a ticket outlives several.
      trapped(error);
    }
  }

  /** The message that renews it; empty where there is nothing to renew. */
  renewal() {
    try {
      return this.passage?.renewal(Date.now()) ?? "";
    } catch (error) {
      trapped(error);
      return "";
    }
  }

  /** The Gate has restarted: it learns what runs here. */
  async renewAll() {
    try {
      await renewAll((text) => within(GATE_MS, gateOf(this.env).admit(text)));
    } catch (error) {
      // Each is renewed in half a minute all the same.
      trapped(error);
    }
  }

  /** A message that nobody waits for. */
  async tellGate(message) {
    const reply = await within(GATE_MS, gateOf(this.env).admit(message));
    if (heard(reply)) this.ctx.waitUntil(this.renewAll());
  }

  /** From now on hears of a client that goes, or has gone. */
  listen() {
    this.listens = true;
    const { signal } = this.request;
    if (signal.aborted) this.left();
    else signal.addEventListener("abort", () => this.left());
  }

  /** The client went: whoever may come back finds the answer, for others it ends here. */
  left() {
    if (this.claimed === undefined) return this.stop();
    this.ctx.waitUntil(within(LINGER_MS, this.over).catch(() => this.stop()));
  }

  /** Stops the upstream, frees the place in the queue. */
  stop() {
    this.gone = true;
    this.upstream?.abort();
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
    const texts = this.passage.take_reports();
    if (texts !== "") texts.split("\n").forEach(report);
  }

  /** Counts bytes that it holds, in or out. Whether there is room for all that is held here. */
  holds(change) {
    this.held += change;
    return heldBytes(change) <= HELD_BYTES_MAX;
  }

  /** Everything is decided. Returns what is left to do, if anything. */
  finish() {
    const { passage, claimed } = this;
    this.holds(-this.held);
    if (claimed !== undefined) {
      this.claimed = undefined;
      claimed.owner.letGo();
    }
    if (passage === undefined) return undefined;
    ends(this);
    try {
      this.tell();
      this.passage = undefined;
      passage.free();
    } catch (error) {
      trapped(error);
    }
    this.lateAt = Infinity;
    return this.flush();
  }

  flush() {
    return flushSoon(giveBack, (reports) => this.sendReports(reports));
  }

  async sendReports(reports) {
    try {
      await this.tellGate(laden('{"v":1}', reports));
      return true;
    } catch (error) {
      putBack(reports);
      trapped(error);
      return false;
    }
  }

  /**
   * `promise`, or LATE after `ms`. One timer serves all steps of a walk, one
   * after the other: it is armed for the first, and again only where it rings
   * too late or has rung. Setting and clearing one a step costs 5 % of a request.
   */
  bounded(ms, promise) {
    return new Promise((resolve, reject) => {
      const now = Date.now();
      this.lateAt = now + ms;
      this.late = reject;
      if (this.lateAt < this.ringsAt) this.arm(now);
      promise.then(
        (value) => {
          this.lateAt = Infinity;
          resolve(value);
        },
        (error) => {
          this.lateAt = Infinity;
          reject(error);
        },
      );
    });
  }

  arm(now) {
    const at = (this.ringsAt = Math.min(this.lateAt, now + (this.listens ? BEAT_MS : LISTENS_MS)));
    setTimeout(() => this.ring(at), at - now);
  }

  ring(at) {
    if (at !== this.ringsAt) return;
    this.ringsAt = Infinity;
    if (!this.listens) this.listen();
    if (this.lateAt === Infinity) return;
    const now = Date.now();
    if (now >= this.lateAt) return this.late(LATE);
    this.arm(now);
    if (runs(this) && this.passage?.renewal_due(now)) this.ctx.waitUntil(this.renew());
  }

  /** Something that must not happen: the client gets the provider's JSON all the same. */
  failed(error) {
    trapped(error);
    // Its own id went with the module's memory.
    const id = `tgr_${crypto.randomUUID().replaceAll("-", "")}`;
    complain("internal_error", error, { request_id: id });
    return new Response(JSON.stringify({ ...INTERNAL, request_id: id }), {
      status: 500,
      headers: {
        "content-type": "application/json",
        "request-id": id,
        "x-tollgate-request-id": id,
        "x-should-retry": "true",
        "access-control-allow-origin": "*",
      },
    });
  }
}

/** Reports what is left of leases that are over. */
function giveBack() {
  try {
    const events = leases.returns(Date.now());
    if (events !== "") report(events);
  } catch (error) {
    trapped(error);
  }
}

/** More steps than any request takes: a wait of an hour polled each 10 s, and refusals by the provider between. */
const ROUNDS_MAX = 2_000;
/** Nobody reads it; logs know this status. */
const CLIENT_LEFT = 499;

const INTERNAL = {
  type: "error",
  error: {
    type: "api_error",
    message: "Tollgate failed while it handled this request. Retry it; if it persists, see docs/errors.md#tollgate_internal.",
    details: { error_code: "tollgate_internal" },
  },
};

/** `promise`, or LATE after `ms`: for what runs beside a walk's steps. */
export async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(LATE), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The Gate's id, made once: it is a hash of the name. */
let gateId;

/** The object that decides. */
function gateOf(env) {
  const [name] = gatePlace();
  gateId ??= idOf(env.GATE, name);
  return near(env.GATE, gateId);
}

/** An object by name, near the Gate. */
export function objectOf(binding, name) {
  return near(binding, idOf(binding, name));
}

/** A stub belongs to one request, an id does not. */
function near(binding, id) {
  const [, locationHint] = gatePlace();
  return placed(binding).get(id, locationHint ? { locationHint } : undefined);
}

function idOf(binding, name) {
  return placed(binding).idFromName(name);
}

/** Where its objects may be. */
function placed(binding) {
  const [, , jurisdiction] = gatePlace();
  return jurisdiction ? binding.jurisdiction(jurisdiction) : binding;
}

function call(gate, method, message) {
  switch (method) {
    case GateMethod.Admit:
      return together(message, (text) => gate.admit(text));
    case GateMethod.Poll:
      return gate.poll(message);
    case GateMethod.View:
      return gate.view(message);
    case GateMethod.Job:
      return gate.job(message);
    default:
      return gate.admin(message);
  }
}

/**
 * Makes a call until it is answered: an object that was moved, updated or restarted, or a
 * connection that broke, fails what is under way and answers the next call. The runtime's
 * own retries leave out what had reached the object (Cloudflare: Durable Objects, error
 * handling and automatic retries, 2026-11).
 */
export async function again(call) {
  for (const pause of AGAIN_MS) {
    try {
      return await call();
    } catch (error) {
      if (error?.overloaded || !(error?.retryable || error?.durableObjectReset)) throw error;
      await scheduler.wait(pause);
    }
  }
  return call();
}

/** A message, and the reports that ride on it. */
function laden(message, reports) {
  return reports.length === 0 ? message : `${message.slice(0, -1)},"events":[${reports.join(",")}]}`;
}

/** Headers as one string: one crossing into wasm instead of one a header. */
function flatten(headers) {
  let flat = "";
  for (const [name, value] of headers) flat += name + "\0" + value + "\0";
  return flat;
}

/** The headers that every good response is read for. */
function few(headers) {
  let flat = "content-type\0" + (headers.get("content-type") ?? "") + "\0";
  const id = headers.get("request-id");
  if (id !== null) flat += "request-id\0" + id + "\0";
  return flat;
}

/** The way back, from `at`: a plain object, the cheapest form for `fetch` and `Response` (docs/bench.md). */
function fields(parts, at) {
  const headers = {};
  for (; at + 1 < parts.length; at += 2) {
    const [name, value] = [parts[at], parts[at + 1]];
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  return headers;
}
