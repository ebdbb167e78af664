// The I/O around one ledger: one caller's limits, kept fresh and shared among tabs.

import * as ledger from "./ledger.js";
import { KeyRefused } from "./poll.js";
import { UNKNOWN } from "./reasons.js";
import { ALONE, join } from "./tabs.js";

/**
 * @typedef {import("./ledger.js").Ask} Ask
 * @typedef {import("./ledger.js").Decision} Decision
 * @typedef {import("./ledger.js").Snapshot} Snapshot
 * @typedef {import("./ledger.js").Rules} Rules
 */

export class Book {
  /** Whether the last poll was refused for its key. */
  #keyRefused = false;

  /**
   * @param {object} options
   * @param {Rules} options.rules
   * @param {() => number} options.clock
   * @param {(() => Promise<Snapshot>) | null} options.poll null: limits given in code
   * @param {Snapshot | null} options.snapshot
   * @param {string | null} options.shared the tabs' name; null: this tab is alone
   * @param {(snapshot: Snapshot) => void} options.onSnapshot
   */
  constructor({ rules, clock, poll, snapshot, shared, onSnapshot }) {
    this.rules = rules;
    this.clock = clock;
    this.poll = poll;
    this.onSnapshot = onSnapshot;
    this.state = ledger.emptyLedger();
    this.state.snapshot = snapshot;
    const member = {
      decide: (/** @type {{id: string, ask: Ask}} */ { id, ask }) => this.#decideHere(id, ask),
      hear: (/** @type {any} */ news) => this.#hear(news),
      all: () => this.state,
    };
    this.tabs = shared === null ? ALONE : join(shared, member);
  }

  /**
   * Decides, and takes its place where it may go.
   *
   * @param {string} id
   * @param {Ask} ask
   * @returns {Promise<Decision>}
   */
  async admit(id, ask) {
    await this.#beReady();
    const first = await this.#decide(id, ask);
    if (first.kind === "refuse" && first.refusal.code === UNKNOWN && this.#keyRefused) {
      // Not kept from the gate's own words, e.g. that a token has expired.
      this.#take(id, ask);
      return { kind: "send", unchecked: this.state.snapshot ? "stale" : "no_snapshot" };
    }
    if (first.kind !== "refresh") return first;
    // Never refused by old news.
    if (!(await this.refresh())) {
      if (this.rules.whenUnknown === "closed" && !this.#keyRefused) return { kind: "refuse", refusal: first.refusal };
      this.#take(id, ask);
      return { kind: "send", unchecked: "stale" };
    }
    const second = await this.#decide(id, ask);
    return second.kind === "refresh" ? { kind: "refuse", refusal: second.refusal } : second;
  }

  /** @param {string} id @param {import("./ledger.js").Amounts} used */
  settle(id, used) {
    ledger.settle(this.state, id, used);
    this.tabs.tell({ settled: { id, used } });
  }

  /** It was used as it was held: nothing else was learned. @param {string} id */
  keep(id) {
    const entry = this.state.entries.find((entry) => entry.id === id);
    if (entry) this.settle(id, entry.held);
  }

  /** @param {string} id */
  release(id) {
    ledger.release(this.state, id);
    this.tabs.tell({ released: id });
  }

  /** @param {import("./ledger.js").Limit[]} limits */
  learnLimits(limits) {
    if (!limits.length) return;
    for (const limit of limits) ledger.learnLimit(this.state, limit);
    this.tabs.tell({ limits });
  }

  /** @param {import("./ledger.js").Bar} bar */
  learnBar(bar) {
    ledger.learnBar(this.state, bar);
    this.tabs.tell({ bar });
  }

  /**
   * A newer snapshot, this tab's or another's that asked at the same time.
   *
   * @returns {Promise<boolean>} whether there is one
   */
  async refresh() {
    const { poll } = this;
    if (!poll) return true;
    const before = this.clock();
    return this.tabs.oneAtATime(async () => {
      if ((this.state.snapshot?.heardMs ?? -Infinity) > before) return true;
      try {
        this.#learn(await poll());
        this.#keyRefused = false;
        this.tabs.tell({ snapshot: this.state.snapshot });
        return true;
      } catch (error) {
        this.#keyRefused = error instanceof KeyRefused;
        // `whenUnknown` says what follows, once the last one is stale.
        return false;
      }
    });
  }

  close() {
    this.tabs.close();
  }

  async #beReady() {
    await this.tabs.joined;
    const { snapshot } = this.state;
    if (this.rules.fixed) return;
    const age = snapshot ? this.clock() - snapshot.heardMs : Infinity;
    if (!snapshot || age > this.rules.staleMs) await this.refresh();
    else if (age > snapshot.nextPollMs) void this.refresh();
  }

  /** @param {string} id @param {Ask} ask @returns {Promise<Decision>} */
  async #decide(id, ask) {
    const decision = await this.tabs.ask({ id, ask });
    // The decider told all tabs of what it took, this one included.
    return decision ?? this.#decideHere(id, ask);
  }

  /** @param {string} id @param {Ask} ask @returns {Decision} */
  #decideHere(id, ask) {
    const now = this.clock();
    if (this.rules.fixed) ledger.fold(this.state, this.rules, now);
    const decision = ledger.decide(this.state, ask, this.rules, now);
    if (decision.kind === "send") this.#take(id, ask);
    return decision;
  }

  /** @param {string} id @param {Ask} ask */
  #take(id, ask) {
    ledger.take(this.state, id, ask, this.clock(), this.rules);
    this.tabs.tell({ took: this.state.entries.find((entry) => entry.id === id) });
  }

  /** @param {Snapshot} snapshot */
  #learn(snapshot) {
    if (ledger.learn(this.state, snapshot, this.clock()) && this.state.snapshot) this.onSnapshot(this.state.snapshot);
  }

  /** @param {any} news of another tab */
  #hear(news) {
    if (news.took) ledger.add(this.state, news.took, this.clock());
    if (news.settled) ledger.settle(this.state, news.settled.id, news.settled.used);
    if (news.released) ledger.release(this.state, news.released);
    if (news.bar) ledger.learnBar(this.state, news.bar);
    for (const limit of news.limits ?? []) ledger.learnLimit(this.state, limit);
    if (news.aheadMs !== undefined) this.state.aheadMs = Math.min(this.state.aheadMs, news.aheadMs);
    if (news.snapshot && !this.rules.fixed) this.#learn(news.snapshot);
    if (news.entries) {
      // All that the decider knows, for a tab that has just joined. Its levels
      // first: entries are older than this tab's own, and would count for nothing.
      if (this.rules.fixed) this.state.snapshot = news.snapshot;
      this.state.bars = news.bars;
      this.state.learned = news.learned;
      for (const entry of news.entries) ledger.add(this.state, entry, this.clock());
    }
  }
}
