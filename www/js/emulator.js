// The emulated provider's own counter, where there is one: what a local refusal
// says, this shows. A deployed gate has none, and the card stays hidden.

import { show, the } from "./page.js";
import { number } from "./words.js";

const POLL_MS = 2_000;

let address = "";
/** What had arrived when Send was last pressed. @type {number | undefined} */
let before;

/** Finds out whether there is one, and follows it. */
export async function watchEmulator() {
  const told = await fetch("/deployment.json").then((response) => response.json()).catch(() => ({}));
  if (typeof told.emulator !== "string") return;
  address = told.emulator;
  show(the("emulator"), true);
  await look();
  setInterval(() => document.visibilityState === "visible" && void look(), POLL_MS);
}

/** Counts from here on. */
export async function mark() {
  if (address) before = await look();
}

/** Looks now. */
export async function look() {
  if (!address) return undefined;
  const stats = await fetch(address, { cache: "no-store" }).then((response) => response.json()).catch(() => undefined);
  if (!stats) return void (the("arrived").textContent = "?");
  const sum = (/** @type {any[]} */ list) => list.reduce((total, value) => total + value, 0);
  const pools = /** @type {any[]} */ (stats.pools ?? []);
  const arrived = sum(Object.values(stats.answers ?? {})) + sum(pools.map((pool) => pool.in_flight));
  the("arrived").textContent = number(arrived);
  if (before !== undefined) {
    the("arrived-since").textContent = number(arrived - before);
    show(the("since"), true);
  }
  the("arrived-tokens").textContent = number(sum(pools.map((pool) => pool.input_tokens)));
  return arrived;
}
