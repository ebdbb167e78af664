// `make serve`: the release bundle on workerd, by Miniflare's direct socket.
//
// Not wrangler's development proxy: that one adds a hop, loses 9 of 10 requests
// a second and can hide what a client's disconnect does. wrangler itself turns
// wrangler.toml into Miniflare's options, so what runs here is what it deploys.

import childProcess from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { parse } from "smol-toml";
import { admin, signToken } from "./admin.mjs";

const ROOT = new URL("../..", import.meta.url).pathname;
const NAME = "tollgate";
const SITE = "site";
/** As wrangler names what it bundles from edge/js/entry.mjs. */
const ENTRY = "entry.js";

const { values: args } = parseArgs({
  options: {
    config: { type: "string" },
    tenants: { type: "string" },
    port: { type: "string", default: "8787" },
    state: { type: "string" },
    bundle: { type: "string", default: path.join(ROOT, "dist/edge") },
    emulator: { type: "string" },
  },
});

// wrangler must neither phone home nor write to the output that callers read.
process.env.WRANGLER_SEND_METRICS = "false";
process.env.WRANGLER_LOG = "error";

await main().catch((error) => fail(error instanceof Error ? error.message : String(error)));

async function main() {
  const port = Number(args.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) fail(`PORT=${args.port} is not a port`);
  if (port !== 0) await mustBeFree(port);
  const state = args.state ?? freshState();
  const workerd = watchWorkerd();

  const { Miniflare, convertV4MiniflareOptions, Log, LogLevel } = await import("miniflare");
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      log: new Log(LogLevel.ERROR),
      handleStructuredLogs: ({ level, message }) => console.error(`${level} ${message}`),
      resourcePersistencePath: state,
      workers: await workers(port),
    }),
  );
  const end = async (/** @type {number} */ code) => {
    await miniflare.dispose().catch(() => {});
    process.exit(code);
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.once(signal, () => void end(0));
  // A caller that died cannot stop us: see serve.mjs.
  if (process.send) process.once("disconnect", () => void end(0));

  await miniflare.ready;
  const url = String(await miniflare.unsafeGetDirectURL(NAME)).replace(/\/$/, "");
  const child = workerd();
  child.once("exit", () => void end(1));
  await answering(url);
  if (args.tenants) await applyTenants(url, args.tenants);
  process.send?.({ url, pid: child.pid });
  answerCalls(url);
  console.log(`ready ${url}`);
}

/**
 * @param {number} port
 * @returns {Promise<import("miniflare").V4WorkerOptions[]>}
 */
async function workers(port) {
  const { unstable_getMiniflareWorkerOptions: optionsOf } = await import("wrangler");
  const wranglerToml = path.join(ROOT, "wrangler.toml");
  // Their index signature hides the types of all that is not named in them.
  const { assets, modulesRules: _, ...options } = /** @type {any} */ (optionsOf(wranglerToml).workerOptions);
  const vars = await variables(args.config ?? wranglerToml);
  return [
    {
      ...options,
      name: NAME,
      ...(await bundle(args.bundle)),
      bindings: { ...vars, ...secrets(vars) },
      // A hop before every upstream request that production does not have.
      stripCfConnectingIp: false,
      serviceBindings: { ...options.serviceBindings, ...(assets?.binding ? { [assets.binding]: SITE } : {}) },
      unsafeDirectSockets: [{ host: "127.0.0.1", port }],
    },
    // A Worker with assets gets Miniflare's router, in JS, before each request.
    // In production assets are routed before the Worker at no cost, so here
    // they are a service of their own that the Worker falls back to.
    ...(assets
      ? [
          {
            name: SITE,
            compatibilityDate: options.compatibilityDate,
            modules: [{ type: /** @type {const} */ ("ESModule"), path: "site.mjs", contents: site(args.emulator) }],
            modulesRoot: ".",
            assets: args.emulator
              ? { ...assets, binding: undefined, run_worker_first: ["/deployment.json", "/emulator/stats"], routerConfig: { has_user_worker: true } }
              : { ...assets, binding: undefined, routerConfig: { has_user_worker: false } },
          },
        ]
      : []),
  ];
}

