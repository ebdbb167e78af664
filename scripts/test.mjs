// Runs every test and closes with the one line `N passed, N failed`.
//
// A step is a program. Steps that run tests are counted by what their runner
// printed, all others count as one. A step that cannot run counts as failed,
// and so does a runner that ran nothing; the others run all the same.

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/**
 * Notices growth that nobody meant, KiB gzip; docs/bench.md says what the bytes are. The
 * same code has from 320 to 322: functions stand by names that end in a hash, which
 * differs from one place of building to another, and gzip sees another order.
 */
const EDGE_KIB_MAX = 325;

/** How Node's runner and cargo's each begin to tell what failed, and a screen of it. */
const FAILURES = /^(✖ failing tests:|failures:\n\n----)(.*\n){1,40}/gm;

/** @typedef {{passed: number, failed: number}} Count */

const locked = process.env.CI ? ["--locked"] : [];
// What the Worker leaves out is checked all the same.
const features = ["--features", "tollgate-tokens/vocabulary"];
const lint = [
  step("format", ["cargo", "fmt", "--all", "--check"]),
  step("clippy", ["cargo", "clippy", ...locked, "--workspace", ...features, "--all-targets", "--", "-D", "warnings"]),
  step("licences", ["node", "scripts/licences.mjs"]),
  step("types of the JavaScript", ["tsc", "-p", "."]),
];
const tests = [
  step("Rust", ["cargo", "test", ...locked, "--workspace", ...features, "--no-fail-fast"], countCargo),
  step("vocabularies", ["node", "scripts/vocabularies.mjs", "--check"]),
  step("tokens against tiktoken", ["node", "--test", "--test-timeout=300000", "tests/tokens/*.test.mjs"], countNode),
  step("bundle (wrangler deploy --dry-run)", ["scripts/build", "edge-debug", "edge"]),
  { name: "size", run: size },
  step("emulator and command line", ["scripts/tools", "tollgate-emulator", "tollgate-cli"]),
  e2e("*"),
  step("npm package (make pack)", ["scripts/build-client", "pack"]),
  step("npm package's tests", ["node", "--test", "--test-concurrency=2", "--test-timeout=240000", "wasm-client/test/*.test.mjs"], countNode),
  step("page in Chromium", ["node", "--test", "--test-concurrency=1", "--test-timeout=120000", "tests/browser/*.test.mjs"], countNode),
];

/** @type {import("node:child_process").ChildProcess | undefined} */
let running;
for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT", "SIGHUP"])) {
  process.once(signal, () => {
    if (running?.pid) process.kill(-running.pid, "SIGTERM");
    process.exit(143);
  });
}

const total = { passed: 0, failed: 0 };
/** @type {string[]} */
const table = [];
/** @type {string[]} What runners told of failures, again at the end: before lie minutes of other output. */
const failures = [];
const [what, file = "*"] = process.argv.slice(2);
const steps = what === "lint" ? lint : what === "e2e" ? [e2e(file)] : [...lint, ...tests];
for (const { name, run } of steps) {
  console.log(`\n== ${name}`);
  const began = Date.now();
  const { passed, failed } = await run();
  total.passed += passed;
  total.failed += failed;
  const seconds = Math.round((Date.now() - began) / 1000);
  table.push(`${failed ? "FAILED" : "ok    "} ${name}: ${passed} passed, ${failed} failed, ${seconds} s`);
}
console.log(`\n${[...failures, ...table].join("\n")}\n${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed || !total.passed ? 1 : 0);

/** @param {string} file its name up to `.test.mjs`, or a pattern */
function e2e(file) {
  const files = `tests/e2e/${file}.test.mjs`;
  return step("end to end", ["node", "--test", "--test-concurrency=2", "--test-timeout=300000", files], countNode);
}

/**
 * @param {string} name
 * @param {string[]} command
 * @param {(output: string) => Count} [count]
 */
function step(name, [program, ...args], count) {
  const run = () =>
    new Promise((/** @type {(count: Count) => void} */ resolve) => {
      // A group of its own, so that a signal ends what it started, too.
      running = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], detached: true });
      let output = "";
      running.stdout?.setEncoding("utf8").on("data", (text) => {
        process.stdout.write(text);
        if (count) output += text;
      });
      running.once("error", (error) => (console.error(String(error)), resolve({ passed: 0, failed: 1 })));
      running.once("close", (code) => {
        const counted = count?.(output) ?? { passed: code === 0 ? 1 : 0, failed: 0 };
        const silent = code !== 0 || counted.passed === 0 ? 1 : 0;
        failures.push(...(output.match(FAILURES) ?? []));
        resolve({ passed: counted.passed, failed: counted.failed || silent });
      });
    });
  return { name, run };
}

/** @param {string} output */
function countCargo(output) {
  const lines = [...output.matchAll(/^test result: \S+ (\d+) passed; (\d+) failed/gm)];
  return {
    passed: lines.reduce((sum, line) => sum + Number(line[1]), 0),
    failed: lines.reduce((sum, line) => sum + Number(line[2]), 0),
  };
}

/** @param {string} output */
function countNode(output) {
  const last = (/** @type {string} */ word) =>
    Number([...output.matchAll(new RegExp(`^\\S+ ${word} (\\d+)$`, "gm"))].at(-1)?.[1] ?? 0);
  return { passed: last("pass"), failed: last("fail") + last("cancelled") };
}

async function size() {
  const files = readdirSync("dist/edge").filter((file) => /\.(js|wasm)$/.test(file));
  let sum = 0;
  for (const file of files) {
    const bytes = readFileSync(`dist/edge/${file}`);
    const zipped = gzipSync(bytes, { level: 9 }).length / 1024;
    sum += zipped;
    console.log(`${file}: ${(bytes.length / 1024).toFixed(1)} KiB, ${zipped.toFixed(1)} KiB gzip`);
  }
  console.log(`edge: ${sum.toFixed(1)} KiB gzip of ${EDGE_KIB_MAX}`);
  const ok = files.length > 1 && sum <= EDGE_KIB_MAX;
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1 };
}
