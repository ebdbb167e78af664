// A calibration: made of one's own prompts by the command, and applied.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { MODEL, UNLIMITED } from "../../tests/e2e/world.mjs";
import { emulator, EMULATOR_KEY } from "../../tests/serve/emulator.mjs";
import { calibrationOf, corrected } from "../js/calibration.js";
import { decide, emptyLedger, learn, take } from "../js/guard/ledger.js";
import { fixedLimits, parseLimits } from "../js/guard/limits.js";
import { guard, init, load } from "./source.mjs";

/** As it was built. */
const CLI = new URL("../../dist/client/node/cli.js", import.meta.url).pathname;

/** Rust's tests read the same table. */
const CASES = JSON.parse(await readFile(new URL("../../crates/calibration/src/corrected.json", import.meta.url), "utf8"));

test("an estimate is corrected by kinds and bounded by size, in whole numbers", () => {
  assert.ok(CASES.length >= 15);
  for (const { why, prior, kinds, calibration, corrected: expected } of CASES) {
    assert.deepEqual(corrected(prior, kinds, calibrationOf(calibration)), expected, why);
  }
});

test("what is no calibration is told apart", () => {
  const weights = [1, 2, 3, 4, 5, 6, 7, 8];
  assert.deepEqual(calibrationOf({ weights, model: "m" }), { weights, lower: [0, 0, 0], upper: [0, 0, 0] });
  for (const wrong of [null, undefined, 1, "x", {}, { weights: weights.slice(1) }, { weights: [...weights.slice(1), -1] }, { weights: [...weights.slice(1), 0.5] }, { weights, lower: [1] }, { weights, upper: "x" }])
    assert.equal(calibrationOf(wrong), null, JSON.stringify(wrong));
});

/** One that states bounds of every size, and one that states none of small requests. */
const STATED = { weights: Array(8).fill(1_100), lower: [800, 900, 950], upper: [1_300, 1_100, 1_040] };
const LARGE_ALONE = { ...STATED, lower: [0, 900, 950], upper: [0, 1_100, 1_040] };
const SEARCH = { type: "web_search_20250305", name: "web_search" };

test("no bounds are stated of what the provider adds, nor called calibrated where none were", async () => {
  await init();
  const text = "Whoever stands before the gate is told how long to wait. ";
  const asked = (/** @type {number} */ times, more = {}) => ({ max_tokens: 10, messages: [{ role: "user", content: text.repeat(times) }], ...more });
  const url = { messages: [{ role: "user", content: [{ type: "text", text: text.repeat(90) }, { type: "document", source: { type: "url", url: "https://example.com/a.pdf" } }] }] };
  const mcp = { mcp_servers: [{ type: "url", url: "https://example.com/mcp", name: "m" }] };
  const prior = await load(MODEL);
  for (const [why, calibration, request, calibrated] of /** @type {const} */ ([
    ["text alone", STATED, asked(90), true],
    ["and small", STATED, asked(1), true],
    ["server tools", STATED, asked(90, { tools: [SEARCH] }), false],
    ["MCP", STATED, asked(90, mcp), false],
    ["a document elsewhere", STATED, asked(90, url), false],
    ["a size that has no bounds", LARGE_ALONE, asked(1), false],
    ["another size that has", LARGE_ALONE, asked(90), true],
  ])) {
    const [before, after] = [prior, await load(MODEL, { calibration })].map((counter) => counter.measure(request));
    assert.equal(after.confidence === "calibrated", calibrated, `${why}: ${after.confidence}`);
    assert.notEqual(after.estimate, before.estimate, why);
    if (calibrated) continue;
    assert.deepEqual([after.lower, after.upper], [before.lower, before.upper], why);
    assert.equal(after.confidence, before.confidence, why);
  }
});

