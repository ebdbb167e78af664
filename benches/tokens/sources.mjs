// The texts that the estimate of Claude's tokens is fitted to (fit.mjs) and those that it is
// tried on (claude.mjs). Which is which, sources.json says: a class has the ratios that were
// published for it, up to 4.6 and from 4.7 on (crates/tokens/data/estimate.toml names the
// sources), and packages, folders or documents, whole. `npm:` is pinned by
// sources/package-lock.json, `workspace:` by package-lock.json, `cargo:` by Cargo.lock,
// `python:` by tests/e2e/python/requirements.txt.
//
// Of the packages of `npm:` none is run: in place of what two hundred others would bring to the
// code of some, sources/package.json puts one small one.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

/** @typedef {{name: string, group: string, ratios: [number, number], as: keyof typeof READ, fit: string[], held: string[]}} Class */

const ROOT = path.join(import.meta.dirname, "../..");

/** @returns {Class[]} */
export function classes() {
  return JSON.parse(readFileSync(path.join(import.meta.dirname, "sources.json"), "utf8"));
}

/**
 * Sources to fit to that are held back as well, or lie in one that is, or hold one: whichever
 * class names them, and whatever names of files it asks for.
 *
 * @param {Pick<Class, "fit" | "held">[]} list
 */
export function inBoth(list) {
  // A package is the same by whichever lock file it comes.
  const folder = (/** @type {string} */ source) => `${source.replace("workspace:", "npm:").split("/*")[0]}/`;
  const held = list.flatMap((one) => one.held.map(folder));
  return list.flatMap(({ fit }) => fit).filter((source) => held.some((other) => other.startsWith(folder(source)) || folder(source).startsWith(other)));
}

/** How a document becomes a text. */
const READ = {
  text: (/** @type {string} */ file) => readFileSync(file, "utf8"),
  indented: (/** @type {string} */ file) => JSON.stringify(parsed(file), null, 2),
  minified: (/** @type {string} */ file) => JSON.stringify(parsed(file)),
  base64: (/** @type {string} */ file) => readFileSync(file, "base64"),
  sentences: (/** @type {string} */ file) => {
    if (file.endsWith(".json")) return strings(parsed(file)).filter(isSentence).join("\n");
    const text = readFileSync(file, "utf8");
    return file.endsWith(".html") ? withoutTags(text) : text;
  },
  annotated: (/** @type {string} */ file) => {
    const { annotations } = parsed(file).annotations;
    return Object.entries(annotations)
      .filter(([emoji]) => /^\p{Emoji_Presentation}$/u.test(emoji))
      .map(([emoji, { tts }]) => `${emoji} ${tts}`)
      .join("\n");
  },
};

/**
 * The text of each source of a class.
 *
 * @param {Class} one
 * @param {"fit" | "held"} side
 */
export function textsOf({ as, ...sources }, side) {
  return sources[side].map((source) => files(placeOf(source)).map(READ[as]).join("\n"));
}

/** @param {string} source */
function placeOf(source) {
  const [, place, name] = source.match(/^(\w+):(.*)$/) ?? [];
  const [first, ...rest] = name.split("/");
  if (place === "cargo") return path.join(crates().get(first) ?? `${first} is not in Cargo.lock`, ...rest);
  return path.join(/** @type {Record<string, string>} */ (places())[place], name);
}

/** @type {() => Record<string, string>} */
const places = once(() => {
  const script = 'source scripts/env && scripts/setup node python sources >&2 && echo "$SOURCES_ENV" && compgen -G "$PYTHON_ENV/lib/python*/site-packages"';
  const [npm, python] = run("bash", "-euc", script).trim().split("\n");
  return { npm: path.join(npm, "node_modules"), workspace: path.join(ROOT, "node_modules"), python };
});

/** Where a crate lies; the newest of those of one name. */
const crates = once(() => {
  /** @type {{name: string, manifest_path: string}[]} */
  const packages = JSON.parse(run("cargo", "metadata", "--locked", "--format-version=1")).packages;
  return new Map(packages.map(({ name, manifest_path }) => [name, path.dirname(manifest_path)]));
});

/** @param {string} program @param {string[]} words */
function run(program, ...words) {
  return execFileSync(program, words, { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] });
}

/** @template T @param {() => T} make @returns {() => T} */
function once(make) {
  /** @type {T | undefined} */
  let made;
  return () => (made ??= make());
}

/** A document, those of a folder, or `*.rs`: those beneath it whose names end so. @param {string} place */
function files(place) {
  const [folder, end = ""] = place.split("/*");
  if (!statSync(folder).isDirectory()) return [folder];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => path.join(folder, name))
    .filter((file) => file.endsWith(end) && statSync(file).isFile())
    .sort();
}

/** @param {string} file */
function parsed(file) {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** @param {unknown} value @returns {string[]} */
function strings(value) {
  if (typeof value === "string") return [value];
  return value && typeof value === "object" ? Object.values(value).flatMap(strings) : [];
}

/** Labels of one word or two are not what is asked of a model. */
const isSentence = (/** @type {string} */ text) => Buffer.byteLength(text) >= 60;

/** @param {string} html */
function withoutTags(html) {
  return html
    .slice(html.indexOf("<body>"))
    .replace(/<[^>]*>/g, "")
    .replace(/\s*\n\s*/g, "\n")
    .trim();
}
