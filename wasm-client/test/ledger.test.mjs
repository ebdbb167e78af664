// The guard's decision as tables: what was told, what was sent since, what asks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { add, decide, emptyLedger, fold, learn, learnBar, learnLimit, levelOf, release, settle, take } from "../js/guard/ledger.js";
import { fixedLimits, limitsOfHeaders, parseLimits, retryAfterMs } from "../js/guard/limits.js";

/** @typedef {import("../js/guard/ledger.js").Ask} Ask */

const NOW = 1_795_478_400_000;
const MODEL = "claude-sonnet-5-5";
/** @type {import("../js/guard/ledger.js").Rules} */
const GATE = { whenUnknown: "open", staleMs: 30_000, fixed: false };
const CODE = { ...GATE, fixed: true };

/** @param {Partial<Ask>} [more] @returns {Ask} */
const ask = (more) => ({
  model: MODEL,
  class: MODEL,
  input: { lower: 40, estimate: 100, upper: 400 },
  maxTokens: 1000,
  microusdMax: 20_000,
  window: 1_000_000,
  patienceMs: 120_000,
  ...more,
});

/** A gate's answer with these limits. @param {object[]} limits */
const told = (limits, available = { requests: 100, input_tokens: 1e6, output_tokens: 1e6 }) => ({
  version: 1,
  at_ms: NOW,
  models: { [MODEL]: { class: "sonnet-5-5", max_input_tokens: 200_000, available } },
  limits,
  queue: { critical_ms: 0, normal_ms: 0, background_ms: 0 },
  next_poll_ms: 5_000,
});

/** One limit. */
const limit = (/** @type {string} */ kind, /** @type {number} */ level, more = {}) => ({ scope: "tenant", kind, level, capacity: 60, per_s: 0, per_minute: 0, resets_ms: 3_600_000, ...more });

/** @param {object[]} limits @param {object | null} [available] */
function known(limits, available) {
  const ledger = emptyLedger();
  learn(ledger, parseLimits(told(limits, /** @type {any} */ (available)), NOW, NOW), NOW);
  return ledger;
}

/** `send`, or status, code and seconds until a retry. */
function verdict(/** @type {import("../js/guard/ledger.js").Decision} */ decision) {
  if (decision.kind === "send") return decision.unchecked ?? "send";
  const { status, code, retryAfterMs } = decision.refusal;
  const after = retryAfterMs === null ? "" : ` ${Math.ceil(retryAfterMs / 1000)}s`;
  return `${decision.kind === "refresh" ? "refresh " : ""}${status} ${code.replace("tollgate_", "")}${after}`;
}

const DAY = { capacity: 10_000 };