test("no correction leads beyond the bytes, and none that would is taken", async () => {
  await init();
  const [prior, most] = await Promise.all([load(MODEL), load(MODEL, { calibration: { weights: Array(8).fill(4_000) } })]);
  for (const text of ["", "a", "1;2;3;4;5;6;7;8", "wait ".repeat(50), "Whoever stands before the gate waits. ".repeat(90), "{}[]();".repeat(400), "漢字😀".repeat(30)]) {
    const bytes = Buffer.byteLength(text);
    const { lower, estimate, upper } = most.bounds(text);
    assert.ok(lower <= estimate && estimate <= upper && upper <= bytes, `${text.slice(0, 20)}: ${lower}, ${estimate}, ${upper} of ${bytes}`);
    assert.equal(most.count(text), estimate);
    const request = { system: text || "a", messages: [{ role: "user", content: text || "a" }] };
    const [before, after] = [prior, most].map((counter) => counter.measure(request));
    assert.ok(after.estimate <= after.upper && after.upper <= before.upper);
    for (const [at, part] of after.parts.entries()) if (/^(system|messages)$/.test(part.name)) assert.ok(part.upper <= before.parts[at].upper && part.estimate <= part.upper, part.name);
  }
  assert.ok(most.count("{}[]();".repeat(400)) > 1.3 * prior.count("{}[]();".repeat(400)), "it corrects");

  const weights = Array(8).fill(1_000);
  const wrong = [null, 5, "garbage", [], {}, { weights: weights.slice(1) }, { weights: [...weights.slice(1), 4_001] }, { weights: [...weights.slice(1), 100_000] }, { weights, lower: [900, 900, 1_050], upper: [1_100, 1_100, 1_040] }, { weights, lower: [0, 0, 4_001] }, { weights, upper: [5_000, 0, 0] }];
  for (const calibration of wrong)
    for (const name of [MODEL, "o200k_base", "gpt-5"])
      await assert.rejects(load(name, { calibration: /** @type {any} */ (calibration) }), { name: "TollgateError", code: "bad_request", message: /^calibration is none: it has 8 weights of at most 4000 thousandths/ }, `${name}: ${JSON.stringify(calibration)}`);
  assert.ok(await load(MODEL, { calibration: { weights, lower: [900, 900, 0], upper: [0, 1_100, 800] } }), "0 states no bound");
});

test("a calibration is one model's: requests of another are measured as without it", async () => {
  await init();
  const [plain, calibrated] = [await load(MODEL), await load(MODEL, { calibration: STATED })];
  const asked = (/** @type {string | undefined} */ model) => ({ max_tokens: 10, messages: [{ role: "user", content: "Whoever stands before the gate waits. ".repeat(90) }], ...(model && { model }) });
  for (const own of [undefined, MODEL, `${MODEL}-20261101`]) {
    const { estimate, confidence } = calibrated.measure(asked(own));
    assert.deepEqual([confidence, estimate > plain.measure(asked(own)).estimate], ["calibrated", true], own);
  }
  for (const other of ["claude-opus-5-5", "claude-sonnet-4-5-20250929", "claude-none-1"]) {
    const measured = calibrated.measure(asked(other));
    assert.notEqual(measured.confidence, "calibrated", other);
    assert.deepEqual(measured, plain.measure(asked(other)), other);
  }
  // What `tollgate calibrate` wrote says whose it is.
  const written = { ...STATED, model: "claude-opus-5-5-20261101" };
  await assert.rejects(load(MODEL, { calibration: written }), { code: "bad_request", message: /corrects claude-opus-5-5-20261101, not / });
  assert.throws(() => guard({ limits: { rpm: 1 }, calibrations: { [MODEL]: written } }), /corrects claude-opus-5-5-20261101/);
  assert.ok(await load("claude-opus-5-5", { calibration: written }));
});

test("counters with calibrations are not kept", async () => {
  await init();
  const [one, other, plain] = await Promise.all([load(MODEL, { calibration: STATED }), load(MODEL, { calibration: STATED }), load(MODEL)]);
  assert.notEqual(one, other);
  assert.equal(one.count("Wait."), other.count("Wait."));
  assert.equal(await load(MODEL), plain);
});

