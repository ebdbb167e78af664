// The form's fields as a Messages request, and what is wrong with them.

import { make, show, the, wrong } from "./page.js";
import { number } from "./words.js";

/** What the API takes of one image. (docs, vision, 2026-10) */
const IMAGE_BYTES_MAX = 5 * 1024 * 1024;
/** Roughly what one line of the preview's column holds. */
const PREVIEW_PX = 64;

export const prompt = /** @type {HTMLTextAreaElement} */ (the("prompt"));
const system = /** @type {HTMLTextAreaElement} */ (the("system"));
const tools = /** @type {HTMLTextAreaElement} */ (the("tools"));
const maxTokens = /** @type {HTMLInputElement} */ (the("max-tokens"));
/** No field of the request: a header tells it. */
export const maxWait = /** @type {HTMLInputElement} */ (the("max-wait"));
const file = /** @type {HTMLInputElement} */ (the("image"));

/** @type {{type: string, data: string, width: number, height: number} | undefined} */
let image;
/** @type {unknown[] | undefined} the last that were sound */
let toolList;

/**
 * Calls back after every change.
 *
 * @param {() => void} changed
 */
export function watchDraft(changed) {
  for (const field of [prompt, system, maxTokens]) field.addEventListener("input", changed);
  tools.addEventListener("input", () => {
    readTools();
    changed();
  });
  file.addEventListener("change", async () => {
    await readImage(file.files?.[0]);
    changed();
  });
  the("image-none").addEventListener("click", async () => {
    file.value = "";
    await readImage(undefined);
    changed();
    file.focus();
  });
  the("tools-example").addEventListener("click", () => {
    tools.value = JSON.stringify([{ name: "get_weather", description: "The weather at a place, now.", input_schema: { type: "object", properties: { place: { type: "string" } }, required: ["place"] } }], null, 2);
    readTools();
    changed();
    tools.focus();
  });
}

/**
 * The request, without its model.
 *
 * @param {string} text the prompt, which whoever counts brings across apart
 * @param {string} [data] the image's, likewise
 */
export function request(text, data = imageData()) {
  const content = image ? [{ type: "image", source: { type: "base64", media_type: image.type, data } }, { type: "text", text }] : text;
  return {
    max_tokens: maxTokens.valueAsNumber || 1,
    ...(system.value.trim() && { system: system.value }),
    ...(toolList?.length && { tools: toolList }),
    messages: [{ role: "user", content }],
  };
}

/** The image as base64, where there is one. */
export function imageData() {
  return image?.data;
}

/** The first field that cannot be sent, if any; each is marked. */
export function unsound() {
  const fields = [prompt, maxTokens, maxWait];
  for (const field of fields) field.setAttribute("aria-invalid", String(!field.checkValidity()));
  if (tools.getAttribute("aria-invalid") === "true") {
    /** @type {HTMLDetailsElement} */ (tools.closest("details")).open = true;
    return tools;
  }
  return fields.find((field) => !field.checkValidity());
}

function readTools() {
  const text = tools.value.trim();
  let problem = "";
  try {
    const list = text ? JSON.parse(text) : [];
    if (!Array.isArray(list)) problem = "Tools are a list: [ … ].";
    else if (!list.every((tool) => typeof tool?.name === "string")) problem = "Each tool needs a name.";
    else toolList = list;
  } catch (error) {
    problem = `Not JSON yet: ${error instanceof Error ? error.message : error}`;
  }
  if (problem) toolList = undefined;
  wrong(tools, problem);
  the("tools-sum").textContent = toolList?.length ? `${toolList.length} ${toolList.length === 1 ? "tool" : "tools"}` : "";
}

/** @param {File | undefined} from */
async function readImage(from) {
  image = undefined;
  show(the("image-shown"), false);
  the("image-sum").textContent = "";
  if (!from) return wrong(file, "");
  if (!file.accept.split(",").includes(from.type)) return wrong(file, "The API takes JPEG, PNG, GIF and WebP.");
  if (from.size > IMAGE_BYTES_MAX) return wrong(file, `The API takes 5 MB; this has ${(from.size / 1048576).toFixed(1)} MB.`);
  const read = await Promise.all([createImageBitmap(from), base64(from)]).catch(() => undefined);
  // Another was chosen meanwhile, or none.
  if (from !== file.files?.[0]) return;
  if (!read) return wrong(file, "This file is not an image that the browser can read.");
  const [bitmap, data] = read;
  const { width, height } = bitmap;
  image = { type: from.type, data, width, height };
  // Drawn, not linked: the page's policy need not allow addresses of images.
  const canvas = /** @type {HTMLCanvasElement} */ (the("image-preview"));
  const scale = PREVIEW_PX / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  imageCosts(undefined);
  the("image-sum").textContent = from.name;
  show(the("image-shown"), true);
  wrong(file, "");
}

/** @param {number | undefined} tokens what the image costs, once that is counted */
export function imageCosts(tokens) {
  if (!image) return;
  const size = `${image.width} × ${image.height} pixels`;
  the("image-says").replaceChildren(size, ...(tokens === undefined ? [] : [" → ", make("strong", `${number(tokens)} tokens`)]));
}

/** @param {Blob} blob */
async function base64(blob) {
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    reader.onload = resolve;
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  const url = String(reader.result);
  return url.slice(url.indexOf(",") + 1);
}
