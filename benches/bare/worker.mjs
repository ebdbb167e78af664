// The yardstick: the least that a Worker in front of the API can do. It adds
// nothing, decides nothing and knows no limits.
export default {
  /**
   * @param {any} request
   * @param {{UPSTREAM: string}} env
   */
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(env.UPSTREAM + pathname + search, {
      method: request.method,
      headers: request.headers,
      body: request.body,
    });
  },
};
