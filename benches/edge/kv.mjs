// A KV namespace for workerd, as far as benchmarks go: nothing is cached.
export default {
  /** @param {Request} request */
  fetch(request) {
    return new Response(null, { status: request.method === "GET" ? 404 : 200 });
  },
};
