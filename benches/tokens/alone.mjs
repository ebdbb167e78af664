// The contest as a program, for Node: what is asked comes in, results go out.

import { readFileSync } from "node:fs";
import { contest } from "./contest.mjs";

const { rows, absent, rounds, files } = JSON.parse(readFileSync(0, "utf8"));
const bytes = new Map(Object.entries(files).map(([name, file]) => [name, new Uint8Array(readFileSync(/** @type {string} */ (file)))]));
const results = await contest(rows, (name) => /** @type {Uint8Array<ArrayBuffer>} */ (bytes.get(name)), absent, rounds, (line) => console.error(`[bench] node: ${line}`));
process.stdout.write(JSON.stringify(results));
