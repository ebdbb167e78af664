// Refuses a dependency whose licence is not in licences.toml, or that comes
// from somewhere else than crates.io. Rust: every package of Cargo.lock that
// some target uses. npm: every package of package-lock.json.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parse } from "smol-toml";

const root = new URL("../", import.meta.url);
const read = (/** @type {string} */ file) => readFileSync(new URL(file, root), "utf8");
const policy = /** @type {any} */ (parse(read("licences.toml")));

const packages = [...rust(), ...npm()];
const bad = packages.filter(
  ({ id, licence, tool }) =>
    !policy.exceptions?.[id] &&
    !satisfied(licence ?? "", tool ? [...policy.allow, ...policy.allow_tools] : policy.allow),
);
for (const { id, licence } of bad) console.error(`${id}: licence ${licence ?? "unknown"} is not in licences.toml`);
const unused = Object.keys(policy.exceptions ?? {}).filter((id) => !packages.some((p) => p.id === id));
for (const id of unused) console.error(`licences.toml excepts ${id}, which nothing uses`);
const strangers = packages.filter(({ source }) => source && !policy.sources.includes(source));
for (const { id, source } of strangers) console.error(`${id} comes from ${source}`);
console.log(`licences of ${packages.length} packages read`);
process.exit(bad.length + unused.length + strangers.length ? 1 : 0);

function rust() {
  const text = execFileSync("cargo", ["metadata", "--format-version=1"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  return JSON.parse(text).packages.map((/** @type {any} */ p) => ({
    id: p.name,
    licence: p.license,
    source: p.source,
    tool: false,
  }));
}

function npm() {
  const { packages } = JSON.parse(read("package-lock.json"));
  return Object.entries(packages)
    .filter(([path]) => path !== "")
    .map(([path, p]) => ({ id: path.replace(/^.*node_modules\//, ""), licence: p.license, source: null, tool: p.dev }));
}

/**
 * An SPDX expression: OR needs one side, AND both; "/" is cargo's old OR.
 *
 * @param {string} expression
 * @param {string[]} allow
 * @returns {boolean}
 */
function satisfied(expression, allow) {
  const tokens = expression.replaceAll("/", " OR ").match(/[()]|[^\s()]+/g) ?? [];
  /** @type {() => boolean} */
  const any = () => {
    let value = all();
    while (tokens[0] === "OR" && tokens.shift()) value = all() || value;
    return value;
  };
  /** @type {() => boolean} */
  const all = () => {
    let value = one();
    while (tokens[0] === "AND" && tokens.shift()) value = one() && value;
    return value;
  };
  /** @type {() => boolean} */
  const one = () => {
    const token = tokens.shift();
    if (token === "(") {
      const value = any();
      return tokens.shift() === ")" && value;
    }
    // An exception only permits more than its licence does.
    if (tokens[0] === "WITH") tokens.splice(0, 2);
    return token !== undefined && allow.includes(token);
  };
  return any() && tokens.length === 0;
}
