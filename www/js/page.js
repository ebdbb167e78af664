// Small things that every widget needs of the page.

/**
 * @param {Element} element
 * @param {boolean} visible
 */
export function show(element, visible) {
  element.toggleAttribute("hidden", !visible);
}

/**
 * An element by its id, which index.html has.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
export function the(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * Says beneath a field what is wrong with it, and marks it.
 *
 * @param {HTMLElement} field whose id, with `-wrong`, is that of its place for the sentence
 * @param {string} sentence empty: nothing is
 */
export function wrong(field, sentence) {
  const place = the(`${field.id}-wrong`);
  place.textContent = sentence;
  show(place, sentence !== "");
  field.setAttribute("aria-invalid", String(sentence !== ""));
}

/**
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [className]
 */
export function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}
