// The guard's decision: what is left, by the last snapshot and what was sent
// since, and whether a request must fail. Pure: every time comes in as an
// argument, nothing is fetched, nothing is kept elsewhere.
//
// It refuses only what is certain to fail. A gate queues what does not fit now,
// so a limit refuses only where even the wait for its refill is longer than the
// request's patience; what other callers hold is not known here, so a budget
// refuses only once nothing of it is left; token counts are taken at their lower
// bound. Limits given in code are the whole truth and are kept to the estimate.

import { corrected, undated } from "../calibration.js";
import { limitsUnknown, reached, spent, tooLarge, tooLong } from "./reasons.js";

/**
 * One limit, at a time.
 *
 * @typedef {object} Limit
 * @property {string} scope `tenant`, `user`, `deployment`, `account`, or `code`: given to `guard`
 * @property {Kind} kind
 * @property {number} level what was left
 * @property {number} capacity the most it holds
 * @property {number} perMinute refill; 0: none
 * @property {number} atMs when it was so: no request sent later is in it
 * @property {number} endsMs when it is full again, or its window ends
 * @property {true} [heldUnknown] of a budget: the level is less what open requests hold, which is not told
 * @property {string} [class] of models, where it is for one alone
 *
 * @typedef {"requests" | "input_tokens" | "output_tokens" | "concurrent" | BudgetKind} Kind
 * @typedef {`${"requests" | "tokens" | "microusd"}_${"day" | "week" | "month" | "life"}`} BudgetKind
 *
 * @typedef {object} ModelLimits
 * @property {string} class
 * @property {number} maxInputTokens
 * @property {{requests: number, inputTokens: number, outputTokens: number} | null} available
 * @property {import("../calibration.js").Calibration} [calibration] how its estimates are corrected
 * @property {{requests: number | null, inputTokens: number | null}} account the same, where the account leaves less than the caller's own limits
 *
 * @typedef {object} Snapshot what `/v1/limits` told
 * @property {number} gateMs when the gate looked at its levels, by its own clock
 * @property {number} takenMs the same by ours, or later: no request sent after it is in it
 * @property {number} heardMs when it came
 * @property {number} nextPollMs the span until it is worth asking again
 * @property {Record<string, ModelLimits>} models
 * @property {Limit[]} limits
 *
 * @typedef {object} Ask a request that wants to go
 * @property {string} model
 * @property {string} class
 * @property {{lower: number, estimate: number, upper: number} | null} input as estimated, before it is corrected; null: not known
 * @property {readonly number[]} [kinds] the part of the estimate that is corrected, by kinds
 * @property {number} maxTokens
 * @property {number} microusdMax
 * @property {number | null} window the model's context window, where known
 * @property {number} patienceMs how long the gate may keep it waiting
 *
 * @typedef {Ask & {prior: Ask["input"]}} Weighed one whose input was corrected, and what it was before
 *
 * @typedef {object} Amounts
 * @property {number} input
 * @property {number} output
 * @property {number} tokens of a budget
 * @property {number} microusd
 *
 * @typedef {object} Entry a request that went
 * @property {string} id
 * @property {string} class
 * @property {number} sentMs
 * @property {boolean} open
 * @property {Amounts} held what it may use; once settled, what it used
 *
 * @typedef {object} Bar a time before which a refused request need not come back
 * @property {string} model
 * @property {number} heardMs when it was told
 * @property {number} untilMs
 * @property {number} input
 * @property {number} maxTokens
 * @property {number} patienceMs
 * @property {Said} said the refusal, to be said again
 *
 * @typedef {object} Said
 * @property {number} status
 * @property {string} type
 * @property {string} code
 * @property {string} message
 *
 * @typedef {Said & {retryAfterMs: number | null, limit: {scope: string, kind: Kind, level: number, capacity: number} | null}} Refusal
 *
 * @typedef {{kind: "send", unchecked: Unchecked | null} | {kind: "refuse", refusal: Refusal} | {kind: "refresh", refusal: Refusal}} Decision
 * `refresh`: it would be refused, but by a snapshot too old for that.
 *
 * @typedef {"no_snapshot" | "stale"} Unchecked
 *
 * @typedef {object} Rules
 * @property {"open" | "closed"} whenUnknown
 * @property {number} staleMs older than this, a snapshot decides nothing
 * @property {boolean} fixed whether the limits were given in code: no gate, no queue
 * @property {Record<string, import("../calibration.js").Calibration>} [calibrations] of models, for limits given in code
 *
 * @typedef {object} Ledger
 * @property {Snapshot | null} snapshot
 * @property {number} aheadMs how far our clock is before the gate's, at most: the
 *   least of all answers, as each adds its time on the way and its age
 * @property {Limit[]} learned from response headers
 * @property {Entry[]} entries oldest first
 * @property {Bar[]} bars
 */