/** @type {[string, object[], Partial<Ask>, string][]} */
const BY_A_GATE = [
  ["nothing limits", [], {}, "send"],
  ["there is room", [limit("requests", 1, { per_minute: 60 })], {}, "send"],
  ["the refill comes within its patience", [limit("requests", -59, { per_minute: 60 })], {}, "send"],
  ["the refill comes after its patience", [limit("requests", -200, { per_minute: 60 })], { patienceMs: 30_000 }, "429 tenant_limit 200s"],
  ["it does not wait at all", [limit("requests", -2, { per_minute: 60 })], { patienceMs: 0 }, "429 tenant_limit 2s"],
  ["the user's own limit", [limit("requests", -2, { per_minute: 60, scope: "user" })], { patienceMs: 0 }, "429 user_limit 2s"],
  ["of two the one that opens last", [limit("requests", -1, { per_minute: 60 }), limit("requests", -30, { per_minute: 60, scope: "user" })], { patienceMs: 0 }, "429 user_limit 30s"],
  ["input for its lower bound, though not for its estimate", [limit("input_tokens", 50, { capacity: 60_000, per_minute: 60 })], { patienceMs: 0 }, "send"],
  ["no input even for its lower bound", [limit("input_tokens", 10, { capacity: 60_000, per_minute: 60 })], { patienceMs: 0 }, "429 tenant_limit 29s"],
  ["larger than the bucket by its lower bound", [limit("input_tokens", 30, { capacity: 30, per_minute: 30 })], {}, "400 larger_than_limit"],
  ["perhaps larger than the bucket", [limit("input_tokens", 50, { capacity: 50, per_minute: 50 })], {}, "send"],
  ["its output is more than the bucket: charged as it comes", [limit("output_tokens", 10, { per_minute: 60 })], {}, "send"],
  ["no place, and it waits", [limit("concurrent", 0, { capacity: 4 })], {}, "send"],
  ["no place, and it does not wait", [limit("concurrent", 0, { capacity: 4 })], { patienceMs: 0 }, "429 tenant_limit 1s"],
  ["a budget with something left: others may give back", [limit("tokens_day", 10, DAY)], {}, "send"],
  ["a budget with nothing left", [limit("tokens_day", 0, DAY)], {}, "429 budget_spent 3600s"],
  ["a visitor token that is used up: waiting does not help", [limit("tokens_life", 0, { ...DAY, scope: "visitor" }), limit("tokens_day", 0, DAY)], {}, "429 budget_spent"],
  ["a request larger than a visitor token", [limit("microusd_life", 19_999, { capacity: 19_999, scope: "visitor" })], {}, "400 larger_than_limit"],
  ["money with nothing left", [limit("microusd_day", -5, { capacity: 1e6 })], {}, "429 budget_spent 3600s"],
  ["the deployment's budget", [limit("requests_day", 0, { scope: "deployment" })], {}, "429 deployment_budget_spent 3600s"],
  ["more than a whole day's budget", [limit("tokens_day", 1_000, { capacity: 1_099 })], {}, "400 larger_than_limit"],
  ["just a whole day's budget", [limit("tokens_day", 1_100, { capacity: 1_100 })], {}, "send"],
  ["more money than a whole day's budget", [limit("microusd_day", 19_999, { capacity: 19_999 })], {}, "400 larger_than_limit"],
  ["longer than the window for sure", [], { input: { lower: 200_001, estimate: 400_000, upper: 2e6 } }, "413 context_window"],
  ["perhaps longer than the window", [], { input: { lower: 200_000, estimate: 400_000, upper: 2e6 } }, "send"],
  ["not measured", [limit("input_tokens", 0, { capacity: 60_000, per_minute: 60 })], { input: null }, "send"],
  ["a kind that this version does not know", [limit("jobs", 0)], { patienceMs: 0 }, "send"],
];
for (const [name, limits, more, expected] of BY_A_GATE)
  test(`by a gate's limits: ${name}: ${expected}`, () => {
    assert.equal(verdict(decide(known(limits), ask(more), GATE, NOW)), expected);
  });

test("what is available over all limits refuses those who do not wait, while it is fresh", () => {
  const none = { requests: 0, input_tokens: 1e6, output_tokens: 1e6 };
  const ledger = known([], none);
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW)), "send");
  assert.equal(verdict(decide(ledger, ask({ patienceMs: 0 }), GATE, NOW)), "429 provider_limit 1s");
  assert.equal(verdict(decide(ledger, ask({ patienceMs: 0 }), GATE, NOW + 1_001)), "refresh 429 provider_limit 1s");
  assert.equal(verdict(decide(known([], null), ask({ patienceMs: 0 }), GATE, NOW)), "send");
  // None, because the caller's own has none: that one knows its refill, and it is due.
  const own = known([limit("requests", 0, { per_minute: 6_000 })], none);
  assert.equal(verdict(decide(own, ask({ patienceMs: 0 }), GATE, NOW + 1)), "send");
});

test("what this page sent counts at once; what a snapshot has seen does not count twice", () => {
  const ledger = known([limit("requests", 2)], { requests: 2, input_tokens: 1e6, output_tokens: 1e6 });
  const impatient = ask({ patienceMs: 0 });
  for (const id of ["a", "b"]) {
    assert.equal(verdict(decide(ledger, impatient, GATE, NOW + 1)), "send");
    take(ledger, id, impatient, NOW + 1);
  }
  assert.equal(verdict(decide(ledger, impatient, GATE, NOW + 1)), "429 tenant_limit 1s");
  learn(ledger, parseLimits({ ...told([limit("requests", 2)]), at_ms: NOW + 2 }, NOW + 2, NOW + 2), NOW + 2);
  assert.equal(verdict(decide(ledger, impatient, GATE, NOW + 2)), "send");
});

