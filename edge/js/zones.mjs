// The world's clocks: the Gate's core knows no time zones, the runtime does.

const DAY_MS = 86_400_000;
/** Offsets are told for so long ahead, and from a window's length ago. */
const AHEAD_MS = 400 * DAY_MS;
const AGO_MS = 62 * DAY_MS;
/** They are told anew when less than this is left. */
const LEFT_MS = 100 * DAY_MS;

/** Tells a core the offsets that its budgets want. */
export function tellZones(core, now) {
  for (const name of core.zones_wanted(LEFT_MS)) {
    const until = now + AHEAD_MS;
    core.set_zone(name, Float64Array.from(changes(name, now - AGO_MS, until)), until);
  }
}

/**
 * When local time begins to be how many milliseconds ahead of UTC: pairs, the first
 * for `from`. Nothing for a zone that the runtime does not know.
 */
function changes(name, from, until) {
  let format;
  try {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: name,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  } catch {
    // An unknown zone of a tenant is refused; of the deployment's settings, `make check` tells.
    console.error(JSON.stringify({ event: "unknown_time_zone", zone: name, taken_for: "UTC" }));
    return [];
  }
  const offset = (at) => {
    const of = {};
    for (const { type, value } of format.formatToParts(at)) of[type] = Number(value);
    return Date.UTC(of.year, of.month - 1, of.day, of.hour, of.minute, of.second) - at;
  };
  let at = Math.floor(from / 1_000) * 1_000;
  let before = offset(at);
  const pairs = [at, before];
  for (; at < until; at += DAY_MS) {
    const after = offset(at + DAY_MS);
    if (after === before) continue;
    // Seconds: clocks change on whole ones.
    let [low, high] = [at, at + DAY_MS];
    while (high - low > 1_000) {
      const middle = low + Math.floor((high - low) / 2_000) * 1_000;
      if (offset(middle) === before) low = middle;
      else high = middle;
    }
    before = after;
    pairs.push(high, after);
  }
  return pairs;
}