/** Entries remembered. A page that sends more in a poll's time is not a page. */
const ENTRIES_MAX = 10_000;
/** Refusals remembered, the newest. */
const BARS_MAX = 64;
/**
 * A refusal is believed so long; then the gate is asked again, whose limits may be
 * others by now, though the time that it told was hours away.
 */
const BAR_MS_MAX = 30_000;
/** No request runs longer (the SDKs' own time-out): its tab was closed. */
const OPEN_MS_MAX = 600_000;
/** `available` is told without its refill: it holds for the gate's own second. */
const AVAILABLE_MS_MAX = 1_000;
/** Timers come this much early, and a retry at its time is to pass. */
const EARLY_MS = 50;
/** A level that a header told is over by then: a bucket is full after a minute. */
const LEARNED_MS_MAX = 60_000;
/** When to look again where nothing tells a time. */
const SOON_MS = 1_000;

/** @returns {Ledger} */
export function emptyLedger() {
  return { snapshot: null, aheadMs: Infinity, learned: [], entries: [], bars: [] };
}

/**
 * Whether the request may go now. Takes nothing.
 *
 * @param {Ledger} ledger
 * @param {Ask} ask
 * @param {Rules} rules
 * @param {number} now
 * @returns {Decision}
 */
export function decide(ledger, ask, rules, now) {
  const { snapshot } = ledger;
  const window = own(snapshot?.models, ask.model)?.maxInputTokens ?? ask.window;
  if (ask.input && window !== null && ask.input.lower > window) return refuse(tooLong(ask, ask.input.lower, window));
  const bar = ledger.bars.find((bar) => bars(bar, ask, now));
  if (bar) return refuse({ ...bar.said, retryAfterMs: bar.untilMs - now, limit: null });
  if (!snapshot) return unknown("no_snapshot", rules);
  const age = now - snapshot.heardMs;
  if (!rules.fixed && age > rules.staleMs) return unknown("stale", rules);
  const refusal = refusalOf(ledger, snapshot, { ...ask, input: inputOf(snapshot, ask, rules), prior: ask.input }, rules, now);
  if (!refusal) return { kind: "send", unchecked: null };
  const settled = rules.fixed || age <= AVAILABLE_MS_MAX;
  return settled ? refuse(refusal) : { kind: "refresh", refusal };
}

/**
 * What is left of a limit. For a gate's budget: at the most that can be left, as
 * requests under way may give back what they hold.
 *
 * @param {Ledger} ledger
 * @param {Limit} limit
 * @param {Rules} rules
 * @param {number} now
 */
export function levelOf(ledger, limit, rules, now) {
  const { kind, capacity, perMinute, atMs, endsMs } = limit;
  const budget = budgetOf(kind);
  if (budget && now >= endsMs && atMs < endsMs) return capacity;
  let { level } = limit;
  let at = atMs;
  for (const entry of ledger.entries) {
    if (limit.class && entry.class !== limit.class) continue;
    const taken = amountOf(entry, kind, rules);
    if (entry.sentMs <= atMs) {
      // Counted already, as used or held; a header does not tell what may come back.
      if (entry.open && limit.heldUnknown && (budget === "tokens budget" || budget === "microusd budget")) level += entry.held[budget === "tokens budget" ? "tokens" : "microusd"];
      continue;
    }
    level = refilled(level, entry.sentMs - at, perMinute, capacity) - taken;
    at = Math.max(at, entry.sentMs);
  }
  return refilled(level, now - at, perMinute, capacity);
}

/**
 * A request's input as limits are kept by it: corrected by what the gate learned, for
 * limits given in code by what the app gave. By the wide bounds in any case: what a gate
 * lets pass must not be refused here.
 *
 * @param {Snapshot | null} snapshot
 * @param {Ask} ask
 * @param {Partial<Rules>} rules
 */
function inputOf(snapshot, { model, input, kinds }, { fixed, calibrations }) {
  const id = undated(model);
  const calibration = fixed ? own(calibrations, id) : own(snapshot?.models, id)?.calibration;
  return input && kinds ? corrected(input, kinds, calibration, false) : input;
}

