// The state of the gate: /healthz says that it answers, /readyz that it can work.

import { make, show, the } from "./page.js";

/** How often the state is asked for, while the page is looked at. */
const POLL_MS = 15_000;

/** The newest call wins: an older answer may come later. */
let newest = 0;
/** In memory, as all credentials of this page. */
let token = "";

/** Shows the state now and from time to time. */
export function watchState() {
  void ask();
  setInterval(() => document.visibilityState === "visible" && void ask(), POLL_MS);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void ask());
  const field = /** @type {HTMLInputElement} */ (the("token"));
  const use = () => {
    token = field.value.trim();
    void ask();
  };
  the("token-show").addEventListener("click", use);
  // Within the page's one form, Enter would send the prompt.
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    use();
  });
}

async function ask() {
  const call = ++newest;
  const [health, ready] = await Promise.all([
    get("/healthz"),
    get("/readyz", token ? { authorization: `Bearer ${token}` } : undefined),
  ]);
  if (call !== newest) return;
  the("version").textContent = health?.body?.version ?? "";
  if (!ready) return tell("gone", "Out of reach", "The gate does not answer. Is it running, and is this browser online?");
  /** @type {{name: string, ok: boolean, says: string}[] | null} */
  const checks = ready.body?.checks ?? null;
  parts(checks);
  if (ready.body?.ready) return tell("ready", "Ready", words(checks, "Every part is there, and the Gate that keeps the limits answers."));
  const missing = checks?.filter((check) => !check.ok).length ?? 0;
  const some = missing === 1 ? "One part is missing." : `${missing} parts are missing.`;
  tell("missing", "Not ready", words(checks, checks ? some : "Something is missing. A viewer’s token shows what."));
}

/**
 * @param {unknown} checks
 * @param {string} sentence
 */
function words(checks, sentence) {
  return token && !checks ? `${sentence} (This token is no viewer’s token of this gate.)` : sentence;
}

/** @param {{name: string, ok: boolean, says: string}[] | null} checks */
function parts(checks) {
  show(the("checks"), checks !== null);
  the("checks").replaceChildren(
    ...(checks ?? []).map(({ name, ok, says }) => {
      const item = make("li", name, ok ? "" : "no");
      if (!ok) item.prepend(make("span", "Missing: ", "unseen"));
      item.append(make("span", says));
      return item;
    }),
  );
}

/**
 * @param {"ready" | "missing" | "gone"} state
 * @param {string} word
 * @param {string} sentence
 */
function tell(state, word, sentence) {
  the("pill").dataset.state = state;
  the("barrier").dataset.state = state;
  the("pill-text").textContent = word;
  the("state-says").textContent = sentence;
}

/**
 * @param {string} path
 * @param {Record<string, string>} [headers]
 * @returns {Promise<{status: number, body: any} | undefined>} undefined: out of reach
 */
async function get(path, headers) {
  try {
    const response = await fetch(path, { headers, cache: "no-store" });
    return { status: response.status, body: await response.json().catch(() => undefined) };
  } catch {
    return undefined;
  }
}
