// Generated texts of every kind that has ever told two tokenizers apart. By seed, so
// that a failure comes again.

/** What tokenizers stumble over. */
const TELLING = [
  ..."aAzZsStTmMdDeElLrRvV019 .,!?'\"-_/\\<>|{}()[]#@&*+=~^`$%",
  ..."\t\n\v\f\r\u{1c}\u{1f}\u{85}\u{a0}\u{1680}\u{2002}\u{200b}\u{2028}\u{2029}\u{202f}\u{3000}\u{feff}\0",
  ..."éÉßſKİıǅʰªºאبกक中文字漢あアー한글。，！「」٣²Ⅷ½\u{301}\u{93f}\u{94d}\u{fe0f}\u{200d}😀👩🏽𝒜𠀀🇩",
  "\r\n", "  ", "    ", "\n\n", "'s", "'S", "'ſ", "'re", "'RE", "'Ve", "'ll", "'lL", "'m", "'T", "'d", "’s",
  "<|endoftext|>", "<|endofprompt|>", "<|fim_prefix|>", "<|im_start|>", "<|", "|>",
  "https://", "://", "....", "----", "====", "    return", "\n\tif", "camelCase", "HTTPServer", "ABCdef",
  "\ud800", "\udc00", "ing", "tion", "the", " the", "ة", "ни", "が", "าร", "ក្រ", "გა", "ություն",
];

/** Blocks that texts in one script come from. */
const SCRIPTS = [
  [0x20, 0x7e], [0x20, 0x7e], [0x61, 0x7a], [0xa0, 0x24f], [0x300, 0x36f], [0x370, 0x3ff], [0x400, 0x4ff], [0x530, 0x58f],
  [0x590, 0x5ff], [0x600, 0x6ff], [0x900, 0x97f], [0x980, 0x9ff], [0xb80, 0xbff], [0xc00, 0xc7f], [0xe00, 0xe7f],
  [0x1000, 0x109f], [0x10a0, 0x10ff], [0x1200, 0x137f], [0x1780, 0x17ff], [0x1e00, 0x1eff], [0x2000, 0x206f],
  [0x2190, 0x23ff], [0x2500, 0x27bf], [0x3040, 0x30ff], [0x4e00, 0x9fff], [0x4e00, 0x52ff], [0xac00, 0xd7a3],
  [0xff00, 0xffef], [0x1d400, 0x1d7ff], [0x1f300, 0x1faff], [0x20000, 0x2a6df],
];

/**
 * @param {number} seed
 * @param {number} count of those of each kind; behind them come texts of single characters
 * @returns {Iterable<string>}
 */
export function* texts(seed, count) {
  const next = random(seed);
  const below = (/** @type {number} */ n) => Math.floor(next() * n);
  const pick = (/** @type {any[]} */ list) => list[below(list.length)];
  const any = () => String.fromCodePoint(below(0x110000));
  const many = (/** @type {number} */ n, /** @type {() => string} */ make) => Array.from({ length: n }, make).join("");
  const script = () => {
    const [first, last] = pick(SCRIPTS);
    return many(1 + below(40), () => (below(6) ? String.fromCodePoint(first + below(last - first + 1)) : " "));
  };
  const kinds = [
    () => many(1 + below(20), () => pick(TELLING)),
    () => many(1 + below(8), () => pick(TELLING)),
    () => many(1 + below(12), any),
    () => many(1 + below(3), script),
    () => many(1 + below(6), () => pick(TELLING).repeat(1 + below(40))),
    () => Buffer.from(many(1 + below(60), () => String.fromCharCode(below(256))), "latin1").toString("base64"),
    () => many(1 + below(12), () => pick([" ", "\n", "\t", "\r\n", "\u{85}", "\u{feff}", "\u{a0}", "a", "/", "!"])),
    () => many(1 + below(10), () => `${below(2) ? " " : ""}${many(1 + below(9), () => String.fromCharCode(97 + below(26)))}`),
    () => many(1 + below(4), () => `${pick(TELLING)}${script()}${pick(TELLING)}`),
    // Longer than a merge window.
    () => pick(["ab", "a", "ha", "\u{e01}\u{e32}", "中", "=-", "é"]).repeat(40 + below(120)) + many(below(9), () => pick(TELLING)),
    () => many(80 + below(120), () => String.fromCharCode(97 + below(4))),
  ];
  for (let i = 0; i < count; i++) yield kinds[i % kinds.length]();
  // Every 97th of all code points, another 97th for each seed, where letters,
  // marks, numbers, blanks and the rest differ.
  for (let code = seed % 97; code < 0x110000; code += 97) {
    const text = String.fromCodePoint(code);
    yield `${text}'s ${text}a${text}1${text}\n`;
  }
}

/**
 * mulberry32
 *
 * @param {number} seed
 */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
