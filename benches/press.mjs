// One slice of load on one contestant, and what it cost.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { LOAD } from "./contestants.mjs";

const run = promisify(execFile);

/** Clock ticks a second in /proc/PID/stat: fixed for programs (man 5 proc, USER_HZ). */
const TICKS_PER_S = 100;

/**
 * @typedef {object} Slice
 * @property {number} ok_per_s complete good answers a second
 * @property {number} requests
 * @property {number} cpu_ms of the contestant's process, a complete good answer
 * @property {Record<"p50" | "p99", number>} latency_us
 * @property {Record<"p50" | "p99", number>} first_byte_us
 *
 * @typedef {object} Load
 * @property {string} [path]
 * @property {string} [body] a file
 * @property {number} connections
 * @property {number} [seconds]
 * @property {number} [requests] instead of seconds
 * @property {boolean} [stream]
 */

/**
 * Throws when an answer was not good: a benchmark of refusals says nothing.
 *
 * @param {import("./contestants.mjs").Contestant} contestant
 * @param {Load} load
 * @returns {Promise<Slice>}
 */
export async function press(contestant, load) {
  const args = ["run", "--url", contestant.url + (load.path ?? "/v1/messages"), "--key", contestant.key];
  args.push("--connections", String(load.connections));
  if (load.body) args.push("--body", load.body);
  if (load.stream) args.push("--stream");
  if (load.requests) args.push("--requests", String(load.requests));
  else args.push("--seconds", String(load.seconds));
  // What an SDK sends, too: gateways pass or drop each header.
  for (const header of ["accept: application/json", "user-agent: Anthropic/JS 1.13.0", ...contestant.headers]) {
    args.push("--header", header);
  }
  const before = await cpuMs(contestant.pid);
  const { stdout } = await run(LOAD, args);
  const cpu = (await cpuMs(contestant.pid)) - before;
  const report = JSON.parse(stdout);
  if (report.ok === 0 || report.ok !== report.requests || report.broken || report.unfinished) {
    throw new Error(`${contestant.name} does not answer well: ${stdout.trim()}`);
  }
  return { ...report, cpu_ms: cpu / report.ok };
}

/** @param {number} pid */
async function cpuMs(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may hold spaces: fields are counted after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S;
}

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
