// `make bench`: Tollgate beside a bare Worker and Portkey's gateway, in front of
// one upstream, in one interleaved run. docs/bench.md explains each line.
//
//     node benches/bench.mjs [--rounds N] [--seconds N] [--only bare,tollgate,exact,portkey]

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { admin } from "../tests/serve/admin.mjs";
import { admits } from "./admits.mjs";
import { bare, exact, portkey, tollgate, upstream } from "./contestants.mjs";
import { floods } from "./flood.mjs";
import { CHUNKS, loadsOf } from "./loads.mjs";
import { median, press } from "./press.mjs";
import { sizes } from "./sizes.mjs";

/** @typedef {import("./contestants.mjs").Contestant} Contestant */
/** @typedef {import("./press.mjs").Slice} Slice */

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    only: { type: "string", default: "bare,tollgate,exact,portkey" },
  },
});
const ROUNDS = Number(args.rounds);
const SECONDS = Number(args.seconds);

const only = args.only.split(",");
const programs = ["tollgate-load", ...(only.includes("tollgate") ? ["tollgate-cli"] : [])];
execFileSync("scripts/tools", programs, { cwd: new URL("..", import.meta.url), stdio: "inherit" });
const scratch = await mkdtemp(path.join(tmpdir(), "tollgate-bench-"));
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
/** @type {{stop: () => Promise<void>}[]} */
const running = [];
try {
  await main();
} finally {
  await Promise.all(running.map((one) => one.stop()));
}

async function main() {
  const provider = await upstream();
  running.push(provider);
  const all = await contestants(provider.url);
  const loads = await loadsOf(scratch, SECONDS);
  for (const one of all) {
    // Compiled and connected: what a running gateway is.
    for (const name of /** @type {const} */ (["c32", "stream"])) await press(one, loads[name]);
  }
  /** @type {Record<string, Record<string, Slice[]>>} by contestant and load, a slice a round */
  const slices = Object.fromEntries(all.map(({ name }) => [name, {}]));
  for (let round = 1; round <= ROUNDS; round++) {
    console.error(`[bench] round ${round} of ${ROUNDS}`);
    for (const [name, load] of Object.entries(loads)) {
      for (const one of all) (slices[one.name][name] ??= []).push(await press(one, load));
    }
  }
  const deployed = all.find(({ name }) => name === "tollgate");
  const carried = deployed ? await requestsPerCall(deployed, loads.c32) : NaN;
  const none = { gate: [], empty: [], alone: [], flooded: [], calls_permille: NaN };
  const gate = deployed ? await attempt(admits(provider.url, scratch, ROUNDS, SECONDS), none) : none;
  const flood = deployed ? await attempt(floods(provider.url, scratch, ROUNDS, loads), none) : none;
  print(slices, gate, flood, carried, await sizes());
}

/**
 * Requests that one call to the Gate carries, its own calls for settlements
 * counted, too.
 *
 * @param {Contestant} gateway
 * @param {import("./press.mjs").Load} load
 */
async function requestsPerCall(gateway, load) {
  const calls = async () => Number((await admin(gateway.url, "GET", "/admin/config")).gate.calls);
  const before = await calls();
  const { requests } = await press(gateway, load);
  return requests / ((await calls()) - before);
}

/**
 * @template T
 * @param {Promise<T>} measured
 * @param {T} none in its place where it fails: all else was measured already
 * @returns {Promise<T>}
 */
function attempt(measured, none) {
  return measured.catch((error) => (console.error(`[bench] ${error}`), none));
}

/** @param {string} upstreamUrl */
async function contestants(upstreamUrl) {
  /** @type {Contestant[]} */
  const all = [];
  for (const begin of [bare, tollgate, exact, portkey]) {
    if (!only.includes(begin.name)) continue;
    try {
      const one = await begin(upstreamUrl, scratch);
      running.push(one);
      all.push(one);
    } catch (error) {
      // A peer that cannot be installed here leaves its columns empty.
      if (begin !== portkey) throw error;
      console.error(`[bench] without Portkey: ${error instanceof Error ? error.message : error}`);
    }
  }
  return all;
}

/**
 * @param {Record<string, Record<string, Slice[]>>} slices
 * @param {{gate: number[], empty: number[]}} calls a second to the Gate and to an empty object, a figure a round
 * @param {import("./flood.mjs").Floods} floods
 * @param {number} carried requests a call to the Gate
 * @param {import("./sizes.mjs").Size[]} artifacts
 */