test("the guard corrects for limits given in code, and for a gate's counts as the gate does", () => {
  const NOW = 1_795_478_400_000;
  /** @type {import("../js/guard/ledger.js").Ask} */
  const ask = { model: MODEL, class: MODEL, input: { lower: 40, estimate: 100, upper: 400 }, kinds: [100, 0, 0, 0, 0, 0, 0, 0], maxTokens: 10, microusdMax: 0, window: null, patienceMs: 0 };
  const double = { weights: Array(8).fill(2_000), lower: [950, 950, 950], upper: [1_040, 1_040, 1_040] };
  const rules = { whenUnknown: /** @type {const} */ ("open"), staleMs: 30_000, calibrations: { [MODEL]: double } };
  const decided = (/** @type {boolean} */ fixed, /** @type {any} */ limits, models = {}) => {
    const ledger = emptyLedger();
    learn(ledger, fixed ? fixedLimits(limits, NOW) : parseLimits({ models, limits }, NOW, NOW), NOW);
    const { kind } = decide(ledger, ask, { ...rules, fixed }, NOW);
    take(ledger, "a", ask, NOW, { ...rules, fixed });
    return [kind, ledger.entries[0].held.input];
  };
  assert.deepEqual(decided(true, { itpm: 150 }), ["refuse", 200]);
  assert.deepEqual(decided(true, { itpm: 200 }), ["send", 200]);
  const gate = (/** @type {string} */ kind, /** @type {number} */ capacity) => [{ scope: "tenant", kind, level: capacity, capacity, per_minute: kind === "input_tokens" ? capacity : 0, resets_ms: 3_600_000 }];
  assert.deepEqual(decided(false, gate("input_tokens", 150)), ["send", 100], "the app's own is not the gate's");
  assert.deepEqual(decided(false, gate("tokens_day", 150)), ["send", 100]);
  const told = { [MODEL]: { max_input_tokens: 1_000, calibration: { weights: Array(8).fill(3_000) } } };
  assert.deepEqual(decided(false, gate("input_tokens", 150), told), ["send", 300], "held as the gate holds it, refused by the wide bound");
  assert.deepEqual(decided(false, gate("tokens_day", 150), told), ["send", 300], "310 by what others taught, which refuses nothing for good");
  assert.deepEqual(decided(false, gate("tokens_day", 109), told), ["refuse", 300], "110 by the estimate");
  const half = { [MODEL]: { ...told[MODEL], calibration: { weights: Array(8).fill(500) } } };
  assert.deepEqual(decided(false, gate("tokens_day", 109), half), ["refuse", 50], "as the gate, which believes no less there");
  assert.deepEqual(decided(true, { tokens_day: 209 }), ["refuse", 200], "the app's own limits by its own counts");
  for (const calibration of [null, {}, { weights: "x" }, { weights: [1] }]) assert.deepEqual(decided(false, gate("input_tokens", 150), { [MODEL]: { ...told[MODEL], calibration } }), ["send", 100]);
});

/** Prompts of several kinds, each unlike the others. @param {number} n */
function prompt(n) {
  const sentence = `Request ${n} waits at the gate; whoever stands before it is told how long. `;
  const code = `fn wait_${n}(now_ms: u64) -> Option<u64> {\n    self.until.filter(|until| *until > now_ms)\n}\n`;
  const json = `${JSON.stringify({ scope: "tenant", kind: "requests", level: n * 37, capacity: 6_000, resets_ms: n * 1_009 })},\n`;
  const chinese = `第${n}位客人在门口等候，看门人会告诉他还要等多久。`;
  return [sentence, code, json, chinese][n % 4].repeat(4 + ((n * 7) % 20));
}

/**
 * The command, as it was built.
 *
 * @param {string} cwd
 * @param {string[]} args
 * @param {object} [env]
 * @param {string[]} [node]
 */
function command(cwd, args, env = {}, node = []) {
  const running = promisify(execFile)(process.execPath, [...node, CLI, ...args], { cwd, env: { ...process.env, ANTHROPIC_API_KEY: EMULATOR_KEY, ...env } });
  return running.then(({ stdout }) => ({ code: 0, out: stdout, err: "" }), (error) => ({ code: error.code, out: error.stdout, err: error.stderr }));
}

/**
 * Whoever counts tokens, as a test needs it.
 *
 * @param {(text: string, nth: number) => number | null | Promise<number | null>} status null: the connection breaks
 * @param {{type?: string, body: string}} [answer] to all, whatever the status
 */
