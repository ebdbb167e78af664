// The package as a user has it: the tarball of scripts/build-client, installed by
// npm into a fresh directory.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const ROOT = new URL("../..", import.meta.url).pathname;

/**
 * @typedef {object} Project
 * @property {string} dir
 * @property {(name: string, text: string) => Promise<string>} write answers the file's path
 * @property {(program: string, args: string[], options?: {input?: string, env?: Record<string, string>}) => Promise<{code: number, out: string, err: string}>} run
 * @property {() => Promise<void>} remove
 */

/**
 * @param {string} [parent] a directory whose node_modules it sees, too
 * @returns {Promise<Project>}
 */
export async function project(parent = tmpdir()) {
  const { version } = JSON.parse(await readFile(path.join(ROOT, "wasm-client/package.json"), "utf8"));
  const dir = await mkdtemp(path.join(parent, "tollgate-pack-"));
  /** @type {Project} */
  const made = {
    dir,
    async write(name, text) {
      const file = path.join(dir, name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, text);
      return file;
    },
    async run(program, args, { input = "", env = {} } = {}) {
      const running = promisify(execFile)(program, args, { cwd: dir, env: { ...process.env, ...env }, maxBuffer: 64 << 20 });
      running.child.stdin?.end(input);
      return running.then(
        ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
        (error) => ({ code: error.code, out: error.stdout, err: error.stderr }),
      );
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
  await made.write("package.json", JSON.stringify({ name: "app", private: true, type: "module" }));
  const tarball = path.join(ROOT, `dist/tollgate-${version}.tgz`);
  // It has no dependencies, and so nothing to fetch.
  const installed = await made.run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", tarball]);
  if (installed.code) throw new Error(`npm install fails: ${installed.err}`);
  return made;
}

/**
 * A Worker of the project, bundled by wrangler.
 *
 * @param {Project} app
 * @param {string} script
 * @returns {Promise<{dir: string, files: string[]}>} the bundle's modules, its script first
 */
export async function bundled(app, script) {
  const dir = await mkdtemp(path.join(app.dir, "out-"));
  await app.write("worker.js", script);
  await app.write("wrangler.toml", 'name = "app"\nmain = "worker.js"\ncompatibility_date = "2026-11-17"\n');
  const built = await app.run("wrangler", ["deploy", "--dry-run", "--outdir", dir], { env: { WRANGLER_SEND_METRICS: "false" } });
  if (built.code) throw new Error(`wrangler fails: ${built.err}`);
  const files = (await readdir(dir)).filter((file) => /\.(js|wasm|bin)$/.test(file));
  return { dir, files: files.sort((a, b) => Number(b.endsWith(".js")) - Number(a.endsWith(".js")) || a.localeCompare(b)) };
}

/**
 * The bundle on workerd.
 *
 * @param {{dir: string, files: string[]}} bundle
 */
export async function workerd({ dir, files }) {
  const { Miniflare, convertV4MiniflareOptions } = await import("miniflare");
  const typeOf = (/** @type {string} */ file) => /** @type {any} */ (file.endsWith(".wasm") ? "CompiledWasm" : file.endsWith(".bin") ? "Data" : "ESModule");
  const modules = files.map((file) => ({ type: typeOf(file), path: path.join(dir, file) }));
  return new Miniflare(convertV4MiniflareOptions({ compatibilityDate: "2026-11-17", modulesRoot: dir, modules }));
}