function print(slices, { gate, empty }, { alone, flooded, calls_permille }, carried, artifacts) {
  const names = Object.keys(slices);
  const value = (/** @type {string} */ who, /** @type {string} */ load, /** @type {(slice: Slice) => number} */ pick) =>
    slices[who] ? median(slices[who][load].map(pick)) : NaN;
  // Slices of the same round were taken within seconds: what else the machine
  // did then befell both.
  const paired = (
    /** @type {string} */ who,
    /** @type {string} */ load,
    /** @type {(slice: Slice) => number} */ pick,
    /** @type {(ours: number, theirs: number) => number} */ compare,
    us = "tollgate",
  ) => {
    const [ours, theirs] = [slices[us]?.[load], slices[who]?.[load]];
    return ours && theirs ? median(ours.map((slice, round) => compare(pick(slice), pick(theirs[round])))) : NaN;
  };
  const rate = (/** @type {Slice} */ slice) => slice.ok_per_s;
  const p50 = (/** @type {Slice} */ slice) => slice.latency_us.p50 / 1000;
  const p99 = (/** @type {Slice} */ slice) => slice.latency_us.p99 / 1000;
  const cpu = (/** @type {Slice} */ slice) => slice.cpu_ms;
  const quotient = (/** @type {number} */ a, /** @type {number} */ b) => a / b;
  const difference = (/** @type {number} */ a, /** @type {number} */ b) => a - b;

  /** @type {[what: string, load: string, pick: (slice: Slice) => number, digits: number][]} */
  const rows = [
    ["requests/s, C=1", "c1", rate, 0],
    ["p50 ms, C=1", "c1", p50, 3],
    ["p99 ms, C=1", "c1", p99, 3],
    ["requests/s, C=32", "c32", rate, 0],
    ["p50 ms, C=32", "c32", p50, 2],
    ["p99 ms, C=32", "c32", p99, 2],
    ["CPU ms a request, C=32", "c32", cpu, 3],
    ["streams of 20 events/s, C=16", "stream", rate, 0],
    ["first byte p50 ms, C=16", "stream", (slice) => slice.first_byte_us.p50 / 1000, 2],
    ["CPU ms a stream of 20 events", "stream", cpu, 3],
    [`CPU ms a stream of ${CHUNKS} chunks, paced`, "long", cpu, 1],
    [`CPU ms a stream of ${CHUNKS} chunks, burst`, "burst", cpu, 1],
  ];
  line("", ...names);
  for (const [what, load, pick, digits] of rows) {
    line(what, ...names.map((who) => value(who, load, pick).toFixed(digits)));
  }

  /** @type {[name: string, value: number, digits: number, goal: string][]} */
  const figures = [
    ["proxy.rps.c32.vs_bare", paired("bare", "c32", rate, quotient), 3, ">= 0.65"],
    ["proxy.rps.c32.exact.vs_bare", paired("bare", "c32", rate, quotient, "exact"), 3, ">= 0.5"],
    ["proxy.rps.c32.vs_portkey", paired("portkey", "c32", rate, quotient), 3, ">= 2"],
    ["proxy.stream.c16.vs_bare", paired("bare", "stream", rate, quotient), 3, ">= 0.5"],
    ["proxy.stream.c16.exact.vs_bare", paired("bare", "stream", rate, quotient, "exact"), 3, ">= 0.5"],
    ["proxy.stream.c16.vs_portkey", paired("portkey", "stream", rate, quotient), 3, ""],
    ["proxy.added_p50_ms.c1.vs_bare", paired("bare", "c1", p50, difference), 3, "< 0.2"],
    ["proxy.added_p50_ms.c1.exact.vs_bare", paired("bare", "c1", p50, difference, "exact"), 3, "< 0.4"],
    ["proxy.added_p99_ms.c1.vs_bare", paired("bare", "c1", p99, difference), 3, ""],
    ["proxy.cpu_ms.c32", value("tollgate", "c32", cpu), 3, "<= 10"],
    // What a Worker's CPU limit counts is the Worker's part; what any stream
    // costs the runtime is in the bare one's figure.
    ["proxy.stream.cpu_ms_2000_chunks", paired("bare", "long", cpu, difference), 2, "<= 10"],
    ["proxy.stream.cpu_ms_2000_chunks.total", value("tollgate", "long", cpu), 2, ""],
    ["gate.admits_per_s", gate.length ? median(gate) : NaN, 0, ""],
    ["gate.admits.vs_empty_do", ratio(gate, empty), 3, ">= 0.7"],
    ["gate.carried_per_s", gate.length ? median(gate) * carried : NaN, 0, ">= 10 x"],
  ];
  const floodOf = (/** @type {"c1" | "c32"} */ load, /** @type {(slice: Slice) => number} */ pick) =>
    ratio(flooded.map((slices) => pick(slices[load])), alone.map((slices) => pick(slices[load])));
  figures.push(["flood.p50.c1", floodOf("c1", p50), 3, "1"]);
  figures.push(["flood.rps.c32", floodOf("c32", rate), 3, "1"]);
  figures.push(["flood.calls_permille", calls_permille, 1, "0"]);
  for (const { name, kib, goal } of artifacts) figures.push([name, kib, 1, goal]);
  const known = figures.filter(([, value]) => Number.isFinite(value));
  console.log();
  line("figure", "value", "goal");
  for (const [name, value, digits, goal] of known) line(name, value.toFixed(digits), goal);
  console.log();
  for (const [name, value, digits] of known) console.log(`ratio ${name} ${value.toFixed(digits)}`);
}

/**
 * @param {number[]} ours a figure a round
 * @param {number[]} theirs
 */
function ratio(ours, theirs) {
  return ours.length ? median(ours.map((figure, round) => figure / theirs[round])) : NaN;
}

/**
 * @param {string} what
 * @param {string[]} columns
 */
function line(what, ...columns) {
  console.log(what.padEnd(36) + columns.map((column) => column.padStart(12)).join(""));
}
