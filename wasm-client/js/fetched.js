// Fetches what the package needs, and gives up on a server that falls silent: who waits
// for a counter is to hear of it.

/** A slow line is never silent so long; one that broke, or a server that hangs, is. */
export const SILENT_MS = 30_000;

/**
 * @template T
 * @param {string | URL} from
 * @param {(response: Response) => Promise<T>} use reads the response
 * @returns {Promise<T>} rejects once nothing came for `SILENT_MS`
 */
export async function fetched(from, use) {
  const silent = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silent.abort(new Error(`nothing came for ${SILENT_MS / 1000} seconds`)), SILENT_MS);
  };
  const rest = () => clearTimeout(timer);
  heard();
  try {
    const response = await fetch(from, { signal: silent.signal });
    // Its own body stays the network's: browsers compile a module from that as it comes.
    void listen(response.clone(), heard).finally(rest);
    return await use(response);
  } catch (error) {
    rest();
    // Of a module that is compiled as it comes Chromium says that the user gave it up.
    throw silent.signal.aborted ? silent.signal.reason : error;
  }
}

/**
 * @param {Response} response
 * @param {() => void} heard
 */
async function listen({ body }, heard) {
  const reader = body?.getReader();
  try {
    do heard();
    while (reader && !(await reader.read()).done);
  } catch {
    // Who reads the response itself hears of it.
  }
}
