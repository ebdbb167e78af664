// In place of the static assets, which production serves without the Worker.
export default {
  fetch() {
    return new Response(null, { status: 404 });
  },
};
