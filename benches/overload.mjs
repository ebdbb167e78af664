// More demand than the provider grants, from clients that wait: what is refused
// upstream, what clients see, and how much of the binding limit is used.
//
//     node benches/overload.mjs [--seconds 90] [--overload 1.5] [--otpm 60000]
//
// In real time, because the provider's buckets and the Gate's mirror of them
// live by the clock. docs/bench.md explains each line.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { emulator, EMULATOR_KEY } from "../tests/serve/emulator.mjs";
import { serve } from "../tests/serve/serve.mjs";

const { values: args } = parseArgs({
  options: {
    seconds: { type: "string", default: "90" },
    overload: { type: "string", default: "1.5" },
    otpm: { type: "string", default: "60000" },
  },
});
const SECONDS = Number(args.seconds);
const OTPM = Number(args.otpm);
/** Mean of the emulator's lengths, which are log-normal: the longest is many times as long. */
const TOKENS_MEAN = 300;
/** Other limits do not bind. */
const LIMITS = { rpm: 100_000, itpm: 100_000_000, otpm: OTPM };
const MAX_WAIT_S = 120;
/** An answer takes a fraction of this after its wait: a client that still has none was forgotten. */
const ANSWER_S = 60;
/** A full bucket, and what refills while there is demand. */
const COULD = OTPM + (OTPM * SECONDS) / 60;
const REQUESTS = Math.round((Number(args.overload) * COULD) / TOKENS_MEAN);

execFileSync("scripts/tools", ["tollgate-emulator", "tollgate-cli"], { cwd: new URL("..", import.meta.url), stdio: "inherit" });
for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT", "SIGHUP"])) process.once(signal, () => process.exit(1));
const flags = Object.entries(LIMITS).flatMap(([name, value]) => [`--${name}`, String(value)]);
const upstream = await emulator([...flags, "--output-tokens", String(TOKENS_MEAN)]);
const gateway = await serve({
  config: {
    vars: {
      TOLLGATE_ACCOUNTS: {
        anthropic: { provider: "anthropic", secret: "ANTHROPIC_API_KEY", base_url: upstream.url, limits: { "*": LIMITS } },
      },
    },
  },
  tenants: { tenants: { bench: {} } },
  env: { TOLLGATE_SECRET: randomBytes(32).toString("base64url"), ANTHROPIC_API_KEY: EMULATOR_KEY },
  log: (line) => console.error(`tollgate: ${line}`),
});
try {
  await main();
} finally {
  await Promise.all([gateway.stop(), upstream.stop()]);
}

async function main() {
  const { key } = await gateway.key("bench");
  console.error(`[overload] ${REQUESTS} requests in ${SECONDS} s, then up to ${MAX_WAIT_S} s until all are answered`);
  const began = Date.now();
  /** @type {Promise<Outcome>[]} */
  const running = [];
  for (const at of arrivals()) {
    await until(began + at);
    running.push(client(key, running.length));
  }
  await until(began + SECONDS * 1000);
  // While there was more demand than supply: after it the bucket fills unused.
  const [pressed] = (await upstream.stats()).pools;
  const outcomes = await Promise.all(running);
  const stats = await upstream.stats();
  const errors = outcomes.flatMap(({ error }) => error ?? []);
  for (const [text, count] of Object.entries(Object.groupBy(errors, (text) => text))) {
    console.error(`[overload] ${count?.length} times: ${text}`);
  }
  const waits = outcomes.map(({ wait }) => wait).sort((a, b) => a - b);
  const quantile = (/** @type {number} */ q) => waits[Math.min(waits.length - 1, Math.floor(waits.length * q))] / 1000;
  /** @type {[name: string, what: string, value: string, goal: string][]} */
  const figures = [
    ["requests", "sent by clients", String(outcomes.length), ""],
    ["refused_upstream", "refused by the provider (429)", String(stats.answers["429"] ?? 0), "0"],
    ["errors", "errors that clients saw", String(errors.length), "0"],
    ["use", "use of the output limit under pressure", (pressed.output_tokens / pressed.could.output_tokens).toFixed(3), ""],
    ["wait_p50_s", "wait, half of the clients, s", quantile(0.5).toFixed(1), ""],
    ["wait_p95_s", "wait, 95 % of the clients, s", quantile(0.95).toFixed(1), `< ${MAX_WAIT_S}`],
    ["seconds", "until the last was answered, s", ((Date.now() - began) / 1000).toFixed(0), ""],
  ];
  for (const [, what, value, goal] of figures) console.log(what.padEnd(44) + value.padStart(10) + goal.padStart(8));
  console.log();
  for (const [name, , value] of figures) console.log(`ratio overload.${name} ${value}`);
}

/** @param {number} at ms since the epoch */
function until(at) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, at - Date.now())));
}

/** Milliseconds at which requests come: independent of each other (Poisson), the same every time. */
function* arrivals() {
  let seed = 1;
  const random = () => (seed = (seed * 48_271) % 0x7fffffff) / 0x7fffffff; // Park and Miller, 1988
  const times = Array.from({ length: REQUESTS }, () => random() * SECONDS * 1000);
  yield* times.sort((a, b) => a - b);
}

/**
 * @typedef {object} Outcome
 * @property {number} wait ms, as the gateway tells
 * @property {string} [error] what the client saw instead of its answer
 *
 * @param {string} key
 * @param {number} i every second one streams
 * @returns {Promise<Outcome>}
 */
async function client(key, i) {
  try {
    const stream = i % 2 === 1;
    const response = await fetch(`${gateway.url}/v1/messages`, {
      method: "POST",
      signal: AbortSignal.timeout((MAX_WAIT_S + ANSWER_S) * 1000),
      headers: {
        "x-api-key": key,
        "anthropic-version": "2026-10-21",
        "content-type": "application/json",
        "x-tollgate-max-wait": String(MAX_WAIT_S),
      },
      body: JSON.stringify({
        model: "claude-sonnet-5-5",
        max_tokens: 2048,
        stream,
        messages: [{ role: "user", content: `Write the report on case ${i}.` }],
      }),
    });
    const text = await response.text();
    const complete = response.ok && (stream ? text.includes("event: message_stop") : text.includes('"stop_reason"'));
    const wait = Number(response.headers.get("x-tollgate-wait-ms") ?? 0);
    return complete ? { wait } : { wait, error: `${response.status} ${text.slice(-300)}` };
  } catch (error) {
    return { wait: 0, error: String(error) };
  }
}
