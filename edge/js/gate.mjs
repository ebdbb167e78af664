// The Gate's shell: one Durable Object that holds every limit.
//
// All decisions are crates/limits; storage is edge/src/objects/gate.rs. This
// side keeps what must outlive a re-initialised wasm module: the parked polls
// and the one timer. Every method takes and returns text (JSON messages of
// crates/limits/src/message.rs).
import { DurableObject } from "cloudflare:workers";
import { GateCore, epoch, trapped } from "./core.mjs";
import { tellZones } from "./zones.mjs";

/** What is due later than this waits for the alarm: a timer keeps the object from sleeping. */
const ALARM_MS = 10_000;
/** To a poll that nobody decided: ask again. */
const QUEUED = JSON.stringify({ v: 1, decision: { queued: { wait_ms: 0 } } });

export class Gate extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.parked = new Map();
    this.alarmAt = 0;
    this.timerAt = 0;
  }

  /** Decides at once. One call a line, one reply a line (edge/js/together.mjs). */
  admit(text) {
    if (!text.includes("\n")) return this.step((core, now) => core.call(text, now));
    const replies = text.split("\n").map((line) => this.step((core, now) => core.call(line, now)));
    return replies.join("\n");
  }

  /** The same admit again, parked until it is decided or its slice is over. */
  poll(text) {
    const reply = this.step((core, now) => core.poll(text, now));
    if (reply !== undefined) return reply;
    const ticket = this.core.parked_ticket();
    return new Promise((resolve) => {
      // A client asks once at a time: an older call of its is over.
      this.unpark(ticket, QUEUED);
      const timer = setTimeout(() => {
        this.step((core, now) => core.release(ticket, now));
        this.unpark(ticket, QUEUED);
      }, this.core.parks_ms());
      this.parked.set(ticket, { resolve, timer });
    });
  }

  unpark(ticket, reply) {
    const waiter = this.parked.get(ticket);
    if (waiter === undefined) return;
    this.parked.delete(ticket);
    clearTimeout(waiter.timer);
    waiter.resolve(reply);
  }

  view(text) {
    return this.step((core, now) => core.view(text, now));
  }

  job(text) {
    return this.step((core, now) => core.job(text, now));
  }

  admin(text) {
    return this.step((core, now) => {
      const reply = core.admin(text, now);
      tellZones(core, now);
      return reply;
    });
  }

  /** For tests, by builds with the feature `debug-panic` alone: what was not stored is gone. */
  restart() {
    this.ctx.abort("restarted");
  }

  alarm() {
    this.alarmAt = 0;
    this.step((core, now) => {
      tellZones(core, now);
      core.wake(now);
    });
  }

  /** One step of the core, and its effects. */
  step(act) {
    const now = Date.now();
    try {
      if (this.core === undefined || this.coreEpoch !== epoch()) {
        this.core = new GateCore(this.ctx.storage.sql, this.env, now);
        this.coreEpoch = epoch();
        tellZones(this.core, now);
      }
      const reply = act(this.core, now);
      this.effects(now);
      return reply;
    } catch (error) {
      // What it holds may be ahead of what was stored: load it anew.
      this.core = undefined;
      trapped(error);
      throw error;
    }
  }

  effects(now) {
    const { core } = this;
    if (core.has_news()) this.tell(core);
    const wakeAt = core.wake_at();
    if (wakeAt < now + ALARM_MS) {
      if (this.timerAt === 0 || wakeAt < this.timerAt) this.arm(wakeAt, now);
    } else if (wakeAt < (this.alarmAt || Infinity)) {
      this.alarmAt = wakeAt;
      this.ctx.storage.setAlarm(wakeAt);
    }
  }

  tell(core) {
    for (let ticket; (ticket = core.answered_ticket()) !== undefined; ) {
      this.unpark(ticket, core.answered_reply());
    }
    for (let line; (line = core.log_line()) !== undefined; ) console.log(line);
  }

  /** The one timer that wakes waiters. */
  arm(at, now) {
    clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = setTimeout(() => {
      this.timerAt = 0;
      this.step((core, at) => core.wake(at));
    }, Math.max(at - now, 1));
  }
}
