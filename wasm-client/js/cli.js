#!/usr/bin/env node
// The `tollgate` command: `tollgate count FILE…`, or text on its standard input.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { DEFAULT_MODEL } from "./core.js";
import { load } from "./index.js";

const USAGE = `Usage: tollgate count [--model MODEL] [--json] [FILE…]

Tokens of each file, or of the standard input where none is named (or by -).

  --model MODEL  counts for this model (default ${DEFAULT_MODEL})
  --json         one JSON object a file: { file, model, lower, estimate, upper, exact }
`;

/** Wrong use, as for any command; 1 is for a file that cannot be read. */
const EXIT_USAGE = 2;

// Whoever reads the output may stop early, like head.
process.stdout.on("error", (error) => process.exit(/** @type {NodeJS.ErrnoException} */ (error).code === "EPIPE" ? 0 : 1));
// Set, not called: output that is not written yet must still be.
process.exitCode = await main(process.argv.slice(2));

/** @param {string[]} argv */
async function main(argv) {
  let options;
  try {
    options = parseArgs({
      args: argv,
      allowPositionals: true,
      options: { model: { type: "string", default: DEFAULT_MODEL }, json: { type: "boolean", default: false }, help: { type: "boolean", short: "h", default: false } },
    });
  } catch (error) {
    return fail(EXIT_USAGE, `${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  }
  const { values, positionals } = options;
  const [command, ...files] = positionals;
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (command !== "count") return fail(EXIT_USAGE, command ? `There is no command ${command}.\n\n${USAGE}` : USAGE);
  let counter;
  try {
    counter = await load(values.model);
  } catch (error) {
    return fail(EXIT_USAGE, `${error instanceof Error ? error.message : error}\n`);
  }
  let code = 0;
  let total = 0;
  const names = files.length ? files : ["-"];
  for (const file of names) {
    try {
      // A byte order mark is text to a tokenizer: it stays.
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(file === "-" ? await standardInput() : await readFile(file));
      const { lower, estimate, upper } = counter.bounds(text);
      total += estimate;
      if (values.json) process.stdout.write(`${JSON.stringify({ file, model: values.model, lower, estimate, upper, exact: counter.exact })}\n`);
      else process.stdout.write(`${row(estimate, file)}\n`);
    } catch (error) {
      code = fail(1, `tollgate: ${error instanceof Error ? error.message : error}\n`);
    }
  }
  if (!values.json && names.length > 1) process.stdout.write(`${row(total, "total")}\n`);
  return code;
}

/**
 * @param {number} tokens
 * @param {string} name
 */
function row(tokens, name) {
  return `${String(tokens).padStart(10)} ${name}`;
}

/**
 * @param {number} code
 * @param {string} text
 */
function fail(code, text) {
  process.stderr.write(text);
  return code;
}

async function standardInput() {
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  return Buffer.concat(parts);
}
