import type { Measure, MessagesRequest, ModelId } from "./index.js";

export type TokenCount =
  /** Also what a server renders. */
  | { status: "loading"; measure: null; error: null }
  | { status: "ready"; measure: Measure; error: null }
  | { status: "failed"; measure: null; error: unknown };

/**
 * The measure of a prompt, or of a whole request. Measured once for each text and
 * model, and deferred: while React is busy with key presses it is that of a moment
 * ago. React is the app's own, 18 or later.
 *
 * ```jsx
 * const { measure } = useTokenCount(prompt, "claude-sonnet-5-5");
 * ```
 */
export function useTokenCount(input: string | MessagesRequest, model?: ModelId): TokenCount;
