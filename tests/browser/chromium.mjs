// A headless Chromium, if this machine has one: Debian's, or CHROMIUM=PATH.

import { accessSync, constants } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/** Where it is; undefined: nowhere. */
export const CHROMIUM = process.env.CHROMIUM ?? find();

/** For `test`'s `skip`: false, or the line that says why and what to do. */
export const noChromium = CHROMIUM ? false : "no Chromium here: install it (Debian: apt-get install chromium), or set CHROMIUM=PATH";

/** Starts it. */
export function launch() {
  // Its sandbox refuses to start for root, which is whom containers run as.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: CHROMIUM, args });
}

function find() {
  const places = (process.env.PATH ?? "").split(path.delimiter).flatMap((dir) => NAMES.map((name) => path.join(dir, name)));
  return places.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
