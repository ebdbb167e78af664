// What the prompt takes: count, bounds, cost, share of the context window, parts.

import { make, show, the } from "./page.js";
import { number } from "./words.js";

/** Permille of the window, as `<tollgate-meter>` has them: said in words, too. */
const LEVELS = /** @type {const} */ ([
  [1000, "over", "over the context window"],
  [900, "high", "almost the whole context window"],
  [800, "near", "near the context window"],
  [0, "ok", ""],
]);
/** @type {Record<string, string>} */
const PARTS = { framing: "The request itself", roles: "Its messages’ roles", system: "System prompt", messages: "Prompt", tools: "Tools", tool_choice: "The prompt that tools bring along", images: "Image" };
/** What stands behind the estimate's sentence. @type {Record<string, string>} */
const TRUST = {
  low: " Short or unusual text: this one is rough.",
  calibrated: " This gate corrects it by what it has seen counted: it aims at bounds such that of 100 requests 95 lie between them, all tenants’ together. Of one tenant or one kind of text it can be fewer.",
};
/** A screen reader hears a count when the typing pauses, not at each key. */
const SAY_MS = 1_000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let saying;

/** @param {any} measure of a Claude model */
export function showMeasure(measure) {
  const { estimate, lower, upper, cost, max_input_tokens: most, confidence, parts } = measure;
  the("count").textContent = `≈ ${number(estimate)}`;
  the("bound").textContent = `${number(lower)} to ${number(upper)}`;
  the("cost").textContent = dollars(cost.input_microusd);
  the("most").textContent = dollars(cost.most_microusd);
  the("how").textContent = `An estimate: Claude’s vocabulary is not published.${TRUST[confidence] ?? ""}`;
  window_(estimate, most);
  show(the("parts-of"), true);
  the("parts-rows").replaceChildren(
    ...parts.map((/** @type {any} */ part) => {
      const row = make("tr");
      const name = make("th", PARTS[part.name] ?? part.name.replaceAll("_", " "));
      name.setAttribute("scope", "row");
      row.append(name, make("td", number(part.estimate), "number"), make("td", `${number(part.lower)} to ${number(part.upper)}`, "number quiet"));
      row.title = part.source;
      return row;
    }),
  );
  say(`About ${number(estimate)} tokens, between ${number(lower)} and ${number(upper)}; input ${dollars(cost.input_microusd)}.`);
}

/**
 * @param {number} tokens
 * @param {string} encoding
 */
export function showExact(tokens, encoding) {
  the("count").textContent = number(tokens);
  the("bound").textContent = "exact";
  the("cost").textContent = "–";
  the("most").textContent = "–";
  the("how").textContent = `The prompt’s text by ${encoding}, as tiktoken counts it.`;
  window_(0, null);
  show(the("parts-of"), false);
  say(`${number(tokens)} tokens, exact.`);
}

/** @param {{code: string, message: string}} failure */
export function showFailure({ message }) {
  for (const id of ["count", "bound", "cost", "most"]) the(id).textContent = "–";
  the("how").textContent = `Not counted: ${message}`;
  window_(0, null);
  show(the("parts-of"), false);
}

/** @param {number} microusd */
function dollars(microusd) {
  const usd = microusd / 1e6;
  return `$${usd.toFixed(usd >= 1 ? 2 : 4)}`;
}

/**
 * @param {number} tokens
 * @param {number | null} most null: not known
 */
function window_(tokens, most) {
  show(the("window"), most !== null);
  if (most === null) return;
  const permille = Math.floor((tokens * 1000) / most);
  const [, level, words] = LEVELS.find(([from]) => permille >= from) ?? LEVELS[3];
  const bar = /** @type {HTMLMeterElement} */ (the("window-bar"));
  Object.assign(bar, { min: 0, max: most, low: most * 0.8, high: most * 0.9, optimum: 0, value: tokens });
  const share = permille === 0 ? "under 0.1" : (permille / 10).toFixed(permille < 100 ? 1 : 0);
  const percent = `${share} % of ${number(most)}`;
  bar.textContent = percent;
  the("window").dataset.level = level;
  the("window-says").textContent = words ? `${percent}, ${words}` : percent;
}

/** @param {string} sentence */
function say(sentence) {
  clearTimeout(saying);
  saying = setTimeout(() => (the("count-said").textContent = sentence), SAY_MS);
}