test("a request that used nothing gives its place back", () => {
  const ledger = known([limit("requests", 1)]);
  take(ledger, "a", ask(), NOW + 1);
  assert.equal(verdict(decide(ledger, ask({ patienceMs: 0 }), GATE, NOW + 1)), "429 tenant_limit 1s");
  release(ledger, "a");
  assert.equal(verdict(decide(ledger, ask({ patienceMs: 0 }), GATE, NOW + 1)), "send");
});

test("a budget that open requests of this page hold is not taken for spent", () => {
  const ledger = known([]);
  take(ledger, "a", ask(), NOW + 1);
  learn(ledger, parseLimits({ ...told([limit("tokens_day", 0, { ...DAY, held: 1100 })]), at_ms: NOW + 2 }, NOW + 2, NOW + 2), NOW + 2);
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW + 2)), "send");
  settle(ledger, "a", { input: 100, output: 1000, tokens: 1100, microusd: 1 });
  // Its report may be under way: only the next snapshot knows what came back.
  learn(ledger, parseLimits({ ...told([limit("tokens_day", 0, DAY)]), at_ms: NOW + 3 }, NOW + 3, NOW + 3), NOW + 3);
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW + 3)), "429 budget_spent 3600s");
});

test("a budget that others hold is not taken for spent, and one of some models is the gate's to judge", () => {
  for (const [more, what] of /** @type {const} */ ([
    [{ held: 0 }, "429 budget_spent 3600s"],
    [{ held: 5000 }, "send"],
    [{ held: 0, models: ["claude-opus-*"] }, "send"],
  ])) {
    const ledger = known([limit("tokens_week", 0, { ...DAY, ...more })]);
    assert.equal(verdict(decide(ledger, ask(), GATE, NOW)), what, JSON.stringify(more));
  }
});

test("a budget begins anew when its window ends", () => {
  const ledger = known([limit("tokens_day", 0, { ...DAY, resets_ms: 10_000 })]);
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW + 500)), "429 budget_spent 10s");
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW + 10_000)), "send");
});

test("nobody is refused by old news: first it is asked again, and what is stale decides nothing", () => {
  const ledger = known([limit("tokens_day", 0, DAY)]);
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW + 1_000)), "429 budget_spent 3599s");
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW + 1_001)), "refresh 429 budget_spent 3599s");
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW + 30_001)), "stale");
  assert.equal(verdict(decide(ledger, ask(), { ...GATE, whenUnknown: "closed" }, NOW + 30_001)), "503 limits_unknown 2s");
});

test("without a snapshot: open with a flag, or closed; what cannot fit is refused all the same", () => {
  assert.equal(verdict(decide(emptyLedger(), ask(), GATE, NOW)), "no_snapshot");
  assert.equal(verdict(decide(emptyLedger(), ask(), { ...GATE, whenUnknown: "closed" }, NOW)), "503 limits_unknown 2s");
  const long = ask({ input: { lower: 1_000_001, estimate: 2e6, upper: 9e6 } });
  assert.equal(verdict(decide(emptyLedger(), long, GATE, NOW)), "413 context_window");
});

test("what was sent after the gate looked counts, though its answer came later", () => {
  const ledger = known([limit("requests", 2, { capacity: 2 })]);
  take(ledger, "a", ask(), NOW + 10);
  // Heard at 400, but of the same moment: an answer that the gate kept for a second.
  learn(ledger, parseLimits(told([limit("requests", 2, { capacity: 2 })]), NOW + 380, NOW + 400), NOW + 400);
  take(ledger, "b", ask(), NOW + 401);
  assert.equal(verdict(decide(ledger, ask({ patienceMs: 0 }), GATE, NOW + 402)), "429 tenant_limit 1s");
});

test("the gate's clock need not be ours", () => {
  for (const skewMs of [-3_600_000, 3_600_000]) {
    const ledger = emptyLedger();
    const at = (/** @type {number} */ ms, /** @type {number} */ level) => learn(ledger, parseLimits({ ...told([limit("requests", level)]), at_ms: NOW + skewMs + ms }, NOW + ms, NOW + ms + 20), NOW + ms + 20);
    at(0, 2);
    take(ledger, "a", ask(), NOW + 100);
    at(200, 1);
    assert.equal(verdict(decide(ledger, ask({ patienceMs: 0 }), GATE, NOW + 221)), "send", "it is in the second one");
  }
});