/**
 * Notes that a request goes.
 *
 * @param {Ledger} ledger
 * @param {string} id
 * @param {Ask} ask
 * @param {number} now
 * @param {Partial<Rules>} [rules]
 */
export function take(ledger, id, ask, now, rules = {}) {
  const input = inputOf(ledger.snapshot, ask, rules)?.estimate ?? 0;
  const held = { input, output: 0, tokens: input + ask.maxTokens, microusd: ask.microusdMax };
  // Later than all that was told before it, though the clock shows the same millisecond.
  const toldMs = Math.max(ledger.snapshot?.takenMs ?? 0, ...limitsOf(ledger).map((limit) => limit.atMs));
  add(ledger, { id, class: ask.class, sentMs: Math.max(now, toldMs + 1), open: true, held }, now);
}

/**
 * Adds an entry, of this tab or another.
 *
 * @param {Ledger} ledger
 * @param {Entry} entry
 * @param {number} now
 */
export function add(ledger, entry, now) {
  if (ledger.entries.some((known) => known.id === entry.id)) return;
  ledger.entries.push(entry);
  ledger.entries.sort((a, b) => a.sentMs - b.sentMs);
  prune(ledger, now);
}

/**
 * Puts what was used in the place of what was held. Idempotent.
 *
 * @param {Ledger} ledger
 * @param {string} id
 * @param {Amounts} used
 */
export function settle(ledger, id, used) {
  const entry = ledger.entries.find((entry) => entry.id === id && entry.open);
  if (entry) Object.assign(entry, { open: false, held: used });
}

/**
 * It was not sent, or used nothing.
 *
 * @param {Ledger} ledger
 * @param {string} id
 */
export function release(ledger, id) {
  ledger.entries = ledger.entries.filter((entry) => entry.id !== id);
}

/**
 * A snapshot, where it is newer. The gate may tell what it knew a second before,
 * so what counts is when it looked, not when its answer came.
 *
 * @param {Ledger} ledger
 * @param {Snapshot} snapshot
 * @param {number} now
 * @returns {boolean} whether it was
 */
export function learn(ledger, snapshot, now) {
  if (ledger.snapshot && snapshot.heardMs < ledger.snapshot.heardMs) return false;
  ledger.aheadMs = Math.min(ledger.aheadMs, snapshot.heardMs - snapshot.gateMs);
  const takenMs = Math.min(snapshot.heardMs, snapshot.gateMs + ledger.aheadMs);
  const limits = snapshot.limits.map((limit) => ({ ...limit, atMs: takenMs }));
  ledger.snapshot = { ...snapshot, takenMs, limits };
  prune(ledger, now);
  return true;
}

/**
 * One limit's level, as a response told it.
 *
 * @param {Ledger} ledger
 * @param {Limit} told
 */
export function learnLimit(ledger, told) {
  const same = (/** @type {Limit} */ limit) => limit.scope === told.scope && limit.kind === told.kind && limit.class === told.class;
  const list = ledger.snapshot?.limits.some(same) ? ledger.snapshot.limits : ledger.learned;
  const at = list.findIndex(same);
  // Its refill is the snapshot's to say where a header does not.
  const known = list[at];
  const limit = { ...told, perMinute: told.perMinute || known?.perMinute || 0 };
  if (at < 0) list.push(limit);
  else if (known.atMs <= told.atMs) list[at] = limit;
}

/**
 * A refusal that said when to come back.
 *
 * @param {Ledger} ledger
 * @param {Bar} bar
 */
export function learnBar(ledger, bar) {
  ledger.bars = [bar, ...ledger.bars].slice(0, BARS_MAX);
}

/**
 * @param {Ledger} ledger
 * @param {Snapshot} snapshot
 * @param {Weighed} ask
 * @param {Rules} rules
 * @param {number} now
 * @returns {Refusal | null} of the limit that opens last
 */
function refusalOf(ledger, snapshot, ask, rules, now) {
  let worst = /** @type {Refusal | null} */ (null);
  for (const limit of limitsOf(ledger)) {
    if (limit.class && limit.class !== ask.class) continue;
    const refusal = limitRefuses(ledger, limit, ask, rules, now);
    if (refusal && (!worst || waitOf(refusal) > waitOf(worst))) worst = refusal;
  }
  return worst ?? unavailable(snapshot, ask, rules, now);
}

