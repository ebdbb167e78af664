// From wasm-client/js and the compiled module to dist/client, the package as it
// is unpacked: a directory for each platform, chunks shared within it, the module
// and the types beside them. Called by scripts/build-client.

import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const HERE = import.meta.dirname;
const OUT = path.join(HERE, "../dist/client");
const WASM = path.join(HERE, "build/client_bg.wasm");
const CALIBRATE = path.join(HERE, "calibrate/build/calibrate_bg.wasm");
const HF = path.join(HERE, "hf/build/hf_bg.wasm");
const MODULES = [WASM, CALIBRATE, HF];

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

/**
 * @param {string} platform the directory, and the condition of package.json's imports
 * @param {string[]} entries of js/
 * @param {import("esbuild").BuildOptions} [more]
 */
const bundle = (platform, entries, more = {}) =>
  build({
    absWorkingDir: HERE,
    entryPoints: entries.map((entry) => `js/${entry}.js`),
    outdir: path.join(OUT, platform),
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    minify: true,
    conditions: [platform],
    // Beside the entries: the module's address is relative to whoever asks for it.
    chunkNames: "chunk-[hash]",
    // What the platform brings, and what its bundler resolves.
    external: ["node:*", "react", "*.wasm", "*.wasm?module"],
    logLevel: "warning",
    ...more,
  });

const inline = {
  plugins: [
    {
      name: "inline",
      setup(/** @type {import("esbuild").PluginBuild} */ on) {
        on.onResolve({ filter: /^#inline$/ }, () => ({ path: WASM, namespace: "inline" }));
        on.onLoad({ filter: /.*/, namespace: "inline" }, () => ({ contents: readFileSync(WASM).toString("base64"), loader: "text" }));
      },
    },
  ],
};
const commonjs = /** @type {const} */ ({ format: "cjs", splitting: false, outExtension: { ".js": ".cjs" } });

await Promise.all([
  bundle("browser", ["index", "element", "worker", "worker-thread", "react", "hf"]),
  bundle("node", ["index", "react", "cli", "hf"]),
  bundle("workerd", ["index", "hf"]),
  bundle("edge-light", ["index", "hf"]),
  bundle("inline", ["index"], inline),
  bundle("inline", ["index"], { ...inline, ...commonjs }),
  bundle("commonjs", ["index", "hf"], { ...commonjs, outdir: path.join(OUT, "cjs") }),
]);

const { imports: _, ...manifest } = JSON.parse(readFileSync(path.join(HERE, "package.json"), "utf8"));
writeFileSync(path.join(OUT, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
for (const module of MODULES) cpSync(module, path.join(OUT, path.basename(module)));
// `.bin`, which bundlers and Workers take for data. Packed: a server need not.
for (const [name, { file, gzip }] of Object.entries(JSON.parse(readFileSync(path.join(HERE, "vocabularies/index.json"), "utf8")))) {
  cpSync(path.join(HERE, "vocabularies", file), path.join(OUT, "vocabularies", `${name}.bin`));
  console.log(`${name}: ${kib(gzip)} gzip`);
}
for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) cpSync(path.join(HERE, "..", name), path.join(OUT, name));
// The pages that refusals point to come along.
for (const page of ["browser", "errors"]) cpSync(path.join(HERE, `../docs/${page}.md`), path.join(OUT, `docs/${page}.md`));
const readme = readFileSync(path.join(HERE, "README.md"), "utf8").replaceAll("](../docs/", "](docs/").replace("[Tollgate](../README.md)", "Tollgate");
// What stands below is for the repository.
writeFileSync(path.join(OUT, "README.md"), readme.slice(0, readme.indexOf("\n## In this directory")));
for (const name of readdirSync(path.join(HERE, "types"))) if (!name.startsWith("glue") && !name.startsWith("shim")) cpSync(path.join(HERE, "types", name), path.join(OUT, "types", name));
// `require` resolves types of its own kind, word for word the same.
for (const name of ["index", "hf"]) {
  const types = readFileSync(path.join(HERE, `types/${name}.d.ts`), "utf8");
  writeFileSync(path.join(OUT, `types/${name}.d.cts`), types.replaceAll('"./index.js"', '"./index.cjs"'));
}
chmodSync(path.join(OUT, "node/cli.js"), 0o755);

for (const module of MODULES) {
  const wasm = readFileSync(module);
  console.log(`${path.basename(module)}: ${kib(wasm.length)}, ${kib(gzipSync(wasm, { level: 9 }).length)} gzip, ${kib(brotliCompressSync(wasm).length)} brotli`);
}
const scripts = readdirSync(path.join(OUT, "browser"), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const script = Buffer.concat(scripts.map((entry) => readFileSync(path.join(entry.parentPath, entry.name))));
console.log(`browser/*.js, all faces: ${kib(script.length)}, ${kib(gzipSync(script, { level: 9 }).length)} gzip`);

/** @param {number} bytes */
function kib(bytes) {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}
