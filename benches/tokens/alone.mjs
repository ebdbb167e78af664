// A program for a process of its own in Node: what is asked comes in, results go out.

import { readFileSync } from "node:fs";
import { contest } from "./contest.mjs";
import { first } from "./first.mjs";

const { files, ...input } = JSON.parse(readFileSync(0, "utf8"));
const read = new Map(Object.entries(files).map(([name, file]) => [name, new Uint8Array(readFileSync(/** @type {string} */ (file)))]));
const bytes = (/** @type {string} */ name) => /** @type {Uint8Array<ArrayBuffer>} */ (read.get(name));
const results = await ("name" in input ? first({ ...input, bytes, rss: () => process.memoryUsage().rss }) : contest({ ...input, bytes, say: (line) => console.error(`[bench] node: ${line}`) }));
process.stdout.write(JSON.stringify(results));
