/**
 * `<tollgate-meter>` in TSX, for React 18.3 and later with its types. Once, anywhere:
 *
 * ```ts
 * import type {} from "tollgate/jsx";
 * ```
 *
 * @module
 */

import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { TollgateMeter } from "./element.js";
import type { MessagesRequest } from "./index.js";

export interface TollgateMeterAttributes {
  /** The id of the field whose text is measured. */
  for: string;
  /** A Claude model; left out: the newest Sonnet. */
  model?: string;
  /** The most that may be taken, tokens; left out: the model's context window. */
  max?: number | `${number}`;
  /** What a screen reader calls it. */
  label?: string;
  /** The rest of the request. React sets it from version 19 on; before, assign it by a ref. */
  request?: Partial<MessagesRequest>;
}

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "tollgate-meter": DetailedHTMLProps<HTMLAttributes<TollgateMeter> & TollgateMeterAttributes, TollgateMeter>;
    }
  }
}
