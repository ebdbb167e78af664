// Where the Worker's time goes: V8's sampling profiler while a load presses it.
//
//     node benches/profile.mjs [c1|c32|stream|long|burst] [--seconds N] [--top N] [--save FILE.cpuprofile] [--bundle DIR]
//
// Self time a request by function; Worker and Gate are one isolate. "(program)"
// is workerd's own code outside of calls from JavaScript.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { tollgate, upstream } from "./contestants.mjs";
import { loadsOf } from "./loads.mjs";
import { press } from "./press.mjs";
import { freePort } from "../tests/serve/program.mjs";

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "3" },
    top: { type: "string", default: "40" },
    save: { type: "string" },
    bundle: { type: "string" },
  },
});
/** Microseconds between samples. */
const INTERVAL_US = 250;

const scratch = await mkdtemp(path.join(tmpdir(), "tollgate-profile-"));
/** @type {{stop: () => Promise<void>}[]} */
const running = [];
try {
  await main();
} finally {
  await Promise.all(running.map((one) => one.stop()));
  await rm(scratch, { recursive: true, force: true });
}

async function main() {
  const port = await freePort();
  const provider = await upstream();
  running.push(provider);
  const gateway = await tollgate(provider.url, scratch, { ...(args.bundle && { bundle: args.bundle }), flags: [`--inspector-addr=127.0.0.1:${port}`] });
  running.push(gateway);
  const loads = await loadsOf(scratch, Number(args.seconds));
  const load = loads[/** @type {keyof typeof loads} */ (positionals[0] ?? "c32")];
  await press(gateway, load);
  const call = await inspect(port, "edge");
  await call("Profiler.enable");
  await call("Profiler.setSamplingInterval", { interval: INTERVAL_US });
  await call("Profiler.start");
  const slice = await press(gateway, load);
  const { profile } = await call("Profiler.stop");
  if (args.save) await writeFile(args.save, JSON.stringify(profile));
  console.log(`${slice.ok_per_s.toFixed(0)} a second while profiled, ${(slice.cpu_ms * 1000).toFixed(0)} us CPU each\n`);
  const times = selfTimes(profile);
  const wasm = [...times].filter(([name]) => name.includes("wasm"));
  times.set("(all of wasm, its glue included)", wasm.reduce((sum, [, us]) => sum + us, 0));
  const total = profile.timeDeltas.reduce((/** @type {number} */ sum, /** @type {number} */ us) => sum + us, 0);
  for (const [name, us] of [...times].sort((a, b) => b[1] - a[1]).slice(0, Number(args.top))) {
    const each = (us / slice.requests).toFixed(1);
    console.log(`${each.padStart(8)} us ${((100 * us) / total).toFixed(1).padStart(5)} %  ${name}`);
  }
}

/** @param {any} profile as the inspector gives it */
function selfTimes(profile) {
  const nodes = new Map(profile.nodes.map((/** @type {any} */ node) => [node.id, node.callFrame]));
  /** @type {Map<string, number>} */
  const times = new Map();
  profile.samples.forEach((/** @type {number} */ id, /** @type {number} */ i) => {
    const { functionName, url, lineNumber } = nodes.get(id);
    const place = url.startsWith("wasm") ? "wasm" : url && `${path.basename(url)}:${lineNumber + 1}`;
    const name = `${functionName || "(anonymous)"} ${place}`;
    times.set(name, (times.get(name) ?? 0) + profile.timeDeltas[i]);
  });
  return times;
}

/**
 * @param {number} port of workerd's inspector
 * @param {string} service whose isolate
 */
async function inspect(port, service) {
  const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const target = targets.find((/** @type {any} */ { webSocketDebuggerUrl: url }) => url.endsWith(`/${service}`) || url.endsWith(`:${service}`));
  if (!target) throw new Error(`no isolate ${service} among ${JSON.stringify(targets)}`);
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the inspector refuses"));
  });
  let next = 0;
  return (/** @type {string} */ method, /** @type {object} */ params = {}) =>
    new Promise((/** @type {(result: any) => void} */ resolve, reject) => {
      const id = ++next;
      socket.addEventListener("message", function answer({ data }) {
        const message = JSON.parse(data);
        if (message.id !== id) return;
        socket.removeEventListener("message", answer);
        if (message.error) reject(new Error(message.error.message));
        else resolve(message.result);
      });
      socket.send(JSON.stringify({ id, method, params }));
    });
}