async function counting(status, answer) {
  let calls = 0;
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    const code = await status(text, calls++);
    if (code === null) return request.socket.destroy();
    response.writeHead(code, answer && !answer.type ? {} : { "content-type": answer?.type ?? "application/json" });
    response.end(answer?.body ?? JSON.stringify(code === 200 ? { input_tokens: Math.ceil(text.length / 4) } : { error: { message: "no" } }));
  });
  await new Promise((/** @type {(value: void) => void} */ resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, calls: () => calls, stop: () => (server.closeAllConnections(), server.close()) };
}

test("tollgate calibrate: a broken connection is tried again, then named; what is fatal ends all calls, or begins none", async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "tollgate-calibrate-"));
  /** @type {Awaited<ReturnType<typeof counting>>[]} */
  const servers = [];
  const serve = async (/** @type {Parameters<typeof counting>[0]} */ status) => {
    const server = await counting(status);
    servers.push(server);
    return server;
  };
  try {
    // As they are logged: with fields that are no input, which count_tokens refuses.
    const logged = { model: "another", max_tokens: 500, temperature: 0.2, stop_sequences: ["END"], stream: true, service_tier: "auto", metadata: {} };
    const lines = Array.from({ length: 40 }, (_, n) => JSON.stringify({ ...logged, system: "Be brief.", messages: [{ role: "user", content: n === 5 ? "wrong" : prompt(n) }] }));
    await writeFile(path.join(dir, "asked.jsonl"), lines.join("\n"));
    const takes = (/** @type {string} */ text) => Object.keys(JSON.parse(text)).sort().join() === "messages,model,system";
    const shaky = await serve((text, nth) => (nth === 3 ? null : takes(text) ? 200 : 400));
    const failing = await serve((text) => (text.includes("wrong") ? 400 : new Promise((resolve) => setTimeout(resolve, 100, 200))));
    const gone = await serve(() => 200);
    gone.stop();
    const idle = await serve(() => 200);
    const run = (/** @type {string} */ url, /** @type {string[]} */ ...more) => command(dir, ["calibrate", "--url", url, ...more, "asked.jsonl"]);
    const [first, second, third, fourth] = await Promise.all([run(shaky.url), run(failing.url), run(gone.url), run(idle.url, "--out", "nowhere/its.json")]);
    assert.deepEqual([first.code, shaky.calls()], [0, 41], first.err);
    assert.deepEqual([second.code, /asked\.jsonl: count_tokens answered 400: no/.test(second.err)], [1, true], second.err);
    assert.ok(failing.calls() < 12, `${failing.calls()} calls after one was fatal`);
    assert.deepEqual([third.code, /asked\.jsonl: 127\.0\.0\.1:\d+ gave no answer: ECONNREFUSED/.test(third.err)], [1, true], third.err);
    assert.deepEqual([fourth.code, /nowhere/.test(fourth.err), idle.calls()], [1, true, 0], fourth.err);
  } finally {
    for (const server of servers) server.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

test("tollgate calibrate: an answer without a count is told as what it is, and where to look", async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "tollgate-calibrate-"));
  try {
    await writeFile(path.join(dir, "asked.jsonl"), Array.from({ length: 12 }, (_, n) => JSON.stringify({ messages: [{ role: "user", content: prompt(n) }] })).join("\n"));
    for (const [answer, words] of /** @type {const} */ ([
      [{ type: "text/html; charset=utf-8", body: "<!doctype html><title>Sign in</title>" }, /it is no JSON but text\/html; charset=utf-8\. /],
      [{ body: "" }, /it is no JSON but of no type\. /],
      [{ type: "application/json", body: '{"count": 5}' }, /its JSON has no input_tokens\. /],
      [{ type: "application/json", body: '{"input_tokens": "5"}' }, /its JSON has no input_tokens\. /],
    ])) {
      const server = await counting(() => 200, answer);
      const { code, err } = await command(dir, ["calibrate", "--url", server.url, "asked.jsonl"]);
      server.stop();
      assert.equal(code, 1, err);
      assert.match(err, words);
      assert.match(err, /^tollgate: asked\.jsonl: what 127\.0\.0\.1:\d+ answered has no count: .* Is --url the address of the API, or of your gate\?$/m);
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test("tollgate calibrate: half an emoji is sent as it was measured, and a byte order mark is no part of JSON", async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "tollgate-calibrate-"));
  /** @type {string[]} */
  const asked = [];
  const server = await counting((text) => (asked.push(text), 200));
  try {
    const text = (/** @type {number} */ n) => `${prompt(n)}\ud83d \\ud83d 😀`;
    const requests = Array.from({ length: 12 }, (_, n) => ({ messages: [{ role: "user", content: text(n) }] }));
    await writeFile(path.join(dir, "asked.jsonl"), `\ufeff${requests.map((request) => JSON.stringify(request)).join("\r\n")}\r\n`);
    await writeFile(path.join(dir, "asked.json"), `\ufeff${JSON.stringify(requests)}`);
    const { code, err } = await command(dir, ["calibrate", "--url", server.url, "asked.jsonl", "asked.json"]);
    assert.equal(code, 0, err);
    const expected = requests.flatMap((_, n) => Array(2).fill(text(n).toWellFormed()));
    assert.deepEqual(asked.map((body) => JSON.parse(body).messages[0].content).sort(), expected.sort());
  } finally {
    server.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

test("the command in Node 20, and with the calibration of another model", async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "tollgate-calibrate-"));
  try {
    await writeFile(path.join(dir, "a.txt"), "Whoever stands before the gate waits.");
    await writeFile(path.join(dir, "c.json"), JSON.stringify({ ...STATED, model: "claude-opus-5-5-20261101" }));
    // What Node 20 has not.
    const old = ["--import", "data:text/javascript,delete URL.parse; delete AbortSignal.any"];
    const reached = await command(dir, ["calibrate", "--url", "https://127.0.0.1:1", "a.txt"], {}, old);
    assert.match(reached.err, /1 prompts are too few/);
    const refused = await command(dir, ["calibrate", "--url", "no address", "a.txt"], {}, old);
    assert.deepEqual([refused.code, /https or to a loopback/.test(refused.err)], [2, true], refused.err);

    const count = (/** @type {string} */ model) => command(dir, ["count", "--json", "--model", model, "--calibration", "c.json", "a.txt"]);
    const other = await count(MODEL);
    assert.deepEqual([other.code, /c\.json corrects claude-opus-5-5-20261101, not /.test(other.err)], [2, true], other.err);
    const [own, dated] = await Promise.all([count("claude-opus-5-5"), count("claude-opus-5-5-20261101")]);
    assert.deepEqual([own.code, dated.code], [0, 0], own.err + dated.err);
    assert.equal(JSON.parse(own.out).estimate, JSON.parse(dated.out).estimate);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test("of each file some prompts are held out, whatever their order; what is not text alone is left out, and told", async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "tollgate-calibrate-"));
  const provider = await emulator(UNLIMITED);
  try {
    const lines = (/** @type {(n: number) => object} */ request) => Array.from({ length: 30 }, (_, n) => JSON.stringify(request(n))).join("\n");
    const user = (/** @type {unknown} */ content) => ({ messages: [{ role: "user", content }] });
    // How an answer is drawn is no input.
    const drawn = { temperature: 0.5, top_p: 1, top_k: 4, stop_sequences: ["Human:"] };
    await writeFile(path.join(dir, "prose.jsonl"), lines((n) => ({ ...user(prompt(n)), ...drawn })));
    await writeFile(path.join(dir, "more.jsonl"), lines((n) => user(prompt(n + 100))));
    await writeFile(path.join(dir, "digits.jsonl"), lines((n) => user(`${n + 1}234567890 `.repeat(200))));
    const url = { type: "image", source: { type: "url", url: "https://example.com/a.png" } };
    await writeFile(path.join(dir, "images.jsonl"), lines(() => user([url])));
    const measured = async (/** @type {string[]} */ ...files) => {
      const done = await command(dir, ["calibrate", "--url", provider.url, ...files]);
      assert.equal(done.code, 0, done.err);
      return { ...JSON.parse(await readFile(path.join(dir, "tollgate-calibration.json"), "utf8")).measured, out: done.out };
    };
    const one = await measured("prose.jsonl", "more.jsonl", "digits.jsonl");
    const other = await measured("digits.jsonl", "prose.jsonl", "more.jsonl", "images.jsonl");
    assert.deepEqual([one.prompts, one.held_out, other.prompts, other.held_out], [90, 30, 90, 30]);
    assert.ok(Math.abs(one.before.bias - other.before.bias) < 0.03, JSON.stringify([one, other]));
    assert.ok(Math.abs(one.after.bias) < 0.05 && Math.abs(other.after.bias) < 0.05, JSON.stringify([one, other]));
    assert.match(other.out, /^30 of 120 prompts are not text alone and were left out/);
    assert.doesNotMatch(one.out, /left out/);
  } finally {
    await provider.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

test("tollgate calibrate: one's own prompts, counted by the provider, halve the error; load and guard take the file", async () => {
  await init();
  const dir = await mkdtemp(path.join(tmpdir(), "tollgate-calibrate-"));
  const provider = await emulator(UNLIMITED);
  try {
    const requests = Array.from({ length: 150 }, (_, n) => JSON.stringify({ max_tokens: 10, system: "Be brief.", messages: [{ role: "user", content: prompt(n) }] }));
    await writeFile(path.join(dir, "asked.jsonl"), requests.join("\n"));
    await writeFile(path.join(dir, "notes.md"), await readFile(new URL("../../docs/browser.md", import.meta.url), "utf8"));
    const run = (/** @type {string[]} */ args, env = {}) => command(dir, ["calibrate", ...args], env);
    const done = await run(["--url", provider.url, "asked.jsonl", "notes.md"]);
    assert.equal(done.code, 0, done.err);
    const written = JSON.parse(await readFile(path.join(dir, "tollgate-calibration.json"), "utf8"));
    assert.equal(written.model, MODEL);
    const { before, after, prompts, held_out: heldOut } = written.measured;
    assert.ok(prompts > 150 && heldOut > 40, JSON.stringify(written.measured));
    assert.ok(after.p50 < before.p50 / 2 && after.p95 < before.p95, JSON.stringify(written.measured));
    assert.match(done.out, /before +[+-]\d+\.\d % +\d+\.\d % +\d+\.\d %/);
    const counter = await load(MODEL, { calibration: written });
    assert.equal(counter.measure({ messages: [{ role: "user", content: prompt(7) }] }).confidence, "calibrated");
    assert.doesNotThrow(() => guard({ limits: { rpm: 1 }, calibrations: { [MODEL]: written } }).close());
    assert.throws(() => guard({ limits: { rpm: 1 }, calibrations: { [MODEL]: { weights: [1] } } }), /calibrations/);
    for (const [args, env, code, words] of /** @type {[string[], object, number, RegExp][]} */ ([
      [[], {}, 2, /Name files/],
      [["asked.jsonl"], { ANTHROPIC_API_KEY: "" }, 2, /ANTHROPIC_API_KEY is not set/],
      ...["sec\nret", "secret\u0142"].map((key) => [["--url", provider.url, "asked.jsonl"], { ANTHROPIC_API_KEY: key }, 2, /^ANTHROPIC_API_KEY holds what no key has: [^:]*$/]),
      [["--url", "http://example.com", "asked.jsonl"], {}, 2, /https or to a loopback/],
      [["--url", provider.url, "--model", "gpt-5", "asked.jsonl"], {}, 2, /bring|not at hand|exactly/],
      [["--url", provider.url, "asked.jsonl"], { ANTHROPIC_API_KEY: "none" }, 1, /answered 401/],
      [["--url", provider.url, "nowhere.txt"], {}, 1, /nowhere\.txt/],
    ])) {
      const wrong = await run(args, env);
      assert.deepEqual([wrong.code, words.test(wrong.err)], [code, true], `${args}: ${wrong.err}`);
    }
  } finally {
    await provider.stop();
    await rm(dir, { recursive: true, force: true });
  }
});