test("a model may have a name that every object knows: it is none of the gate's", () => {
  const ledger = known([limit("requests", 5)]);
  const inCode = { ...emptyLedger(), snapshot: fixedLimits({ itpm: 1_000 }, NOW) };
  for (const model of ["constructor", "__proto__", "toString"]) {
    const named = ask({ model, class: model, kinds: [100, 0, 0, 0, 0, 0, 0, 0] });
    for (const [of, rules] of /** @type {const} */ ([[ledger, GATE], [inCode, CODE]])) {
      assert.equal(verdict(decide(of, named, { ...rules, calibrations: {} }, NOW)), "send", model);
      take(of, model, named, NOW, { ...rules, calibrations: {} });
      assert.equal(of.entries.at(-1)?.held.input, 100, model);
    }
  }
});

test("an older snapshot of another tab changes nothing", () => {
  const ledger = known([limit("requests", 5)]);
  assert.equal(learn(ledger, parseLimits(told([limit("requests", 0)]), NOW - 10, NOW - 9), NOW), false);
  assert.equal(ledger.snapshot?.limits[0].level, 5);
});

test("a refusal's retry-after is kept for requests as large and as impatient, and no longer", () => {
  const ledger = known([]);
  const said = { status: 429, type: "rate_limit_error", code: "tollgate_not_yet", message: "" };
  learnBar(ledger, { model: MODEL, heardMs: NOW, untilMs: NOW + 10_000, input: 100, maxTokens: 1000, patienceMs: 5_000, said });
  /** @type {[Partial<Ask>, number, string][]} */
  const table = [
    [{ patienceMs: 5_000 }, 0, "429 not_yet 10s"],
    [{ patienceMs: 5_000 }, 9_000, "429 not_yet 1s"],
    // A timer rings a little early, and its retry must pass.
    [{ patienceMs: 5_000 }, 9_960, "send"],
    [{ patienceMs: 60_000 }, 0, "send"],
    [{ patienceMs: 5_000, input: { lower: 1, estimate: 99, upper: 400 } }, 0, "send"],
    [{ patienceMs: 5_000, maxTokens: 999 }, 0, "send"],
    [{ patienceMs: 5_000, model: "claude-opus-5-5" }, 0, "send"],
  ];
  for (const [more, later, expected] of table) assert.equal(verdict(decide(ledger, ask(more), GATE, NOW + later)), expected);
});

test("a retry-after of hours is told, but after half a minute the gate is asked again", () => {
  const ledger = known([]);
  const said = { status: 429, type: "rate_limit_error", code: "tollgate_not_yet", message: "" };
  learnBar(ledger, { model: MODEL, heardMs: NOW, untilMs: NOW + 7_200_000, input: 0, maxTokens: 0, patienceMs: 600_000, said });
  assert.equal(verdict(decide(ledger, ask(), GATE, NOW + 29_000)), "429 not_yet 7171s");
  assert.equal(verdict(decide(ledger, ask(), { ...GATE, staleMs: 60_000 }, NOW + 31_000)), "send");
});

test("limits given in code: requests a minute, refilled evenly", () => {
  const ledger = emptyLedger();
  ledger.snapshot = fixedLimits({ rpm: 2 }, NOW);
  for (const id of ["a", "b"]) take(ledger, id, ask(), NOW + 1);
  assert.equal(verdict(decide(ledger, ask(), CODE, NOW + 1)), "429 guard_limit 30s");
  assert.equal(verdict(decide(ledger, ask(), CODE, NOW + 29_000)), "429 guard_limit 2s");
  assert.equal(verdict(decide(ledger, ask(), CODE, NOW + 30_001)), "send");
});

test("limits given in code: tokens are held at the estimate, settled at what was used", () => {
  const ledger = emptyLedger();
  ledger.snapshot = fixedLimits({ tokens_day: 2_500 }, NOW);
  take(ledger, "a", ask(), NOW + 1);
  take(ledger, "b", ask(), NOW + 2);
  assert.equal(verdict(decide(ledger, ask(), CODE, NOW + 3)).slice(0, 15), "429 guard_limit");
  settle(ledger, "a", { input: 90, output: 10, tokens: 100, microusd: 1 });
  settle(ledger, "a", { input: 9_000, output: 10, tokens: 9_000, microusd: 1 });
  assert.equal(levelOf(ledger, /** @type {any} */ (ledger.snapshot?.limits[0]), CODE, NOW + 3), 2_500 - 100 - 1_100);
  assert.equal(verdict(decide(ledger, ask(), CODE, NOW + 3)), "send");
});

