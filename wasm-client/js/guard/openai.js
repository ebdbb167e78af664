// The size of a request of OpenAI's API: its texts, and what their roles add.

/**
 * A message's role and separators, and the start of the answer: OpenAI cookbook,
 * "How to count tokens with tiktoken", figures of gpt-4o and later.
 */
const TOKENS_A_MESSAGE = 3;
const TOKENS_A_REQUEST = 3;
/**
 * The estimate of `crates/tokens` is fitted to o200k's count times 1.17 on average
 * for Claude's older family (data/estimate.toml): taken back here, rounded so that
 * the bounds stay bounds.
 */
const PER_OLDER_CLAUDE = 1 / 1.17;

/**
 * @param {any} body
 * @param {(text: string) => {lower: number, estimate: number, upper: number}} estimate
 * @param {(text: string) => number} [count] where the model's vocabulary is loaded
 */
export function openaiMeasure(body, estimate, count) {
  const list = Array.isArray(body.messages) ? body.messages : Array.isArray(body.input) ? body.input : [];
  const texts = [body.instructions, body.tools && JSON.stringify(body.tools), body.functions && JSON.stringify(body.functions)];
  if (typeof body.input === "string") texts.push(body.input);
  let opaque = 0;
  for (const message of list) {
    for (const part of partsOf(message)) {
      const text = part?.text ?? part?.output ?? part?.arguments;
      if (typeof text === "string") texts.push(text);
      // Images and files: their tokens are by size, which is not read here.
      else if (typeof part === "object") opaque += 1;
    }
    for (const call of Array.isArray(message?.tool_calls) ? message.tool_calls : []) texts.push(call?.function?.name, call?.function?.arguments);
  }
  const text = texts.filter((text) => typeof text === "string").join("\n");
  const around = TOKENS_A_REQUEST + TOKENS_A_MESSAGE * Math.max(1, list.length);
  if (count) {
    const tokens = count(text);
    // How tools are put to the model is not published: their JSON is the guess.
    return { lower: Math.floor(tokens / 2), estimate: tokens + around, upper: opaque ? Number.MAX_SAFE_INTEGER : tokens + 4 * around };
  }
  const { lower, estimate: tokens, upper } = estimate(text);
  return {
    lower: Math.floor(lower * PER_OLDER_CLAUDE),
    estimate: Math.ceil(tokens * PER_OLDER_CLAUDE) + around,
    upper: opaque ? Number.MAX_SAFE_INTEGER : upper + 2 * around,
  };
}

/**
 * @param {any} message
 * @returns {any[]}
 */
function partsOf(message) {
  const content = message?.content;
  if (typeof content === "string") return [{ text: content }];
  if (Array.isArray(content)) return content;
  return [message];
}
