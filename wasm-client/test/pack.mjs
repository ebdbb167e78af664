// The package as a user has it: the tarball of scripts/build-client, installed by
// npm into a fresh directory.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
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