test("limits given in code: folding what is over changes no level, then or later", () => {
  const ledger = emptyLedger();
  ledger.snapshot = fixedLimits({ rpm: 60, itpm: 10_000, otpm: 1_000, concurrent: 3, tokens_day: 50_000, usd_day: 1 }, NOW);
  const levels = (/** @type {number} */ at) => ledger.snapshot?.limits.map((limit) => Math.round(levelOf(ledger, limit, CODE, at)));
  for (let i = 0; i < 50; i++) {
    take(ledger, `${i}`, ask(), NOW + i * 700);
    if (i % 10) settle(ledger, `${i}`, { input: 90, output: 40, tokens: 130, microusd: 700 });
  }
  const before = [40_000, 90_000].map((ms) => levels(NOW + ms));
  fold(ledger, CODE, NOW + 40_000);
  assert.deepEqual([40_000, 90_000].map((ms) => levels(NOW + ms)), before);
  for (let i = 0; i < 50; i += 10) settle(ledger, `${i}`, { input: 90, output: 40, tokens: 130, microusd: 700 });
  fold(ledger, CODE, NOW + 40_000);
  assert.deepEqual(ledger.entries, []);
  assert.equal(levels(NOW + 40_000)?.[3], 3);
});

test("limits given in code: a new day is a new budget", () => {
  const ledger = emptyLedger();
  ledger.snapshot = fixedLimits({ requests_day: 1 }, NOW);
  take(ledger, "a", ask(), NOW + 1);
  settle(ledger, "a", { input: 1, output: 1, tokens: 2, microusd: 1 });
  fold(ledger, CODE, NOW + 2);
  assert.equal(verdict(decide(ledger, ask(), CODE, NOW + 2)), `429 guard_limit ${86_400}s`);
  fold(ledger, CODE, NOW + 86_400_000);
  assert.equal(verdict(decide(ledger, ask(), CODE, NOW + 86_400_000)), "send");
});

test("limits in code that mean nothing are refused by their name", () => {
  for (const wrong of [{ rpm: 0 }, { itpm: -1 }, { usd_day: NaN }, { rpms: 5 }, { concurrent: "3" }])
    assert.throws(() => fixedLimits(/** @type {any} */ (wrong), NOW), new RegExp(`limits\\.${Object.keys(wrong)[0]}`));
});

test("an entry that another tab tells twice counts once, and a tab that died frees its place", () => {
  const ledger = known([limit("concurrent", 1, { capacity: 4 })]);
  const entry = { id: "x", class: MODEL, sentMs: NOW + 1, open: true, held: { input: 0, output: 0, tokens: 0, microusd: 0 } };
  add(ledger, { ...entry }, NOW + 1);
  add(ledger, { ...entry }, NOW + 1);
  assert.equal(ledger.entries.length, 1);
  add(ledger, { ...entry, id: "y", sentMs: NOW + 600_002 }, NOW + 600_002);
  assert.deepEqual(ledger.entries.map(({ id }) => id), ["y"]);
});

test("a gate that answers garbage is no snapshot", () => {
  const good = told([limit("requests", 1)]);
  const garbage = [null, 1, "x", [], {}, { models: {}, limits: {} }, { ...good, models: { m: {} } }, { ...good, models: { m: 7 } }, { ...good, models: { m: { max_input_tokens: 0 } } }, { ...good, limits: [null] }, { ...good, limits: [{ ...limit("requests", 1), level: "many" }] }, { ...good, limits: [{ ...limit("requests", NaN) }] }, { ...good, limits: [limit("requests", -1e308)] }, { ...good, limits: [limit("requests", 1, { capacity: 1e300 })] }];
  for (const answer of garbage) assert.throws(() => parseLimits(answer, NOW, NOW), TypeError, JSON.stringify(answer));
  // A time to come back is a number that a header can say.
  const hardly = known([limit("requests", 0, { per_minute: 1e-300 })]);
  assert.equal(verdict(decide(hardly, ask(), GATE, NOW)), `429 tenant_limit ${Math.ceil(Number.MAX_SAFE_INTEGER / 1000)}s`);
  const odd = parseLimits({ ...good, next_poll_ms: -7 }, NOW, NOW);
  assert.equal(odd.nextPollMs, 5_000);
  assert.equal(parseLimits({ ...good, next_poll_ms: 1e12 }, NOW, NOW).nextPollMs, 60_000);
});

