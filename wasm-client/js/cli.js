#!/usr/bin/env node
// The `tollgate` command: `tollgate count FILE…`, or text on its standard input;
// `tollgate calibrate FILE…`.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { calibrate, CHARS_A_PROMPT, PROMPTS_MAX, PROMPTS_MIN } from "./calibrate.js";
import { isOf } from "./calibration.js";
import { DEFAULT_MODEL } from "./core.js";
import { reasonOf } from "./given.js";
import { load } from "./index.js";

const PROVIDER = "https://api.anthropic.com";
const CALIBRATION = "tollgate-calibration.json";
const KEY = "ANTHROPIC_API_KEY";

const USAGE = `Usage: tollgate count [--model MODEL] [--calibration FILE] [--json] [FILE…]
       tollgate calibrate [--model MODEL] [--url URL] [--out FILE] FILE…

count: tokens of each file, or of the standard input where none is named (or by -).

  --model MODEL       counts for this model (default ${DEFAULT_MODEL})
  --calibration FILE  corrects Claude's estimates by what calibrate wrote
  --json              one JSON object a file: { file, model, lower, estimate, upper, exact }

calibrate: has the provider count your own prompts, which is free of charge, writes how
the estimates of this one model are corrected, and prints how far they are from its counts
before and after, by a third of the prompts that was not learned from.
FILE is a text, of which each ${CHARS_A_PROMPT} characters are a prompt, or requests as JSON or JSON
lines; ${PROMPTS_MIN} prompts are the least, ${PROMPTS_MAX} the most. Those with images, files, addresses, server
tools or MCP are left out. The key is read from ${KEY}.
What is sent is what the files hold; nothing else leaves.

  --model MODEL       corrects this model (default ${DEFAULT_MODEL})
  --url URL           where to ask (default ${PROVIDER}; or your gate)
  --out FILE          where to write (default ${CALIBRATION})
`;

/** The options of each command. */
const TAKEN = { count: ["model", "calibration", "json"], calibrate: ["model", "url", "out"] };

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
      options: {
        model: { type: "string" },
        calibration: { type: "string" },
        json: { type: "boolean" },
        url: { type: "string" },
        out: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    return fail(EXIT_USAGE, `${reasonOf(error)}\n\n${USAGE}`);
  }
  const [command, ...files] = options.positionals;
  if (options.values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (command !== "count" && command !== "calibrate") return fail(EXIT_USAGE, command ? `There is no command ${command}.\n\n${USAGE}` : USAGE);
  const stray = Object.keys(options.values).find((name) => !TAKEN[command].includes(name));
  if (stray) return fail(EXIT_USAGE, `${command} takes no --${stray}.\n\n${USAGE}`);
  const values = { model: DEFAULT_MODEL, json: false, url: PROVIDER, out: CALIBRATION, ...options.values };
  let counter;
  try {
    const calibration = values.calibration === undefined ? undefined : JSON.parse(await readFile(values.calibration, "utf8"));
    if (!isOf(calibration, values.model)) return fail(EXIT_USAGE, `${values.calibration} corrects ${calibration.model}, not ${values.model}: --model ${calibration.model} counts by it.\n`);
    counter = await load(values.model, { calibration });
  } catch (error) {
    return fail(EXIT_USAGE, `${reasonOf(error)}\n`);
  }
  if (command === "count") return count(counter, values.model, files, values.json);
  if (counter.exact) return fail(EXIT_USAGE, `${values.model} is counted exactly: there is nothing to calibrate.\n`);
  const key = process.env[KEY]?.trim();
  if (!key || !files.length) return fail(EXIT_USAGE, `${key ? "Name files with prompts of yours." : `${KEY} is not set.`}\n\n${USAGE}`);
  // What fetch says of such a key has the key in it.
  if (/[^\x21-\x7e]/.test(key)) return fail(EXIT_USAGE, `${KEY} holds what no key has: a blank, a line end or a character beyond ASCII.\n`);
  if (!isSafe(values.url)) return fail(EXIT_USAGE, `--url ${values.url}: the key goes to https or to a loopback address only.\n`);
  try {
    await calibrate({ ...values, key, files, say: (line) => process.stdout.write(`${line}\n`) });
    return 0;
  } catch (error) {
    return fail(1, `tollgate: ${reasonOf(error)}\n`);
  }
}

/**
 * @param {any} counter
 * @param {string} model
 * @param {string[]} files
 * @param {boolean} json
 */
async function count(counter, model, files, json) {
  let code = 0;
  let total = 0;
  const names = files.length ? files : ["-"];
  for (const file of names) {
    try {
      // A byte order mark is text to a tokenizer: it stays.
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(file === "-" ? await standardInput() : await readFile(file));
      const { lower, estimate, upper } = counter.bounds(text);
      total += estimate;
      if (json) process.stdout.write(`${JSON.stringify({ file, model, lower, estimate, upper, exact: counter.exact })}\n`);
      else process.stdout.write(`${row(estimate, file)}\n`);
    } catch (error) {
      code = fail(1, `tollgate: ${reasonOf(error)}\n`);
    }
  }
  if (!json && names.length > 1) process.stdout.write(`${row(total, "total")}\n`);
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

/** Whether a key may be sent there. @param {string} url */
function isSafe(url) {
  // Not URL.parse, which Node has from 22.1 on.
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || (protocol === "http:" && ["127.0.0.1", "localhost", "[::1]"].includes(hostname));
}

async function standardInput() {
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  return Buffer.concat(parts);
}
