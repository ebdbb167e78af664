import type { Measure, MessagesRequest } from "./index.js";

/**
 * `<tollgate-meter for="prompt" model="claude-sonnet-5-5" max="20000">`: the tokens
 * of the field with that id, their bounds and cost, with colour and text from 80, 90
 * and 100 % of `max` on (left out: the model's context window).
 *
 * Parts: `meter`, `bar`, `text`, `count`, `bound`, `cost`, `level`. Properties:
 * `--tollgate-meter-ok`, `-near`, `-high`, `-over`, `-track`, `-height`. The
 * attribute `level` says `ok`, `near`, `high` or `over`.
 *
 * Events, which bubble: `tollgate-measure` (detail: the {@link Measure}) and
 * `tollgate-error` (detail: a sentence).
 */
export class TollgateMeter extends HTMLElement {
  /** The rest of the request: system, tools, earlier messages. Assign a new object. */
  request: Partial<MessagesRequest>;
  /** The last measure. */
  readonly measure: Measure | null;
}

/**
 * Makes the tag known, under `tollgate-meter` or a name of your own. Importing the
 * module alone changes nothing, so that unused code can be shaken off.
 */
export function defineMeter(name?: string): void;

declare global {
  interface HTMLElementTagNameMap {
    "tollgate-meter": TollgateMeter;
  }
}
