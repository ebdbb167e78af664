// The release bundle on plain workerd, as the bare Worker runs.
//
// Not by tests/serve, whose Miniflare sends each upstream request through a
// Worker of its own (`outbound`): that hop, which production does not have,
// takes a third of a bare Worker's throughput.

import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { parse } from "smol-toml";
import { admin } from "../tests/serve/admin.mjs";
import { BUNDLE } from "../tests/serve/bundle.mjs";
import { startWorkerd } from "../tests/serve/program.mjs";

const HERE = new URL(".", import.meta.url).pathname;
const ROOT = path.join(HERE, "..");

/**
 * Starts it on fresh state, with the tenant `bench` and a key of it.
 *
 * @param {string} scratch a directory to write to
 * @param {Record<string, any>} vars as in wrangler.toml
 * @param {Record<string, string>} secrets
 * @param {{bundle?: string, flags?: string[], objects?: string[]}} [options] another bundle; flags of workerd;
 *   further classes of Durable Objects in that bundle
 */
export async function startEdge(scratch, vars, secrets, { bundle = BUNDLE, flags, objects = [] } = {}) {
  // The tool that signs admin tokens reads it from the environment, too.
  process.env.TOLLGATE_SECRET ??= randomBytes(32).toString("base64url");
  const dir = await mkdtemp(path.join(scratch, "edge-"));
  await mkdir(path.join(dir, "state"));
  const config = path.join(dir, "workerd.capnp");
  await writeFile(config, await configure(dir, bundle, ["Gate", "Relay", ...objects], vars, { TOLLGATE_SECRET: process.env.TOLLGATE_SECRET, ...secrets }));
  const server = await startWorkerd(config, {}, flags);
  try {
    await admin(server.url, "PUT", "/admin/tenants", { tenants: { bench: {} }, prune: true, dry_run: false });
    const { key, id } = await admin(server.url, "POST", "/admin/keys", { tenant: "bench", kind: "secret" });
    return { ...server, key: String(key), keyId: String(id) };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/**
 * @param {string} dir
 * @param {string} bundle
 * @param {string[]} objects classes, each bound by its name in capitals
 * @param {Record<string, any>} vars
 * @param {Record<string, string>} secrets
 */
async function configure(dir, bundle, objects, vars, secrets) {
  const { compatibility_date, compatibility_flags = [] } = /** @type {any} */ (
    parse(await readFile(path.join(ROOT, "wrangler.toml"), "utf8"))
  );
  const wasm = (await readdir(bundle)).filter((file) => file.endsWith(".wasm"));
  // Cap'n Proto's strings are escaped as JSON's are, as long as they are ASCII.
  const text = JSON.stringify;
  const embed = (/** @type {string} */ file) => `embed ${text(path.relative(dir, file))}`;
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    (name = "kv", worker = (modules = [(name = "kv.mjs", esModule = ${embed(path.join(HERE, "edge/kv.mjs"))})], compatibilityDate = ${text(compatibility_date)})),
    (name = "none", worker = (modules = [(name = "none.mjs", esModule = ${embed(path.join(HERE, "edge/none.mjs"))})], compatibilityDate = ${text(compatibility_date)})),
    (name = "state", disk = (path = ${text(path.join(dir, "state"))}, writable = true)),
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "edge")],
);

const edge :Workerd.Worker = (
  modules = [
    (name = "entry.js", esModule = ${embed(path.join(bundle, "entry.js"))}),
    ${wasm.map((file) => `(name = ${text(file)}, wasm = ${embed(path.join(bundle, file))}),`).join("\n    ")}
  ],
  compatibilityDate = ${text(compatibility_date)},
  compatibilityFlags = [${compatibility_flags.map(text).join(", ")}],
  durableObjectNamespaces = [${objects.map((name) => `(className = ${text(name)}, uniqueKey = ${text(name.toLowerCase())}, enableSql = true)`).join(", ")}],
  durableObjectStorage = (localDisk = "state"),
  bindings = [
    ${objects.map((name) => `(name = ${text(name.toUpperCase())}, durableObjectNamespace = ${text(name)}),`).join("\n    ")}
    (name = "CACHE", kvNamespace = "kv"),
    (name = "ASSETS", service = "none"),
    ${Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, json = ${text(text(value))}),`).join("\n    ")}
    ${Object.entries(secrets).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)}),`).join("\n    ")}
  ],
);
`;
}