test("a level is given what it refilled while it was on its way", () => {
  const [told_] = parseLimits(told([limit("requests", 5, { per_minute: 60 })]), NOW, NOW + 500).limits;
  assert.equal(told_.level, 6.5);
});

test("headers teach: the gate's RateLimit, Anthropic's and OpenAI's own", () => {
  const read = (/** @type {Record<string, string>} */ headers) => limitsOfHeaders(new Headers(headers), "c", NOW).map(({ scope, kind, level, capacity, class: of }) => [scope, kind, level, capacity, of]);
  assert.deepEqual(read({ ratelimit: '"tenant-tokens-day";r=7;t=60', "ratelimit-policy": '"tenant-tokens-day";q=100;w=86400' }), [["tenant", "tokens_day", 7, 100, undefined]]);
  assert.deepEqual(read({ "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "3" }), [["account", "requests", 3, 50, "c"]]);
  assert.deepEqual(read({ "x-ratelimit-limit-tokens": "30000", "x-ratelimit-remaining-tokens": "100" }), [["account", "input_tokens", 600, 30_000, "c"]]);
  for (const nonsense of /** @type {Record<string, string>[]} */ ([{ ratelimit: "7" }, { ratelimit: '"tenant-x";r=1;t=1', "ratelimit-policy": '"tenant-x";q=1;w=1' }, { "anthropic-ratelimit-requests-limit": "many", "anthropic-ratelimit-requests-remaining": "-1" }])) assert.deepEqual(read(nonsense), []);
});

test("a header's level replaces the snapshot's, refill and all else kept", () => {
  const ledger = known([limit("requests", 50, { per_minute: 60 })]);
  for (const told of limitsOfHeaders(new Headers({ ratelimit: '"tenant-requests";r=0;t=60', "ratelimit-policy": '"tenant-requests";q=60;w=60' }), "c", NOW + 5)) learnLimit(ledger, told);
  assert.equal(verdict(decide(ledger, ask({ patienceMs: 0 }), GATE, NOW + 5)), "429 tenant_limit 1s");
});

test("what a refusal withholds is no level: it would shut those out for a minute who were told a second", () => {
  const withheld = { ratelimit: '"account-requests";r=0;t=1', "ratelimit-policy": '"account-requests";q=0;w=60' };
  assert.deepEqual(limitsOfHeaders(new Headers(withheld), "c", NOW), []);
});

test("a header's level is forgotten after a minute, and what it kept with it", () => {
  const ledger = known([]);
  for (const told of limitsOfHeaders(new Headers({ "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "0" }), MODEL, NOW)) learnLimit(ledger, told);
  assert.equal(verdict(decide(ledger, ask({ patienceMs: 0 }), GATE, NOW)), "429 provider_limit 2s");
  take(ledger, "a", ask(), NOW + 1);
  settle(ledger, "a", { input: 1, output: 1, tokens: 2, microusd: 1 });
  learn(ledger, parseLimits({ ...told([]), at_ms: NOW + 60_001 }, NOW + 60_001, NOW + 60_001), NOW + 60_001);
  assert.deepEqual([ledger.learned, ledger.entries], [[], []]);
});

test("retry-after in each of its forms", () => {
  const of = (/** @type {Record<string, string>} */ headers) => retryAfterMs(new Headers(headers), NOW);
  assert.equal(of({ "retry-after-ms": "250", "retry-after": "9" }), 250);
  assert.equal(of({ "retry-after": "2" }), 2_000);
  assert.equal(of({ "retry-after": new Date(NOW + 5_000).toUTCString() }), 5_000);
  assert.equal(of({ "retry-after": "soon" }), null);
  assert.equal(of({ "retry-after": "2", "x-should-retry": "false" }), null);
  assert.equal(of({}), null);
});