/**
 * Before an emulator the page may show what arrived there: its statistics come
 * from the page's own origin, so that its policy stays the deployed one. What the
 * page reads to know of it, www/deployment.json, says in production that there is none.
 *
 * @param {string | undefined} emulator
 */
function site(emulator) {
  if (!emulator) return "export default {}";
  return `export default {
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/deployment.json") return Response.json({ emulator: "/emulator/stats" });
      if (pathname === "/emulator/stats") return fetch(${JSON.stringify(emulator)} + pathname);
      return new Response("Not found", { status: 404 });
    },
  }`;
}

/** @param {string} dir */
async function bundle(dir) {
  const files = await readdir(dir).catch(() => /** @type {string[]} */ ([]));
  if (!files.includes(ENTRY)) throw new Error(`${dir} holds no bundle: run make build`);
  const others = files.filter((file) => file !== ENTRY && /\.(js|wasm)$/.test(file));
  const modules = [ENTRY, ...others].map(async (file) => ({
    type: /** @type {"ESModule" | "CompiledWasm"} */ (file.endsWith(".js") ? "ESModule" : "CompiledWasm"),
    path: path.join(dir, file),
    contents: await readFile(path.join(dir, file)),
  }));
  return { modulesRoot: dir, modules: await Promise.all(modules) };
}

/**
 * @param {string} file
 * @returns {Promise<Record<string, any>>}
 */
async function variables(file) {
  const text = await readFile(file, "utf8").catch(() => fail(`${file} cannot be read`));
  try {
    const { vars = {} } = parse(/** @type {string} */ (text));
    return JSON.parse(JSON.stringify(vars));
  } catch (error) {
    return fail(`${file} is not TOML: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * The gate's own secrets and those that the settings name, as far as the
 * environment has them. A missing one is for the Worker to report.
 *
 * @param {Record<string, any>} vars
 */
function secrets(vars) {
  const names = ["TOLLGATE_SECRET", "TOLLGATE_SECRET_PREVIOUS", "ANTHROPIC_API_KEY"];
  const walk = (/** @type {unknown} */ value) => {
    for (const [key, inner] of Object.entries(value ?? {})) {
      if (key === "secret" && typeof inner === "string") names.push(inner);
      else if (typeof inner === "object") walk(inner);
    }
  };
  walk(vars);
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

function freshState() {
  const dir = mkdtempSync(path.join(tmpdir(), "tollgate-state-"));
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/**
 * workerd itself retries nothing but reports late and in its own words.
 *
 * @param {number} port
 */
async function mustBeFree(port) {
  const probe = createServer();
  await new Promise((resolve, reject) => {
    probe.once("error", (/** @type {NodeJS.ErrnoException} */ error) =>
      reject(new Error(`port ${port} cannot be used (${error.code}): stop what holds it, or choose another PORT`)),
    );
    probe.listen(port, "127.0.0.1", () => probe.close(resolve));
  });
}

/**
 * Miniflare does not tell its child's pid, nor when it dies. It calls `spawn`
 * of the module object, so that is where to look.
 */
function watchWorkerd() {
  /** @type {childProcess.ChildProcess | undefined} */
  let seen;
  const spawn = childProcess.spawn;
  // @ts-expect-error the overloads of spawn cannot be written as one function
  childProcess.spawn = (...args) => (seen = spawn(...args));
  return () => seen ?? fail("Miniflare started workerd in a way unknown to tests/serve/main.mjs");
}

/** @param {string} url */
async function answering(url) {
  const response = await fetch(`${url}/healthz`);
  const text = await response.text();
  if (!response.ok) throw new Error(`/healthz answers ${response.status}: ${text.slice(0, 1000)}`);
}

/**
 * @param {string} url
 * @param {string} file
 */
async function applyTenants(url, file) {
  const { tenants } = parse(await readFile(file, "utf8"));
  await admin(url, "PUT", "/admin/tenants", { tenants, prune: true, dry_run: false });
}

/** @param {string} url */
function answerCalls(url) {
  process.on("message", async (/** @type {any} */ { id, what, args }) => {
    try {
      const value =
        what === "token" ? await signToken(args.role) : await admin(url, "POST", "/admin/keys", args);
      process.send?.({ id, value });
    } catch (error) {
      process.send?.({ id, error: String(error) });
    }
  });
}

/**
 * @param {string} sentence
 * @returns {never}
 */
function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