/**
 * @param {Ledger} ledger
 * @param {Limit} limit
 * @param {Weighed} ask
 * @param {Rules} rules
 * @param {number} now
 * @returns {Refusal | null}
 */
function limitRefuses(ledger, limit, ask, rules, now) {
  const need = needOf(limit.kind, ask, rules);
  const level = levelOf(ledger, limit, rules, now);
  const whole = budgetOf(limit.kind) ? wholeNeedOf(limit.kind, ask, rules) : need;
  if (limit.kind !== "output_tokens" && whole > limit.capacity && limit.capacity > 0) return tooLarge(limit, whole);
  if (level >= need) return null;
  if (budgetOf(limit.kind)) return spent(limit, level, Math.max(0, limit.endsMs - now));
  const wait = limit.perMinute > 0 ? Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(((need - level) * 60_000) / limit.perMinute)) : SOON_MS;
  // What refills no one knows when (places, a bucket without a rate) fails at
  // once only for those who do not wait.
  const patience = rules.fixed ? 0 : limit.perMinute > 0 ? ask.patienceMs : ask.patienceMs > 0 ? Infinity : 0;
  return wait > patience ? reached(limit, level, wait) : null;
}

/**
 * What the gate says is available over all limits, where that is less than the
 * caller's own leave: the account's. It says nothing of the refill, so it refuses
 * those alone who do not wait, and what this page sent since is not taken off.
 *
 * @param {Snapshot} snapshot
 * @param {Ask} ask
 * @param {Rules} rules
 * @param {number} now
 * @returns {Refusal | null}
 */
function unavailable(snapshot, ask, rules, now) {
  const account = own(snapshot.models, ask.model)?.account;
  if (!account || rules.fixed || ask.patienceMs > 0) return null;
  /** @type {Kind | null} */
  let kind = null;
  if (account.requests !== null && account.requests < 1) kind = "requests";
  else if (account.inputTokens !== null && account.inputTokens < (ask.input?.lower ?? 0)) kind = "input_tokens";
  if (!kind) return null;
  return reached({ scope: "account", kind, level: 0, capacity: 0, perMinute: 0, atMs: now, endsMs: now }, 0, SOON_MS);
}

/**
 * The least that the request surely takes of a limit.
 *
 * @param {Kind} kind
 * @param {Weighed} ask
 * @param {Rules} rules
 */
function needOf(kind, ask, rules) {
  switch (budgetOf(kind) ?? kind) {
    case "input_tokens":
      return rules.fixed ? (ask.input?.estimate ?? 0) : (ask.input?.lower ?? 0);
    case "tokens budget":
    case "microusd budget":
      return rules.fixed ? wholeNeedOf(kind, ask, rules) : 1;
    default:
      return 1;
  }
}

/** @param {Ledger} ledger */
function limitsOf({ snapshot, learned }) {
  return snapshot ? [...snapshot.limits, ...learned] : learned;
}

/**
 * What the whole of a budget must be enough for: the gate's own arithmetic, which takes
 * nothing there from what others taught it.
 *
 * @param {Kind} kind
 * @param {Weighed} ask
 * @param {Rules} rules
 */
function wholeNeedOf(kind, ask, rules) {
  const input = rules.fixed ? ask.input : ask.prior;
  switch (budgetOf(kind)) {
    case "tokens budget":
      return (input?.estimate ?? 0) + ask.maxTokens;
    case "microusd budget":
      return ask.microusdMax;
    default:
      return 1;
  }
}

/**
 * @param {Entry} entry
 * @param {Kind} kind
 * @param {Rules} rules
 */
function amountOf(entry, kind, rules) {
  switch (budgetOf(kind) ?? kind) {
    case "concurrent":
      return entry.open ? 1 : 0;
    case "input_tokens":
      return entry.held.input;
    case "output_tokens":
      return entry.held.output;
    case "tokens budget":
      return entry.open && !rules.fixed ? 0 : entry.held.tokens;
    case "microusd budget":
      return entry.open && !rules.fixed ? 0 : entry.held.microusd;
    default:
      return 1;
  }
}

/**
 * @param {number} level
 * @param {number} ms
 * @param {number} perMinute
 * @param {number} capacity
 */
function refilled(level, ms, perMinute, capacity) {
  if (perMinute <= 0 || ms <= 0) return level;
  return Math.max(level, Math.min(capacity, level + (ms * perMinute) / 60_000));
}

