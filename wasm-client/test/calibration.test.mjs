// A calibration: made of one's own prompts by the command, and applied as the core
// applies it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { MODEL, UNLIMITED } from "../../tests/e2e/world.mjs";
import { emulator, EMULATOR_KEY } from "../../tests/serve/emulator.mjs";
import { calibrationOf, corrected } from "../js/calibration.js";
import { guard, init, load } from "./source.mjs";

/** As it was built. */
const CLI = new URL("../../dist/client/node/cli.js", import.meta.url).pathname;

const CASES = JSON.parse(await readFile(new URL("../../crates/tokens/tests/calibrations.json", import.meta.url), "utf8"));

test("an estimate is corrected as the gate does it", () => {
  assert.ok(CASES.length >= 8);
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

/** Prompts of several kinds, each unlike the others. @param {number} n */
function prompt(n) {
  const sentence = `Request ${n} waits at the gate; whoever stands before it is told how long. `;
  const code = `fn wait_${n}(now_ms: u64) -> Option<u64> {\n    self.until.filter(|until| *until > now_ms)\n}\n`;
  const json = `${JSON.stringify({ scope: "tenant", kind: "requests", level: n * 37, capacity: 6_000, resets_ms: n * 1_009 })},\n`;
  const chinese = `第${n}位客人在门口等候，看门人会告诉他还要等多久。`;
  return [sentence, code, json, chinese][n % 4].repeat(4 + ((n * 7) % 20));
}

test("tollgate calibrate: one's own prompts, counted by the provider, halve the error; load and guard take the file", async () => {
  await init();
  const dir = await mkdtemp(path.join(tmpdir(), "tollgate-calibrate-"));
  const provider = await emulator(UNLIMITED);
  try {
    const requests = Array.from({ length: 150 }, (_, n) => JSON.stringify({ max_tokens: 10, system: "Be brief.", messages: [{ role: "user", content: prompt(n) }] }));
    await writeFile(path.join(dir, "asked.jsonl"), requests.join("\n"));
    await writeFile(path.join(dir, "notes.md"), await readFile(new URL("../../docs/browser.md", import.meta.url), "utf8"));
    const run = async (/** @type {string[]} */ args, env = {}) => {
      const running = promisify(execFile)(process.execPath, [CLI, "calibrate", ...args], { cwd: dir, env: { ...process.env, ANTHROPIC_API_KEY: EMULATOR_KEY, ...env } });
      return running.then(({ stdout }) => ({ code: 0, out: stdout, err: "" }), (error) => ({ code: error.code, out: error.stdout, err: error.stderr }));
    };
    const done = await run(["--url", provider.url, "asked.jsonl", "notes.md"]);
    assert.equal(done.code, 0, done.err);
    const written = JSON.parse(await readFile(path.join(dir, "tollgate-calibration.json"), "utf8"));
    assert.equal(written.model, MODEL);
    const { before, after, prompts, held_out: heldOut } = written.measured;
    assert.ok(prompts > 150 && heldOut > 40, JSON.stringify(written.measured));
    assert.ok(after.p50 < before.p50 / 2 && after.p95 < before.p95, JSON.stringify(written.measured));
    assert.match(done.out, /before +-?\d+\.\d % +\d+\.\d % +\d+\.\d %/);
    const counter = await load(MODEL, { calibration: written });
    assert.equal(counter.measure({ messages: [{ role: "user", content: prompt(7) }] }).confidence, "calibrated");
    assert.doesNotThrow(() => guard({ limits: { rpm: 1 }, calibrations: { [MODEL]: written } }).close());
    assert.throws(() => guard({ limits: { rpm: 1 }, calibrations: { [MODEL]: { weights: [1] } } }), /calibrations/);
    for (const [args, env, code, words] of /** @type {[string[], object, number, RegExp][]} */ ([
      [[], {}, 2, /Name files/],
      [["asked.jsonl"], { ANTHROPIC_API_KEY: "" }, 2, /ANTHROPIC_API_KEY is not set/],
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
