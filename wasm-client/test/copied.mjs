// What crosses into a module: the bytes of the texts that are copied there.

/**
 * @template T
 * @param {() => T} act
 * @returns {{answer: T, copied: number}} what it returns, and the bytes copied meanwhile
 */
export function copiedBy(act) {
  const { encodeInto } = TextEncoder.prototype;
  let copied = 0;
  TextEncoder.prototype.encodeInto = function (source, target) {
    const result = encodeInto.call(this, source, target);
    copied += result.written;
    return result;
  };
  try {
    const answer = act();
    return { answer, copied };
  } finally {
    TextEncoder.prototype.encodeInto = encodeInto;
  }
}