/**
 * @param {Bar} bar
 * @param {Ask} ask
 * @param {number} now
 */
function bars(bar, ask, now) {
  return (
    bar.model === ask.model &&
    bar.untilMs - now > EARLY_MS &&
    now - bar.heardMs <= BAR_MS_MAX &&
    (ask.input?.estimate ?? 0) >= bar.input &&
    ask.maxTokens >= bar.maxTokens &&
    // Who waits longer than the bar may be queued and get through.
    ask.patienceMs <= Math.max(bar.patienceMs, bar.untilMs - now)
  );
}

/**
 * @param {Ledger} ledger
 * @param {number} now
 */
function prune(ledger, now) {
  ledger.learned = ledger.learned.filter((limit) => now - limit.atMs <= LEARNED_MS_MAX);
  // What is older than every level says nothing any more. Budgets are the
  // exception: what an open request holds of them may come back.
  const oldest = Math.min(ledger.snapshot?.takenMs ?? -Infinity, ...limitsOf(ledger).map((limit) => limit.atMs));
  const kept = ledger.entries.filter((entry) => (entry.open ? now - entry.sentMs <= OPEN_MS_MAX : entry.sentMs > oldest));
  ledger.entries = kept.slice(-ENTRIES_MAX);
  ledger.bars = ledger.bars.filter((bar) => bar.untilMs > now && now - bar.heardMs <= BAR_MS_MAX);
}

/**
 * For limits given in code, which no snapshot ever renews: takes what is settled
 * into the levels, so that entries do not pile up.
 *
 * @param {Ledger} ledger
 * @param {Rules} rules
 * @param {number} now
 */
export function fold(ledger, rules, now) {
  const { snapshot } = ledger;
  if (!snapshot) return;
  const firstOpen = ledger.entries.findIndex((entry) => entry.open && now - entry.sentMs <= OPEN_MS_MAX);
  const done = firstOpen < 0 ? ledger.entries : ledger.entries.slice(0, firstOpen);
  const last = done.at(-1)?.sentMs;
  if (last !== undefined) {
    const before = { ...ledger, entries: done };
    snapshot.limits = snapshot.limits.map((limit) => ({ ...limit, level: levelOf(before, limit, rules, last), atMs: last }));
    ledger.entries = ledger.entries.slice(done.length);
  }
  for (const limit of snapshot.limits) {
    if (!budgetOf(limit.kind) || now < limit.endsMs) continue;
    Object.assign(limit, { level: limit.capacity, atMs: limit.endsMs, endsMs: nextDay(now) });
  }
  prune(ledger, now);
}

/** The kinds of budgets; `life`: a visitor token's, which never begins anew. */
export const BUDGETS = /** @type {BudgetKind[]} */ (["day", "week", "month", "life"].flatMap((window) => ["requests", "tokens", "microusd"].map((of) => `${of}_${window}`)));

/**
 * What a budget counts, whatever its window; null: no budget.
 *
 * @param {string} kind
 * @returns {"requests budget" | "tokens budget" | "microusd budget" | null}
 */
export function budgetOf(kind) {
  const [, of] = /^(requests|tokens|microusd)_(?:day|week|month|life)$/.exec(kind) ?? [];
  return of ? /** @type {"tokens budget"} */ (`${of} budget`) : null;
}

/**
 * A budget is taken to begin anew at 00:00 UTC at the latest; the next answer of the
 * gate knows better.
 *
 * @param {number} now
 */
export function nextDay(now) {
  return (Math.floor(now / 86_400_000) + 1) * 86_400_000;
}

/**
 * A model's entry. Its name is the caller's own word, and may be one that every object
 * knows, as `constructor`.
 *
 * @template T
 * @param {Record<string, T> | undefined} entries
 * @param {string} model
 * @returns {T | undefined}
 */
const own = (entries, model) => (entries && Object.hasOwn(entries, model) ? entries[model] : undefined);

/** @param {Refusal} refusal */
const refuse = (refusal) => /** @type {Decision} */ ({ kind: "refuse", refusal });

/** @param {Refusal} refusal */
const waitOf = (refusal) => refusal.retryAfterMs ?? Infinity;

/**
 * @param {Unchecked} reason
 * @param {Rules} rules
 * @returns {Decision}
 */
function unknown(reason, rules) {
  if (rules.whenUnknown === "open") return { kind: "send", unchecked: reason };
  return refuse(limitsUnknown());
}
