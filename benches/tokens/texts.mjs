// The texts that make bench-tokens counts. All of them come from packages that
// package-lock.json pins, or from a seed, so they are the same on every machine.
//
// A kind has one text that is counted again and again, and several that no
// contestant has seen before: other files, other sentences, not the same ones in
// another order.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { random } from "../../tests/tokens/texts.mjs";

const MODULES = path.join(import.meta.dirname, "../../node_modules");
/** Texts of each kind: the first warms up, the second is repeated, the rest are fresh. */
const PARTS = 7;
const UNITS = 250_000;
/** Prose: with English ten languages. */
const LANGUAGES = ["de", "es", "fr", "it", "pt_PT", "pl", "sv", "el", "ru"];
const IDEOGRAPHS = ["ja", "ko", "zh_CN", "zh_TW"];
const EMOJI = ["🎉", "👩🏽‍💻", "🚀", "👍", "🙂", "🇩🇪", "🧑‍🤝‍🧑", "✅", "⚠️", "❤️‍🔥", "🤷‍♀️", "📎"];
const MESSAGE_UNITS = 200;
/** As long as a text of prose is. */
const UNSEEN_UNITS = 100_000;

/** @typedef {{name: string, warm: string[], again: string[], fresh: string[][]}} Row a text is a list of what is counted at once */

/** @returns {Row[]} */
export function rows() {
  const code = parts(files("@anthropic-ai/sdk", ".ts", ".d.ts"), files("axe-core", "axe.js"), files("@types/node", ".d.ts"));
  const english = files(".", ".md");
  const prose = parts(english, ...LANGUAGES.map((language) => sentences(language).join(" ")));
  const mixed = mixtures();
  const json = parts(files(".", "package.json"));
  const whole = (/** @type {string} */ text) => [text];
  const row = (/** @type {string} */ name, /** @type {string[]} */ texts, cut = whole) => {
    const [warm, again, ...fresh] = texts.map(cut);
    return { name, warm, again, fresh };
  };
  // One contestant takes seconds for each text of blanks, and all warm up four times.
  const shortly = (/** @type {Row} */ row) => ({ ...row, warm: [row.warm[0].slice(0, 20_000)] });
  const one = (/** @type {string} */ name, /** @type {string} */ text) => ({ name, warm: [text.slice(0, 2000)], again: [text], fresh: [] });
  return [
    row("code", code),
    row("prose", prose),
    { ...row("chat", prose, messages), fresh: unseen(english).slice(2).map(messages) },
    row("mixed", mixed),
    row("json", json),
    shortly(row("spaces", spaces())),
    one("letter20k", "a".repeat(20_000)),
    one("letter1m", "a".repeat(1_000_000)),
  ];
}

/**
 * Each source in as many parts as there are texts; the first part of all is the
 * first text.
 *
 * @param {string[]} sources
 */
function parts(...sources) {
  return Array.from({ length: PARTS }, (_, part) => {
    const take = (/** @type {string} */ source) => {
      const length = Math.min(Math.floor(source.length / PARTS), Math.ceil(UNITS / sources.length) * (sources.length > 3 ? 2 : 1));
      return source.slice(part * Math.floor(source.length / PARTS), part * Math.floor(source.length / PARTS) + length).toWellFormed();
    };
    return sources.map(take).join("\n");
  });
}

/**
 * What prose leaves of each part of its longest source: English alone, but in that process nobody
 * has counted it before. Some contestants refuse a special token's text, which stands in a readme.
 *
 * @param {string} english
 */
function unseen(english) {
  const length = Math.floor(english.length / PARTS);
  return Array.from({ length: PARTS }, (_, part) => english.slice((part + 1) * length - UNSEEN_UNITS, (part + 1) * length).replaceAll("<|", "<").toWellFormed());
}

/**
 * What the packages' files of a kind hold, by name.
 *
 * @param {string} under
 * @param {string} end
 * @param {string} [but]
 */
function files(under, end, but) {
  const root = path.join(MODULES, under);
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(end) && !(but && name.endsWith(but)));
  return names
    .filter((name) => !name.includes("locales"))
    .sort()
    .map((name) => readFileSync(path.join(root, name), "utf8"))
    .join("\n");
}

/**
 * axe-core's messages in a language.
 *
 * @param {string} language
 * @returns {string[]}
 */
function sentences(language) {
  /** @type {string[]} */
  const found = [];
  const walk = (/** @type {unknown} */ value) => {
    if (typeof value === "string") found.push(value);
    else if (value && typeof value === "object") Object.values(value).forEach(walk);
  };
  walk(JSON.parse(readFileSync(path.join(MODULES, `axe-core/locales/${language}.json`), "utf8")));
  return found;
}

/** Runs of ideographs written by what follows what in real sentences, so that they are new; emoji, base64. */
function mixtures() {
  const next = random(0x5eed);
  const below = (/** @type {number} */ n) => Math.floor(next() * n);
  const chains = IDEOGRAPHS.map((language) => {
    const letters = [...sentences(language).join("\n")];
    /** @type {Map<string, string[]>} */
    const followers = new Map();
    letters.forEach((letter, i) => {
      const list = followers.get(letter);
      if (list) list.push(letters[i + 1] ?? "\n");
      else followers.set(letter, [letters[i + 1] ?? "\n"]);
    });
    return { letters, followers };
  });
  const run = () => {
    const { letters, followers } = chains[below(chains.length)];
    let letter = letters[below(letters.length)];
    let text = letter;
    for (let n = 20 + below(80); n > 0; n--) text += letter = (followers.get(letter) ?? letters)[below((followers.get(letter) ?? letters).length)];
    return text;
  };
  const base64 = () => Buffer.from(Array.from({ length: 20 + below(60) }, () => below(256))).toString("base64");
  const emoji = () => Array.from({ length: 1 + below(6) }, () => EMOJI[below(EMOJI.length)]).join("");
  return Array.from({ length: PARTS }, () => {
    let text = "";
    while (text.length < UNITS) text += `${run()} ${[run, base64, emoji, run][below(4)]()}\n`;
    return text;
  });
}

/** Indentation and empty lines, with a character now and then: by the pattern, blank lines alone were one piece. */
function spaces() {
  const next = random(7);
  return Array.from({ length: PARTS }, () => {
    let text = "";
    while (text.length < UNITS) text += [" ".repeat(1 + next() * 40), "\t".repeat(1 + next() * 6), "\n".repeat(1 + next() * 3), "\r\n", "}"][Math.floor(next() * 5)];
    return text;
  });
}

/** @param {string} text */
function messages(text) {
  return Array.from({ length: Math.floor(text.length / MESSAGE_UNITS) }, (_, i) => text.slice(i * MESSAGE_UNITS, (i + 1) * MESSAGE_UNITS).toWellFormed());
}
