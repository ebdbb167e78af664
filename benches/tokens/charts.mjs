// Draws docs/img/counting-*.svg from target/bench-tokens.json, which bench.mjs
// wrote. Their colours follow the reader's dark or light.
//
//     node benches/tokens/charts.mjs

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const ROOT = path.join(import.meta.dirname, "../..");
const report = JSON.parse(readFileSync(path.join(ROOT, "target/bench-tokens.json"), "utf8"));

/** @typedef {{label: string, kind: string, value: number, text: string}} Bar */
/** @typedef {{title: string, bars: Bar[]}} Group */

const ROWS = { fresh_code: "code, fresh", fresh_prose: "prose, fresh", fresh_chat: "chat, fresh", fresh_mixed: "mixed, fresh", code: "code, repeated", prose: "prose, repeated", chat: "chat, repeated", mixed: "mixed, repeated" };
const WIDTH = 760;
const NAMES = 150;
const BAR = 16;
const VALUES = 90;

/** @type {import("./contest.mjs").Result[]} */
const results = report.hosts.node;
draw(
  "counting-speed",
  "Counting in Node, million UTF-16 units a second: ours, the best in JavaScript, in wasm",
  Object.entries(ROWS).map(([row, title]) => {
    const bars = results
      .filter((result) => result.row === row && result.task === "count" && result.speeds.length)
      .map(({ name, kind, speeds }) => ({ label: name, kind, value: Math.max(...speeds), text: Math.max(...speeds).toFixed(0) }))
      .toSorted((a, b) => b.value - a.value);
    const best = ["ours", "js", "wasm"].map((kind) => bars.find((bar) => bar.kind === kind)).filter((bar) => bar !== undefined);
    return { title, bars: best };
  }),
);
/** @type {(what: "ms" | "memory", unit: string) => Group[]} */
const starts = (what, unit) => [
  {
    title: "",
    bars: Object.entries(report.first.node)
      .map(([name, first]) => {
        const value = what === "ms" ? first.ms : Math.max(first.wasm_mib, first.rss_mib);
        return { label: name, kind: kindOf(name), value, text: `${value.toFixed(0)} ${unit}` };
      })
      .toSorted((a, b) => a.value - b.value),
  },
];
draw("counting-start", "From the bytes to the first count, in a process of its own", starts("ms", "ms"));
draw("counting-memory", "What a process grows by to count a text of prose", starts("memory", "MiB"));

/** @param {string} name */
function kindOf(name) {
  return results.find((result) => result.name === name)?.kind ?? "js";
}

/**
 * @param {string} file
 * @param {string} title
 * @param {Group[]} groups
 */
function draw(file, title, groups) {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  let y = 34;
  let body = "";
  for (const { title, bars } of groups) {
    if (title) body += text(0, (y += 18), title, "group");
    y += 6;
    for (const { label, kind, value, text: figure } of bars) {
      const width = Math.max(1, (value / most) * (WIDTH - NAMES - VALUES));
      body += text(NAMES - 8, y + BAR - 4, label, "name");
      body += `<rect class="${kind}" x="${NAMES}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 3}" rx="2"/>`;
      body += text(NAMES + width + 6, y + BAR - 4, figure, "");
      y += BAR;
    }
  }
  const style = `text{font:13px system-ui,sans-serif;fill:#1f2328}.title,.group{font-weight:600}.name{text-anchor:end}.ours{fill:#0969da}.js{fill:#9a6700}.wasm{fill:#6e7781}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#58a6ff}.js{fill:#d29922}.wasm{fill:#8b949e}}`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 8}" width="${WIDTH}" height="${y + 8}" role="img" aria-label="${escaped(title)}">
<style>${style}</style>
${text(0, 16, title, "title")}
${body.replaceAll("<rect", "\n<rect")}
</svg>
`;
  writeFileSync(path.join(ROOT, `docs/img/${file}.svg`), svg);
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} content
 * @param {string} kind
 */
function text(x, y, content, kind) {
  return `<text x="${x.toFixed(1)}" y="${y}"${kind ? ` class="${kind}"` : ""}>${escaped(content)}</text>`;
}

/** @param {string} content */
function escaped(content) {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
