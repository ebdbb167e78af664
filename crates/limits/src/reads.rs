//! How much of a prompt the provider reads from its prompt cache, learned: such
//! input is outside its input limit (rate-limit page, copies of September 2026).
//!
//! A kind is (tenant, model, fingerprint of the prompt's static part). Of it as much
//! counts as read as was of each of its prompts lately: where the static part alone
//! is cached, that is all there is; of a conversation it is what no turn lacks. The
//! least and not the mean, because a prompt of which less is read than was thought is
//! refused wherever the input limit is in full use.
//!
//! What was not met, or not lately, counts in full, because then the provider writes
//! it to its cache, which counts. So does what comes while the first of a kind is
//! under way: an entry can be read once the response that writes it begins (docs,
//! prompt caching, copies of October 2026).

use crate::lengths::key;
use crate::message::{CachedPrompt, Millis, Settle, Tokens, Used};

/// Kinds remembered, at 56 bytes each. A kind that takes another's place makes that
/// one count in full until it is learned again.
const PLACES: usize = 2_048;
/// How long an entry lives after its last use.
const TTL_MS: Millis = 300_000;
/// The same where the request asks for an hour.
const TTL_1H_MS: Millis = 3_600_000;
/// Entries are trusted so much less long: a request is granted before it arrives.
const EARLY_MS: Millis = 30_000;
/// The least of this span and of the one before is what is expected. A kind whose
/// reads vary surprises once in it: at a hundred prompts a minute, one of a thousand.
const SPAN_MS: Millis = 300_000;

/// All that was learned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// By hash; none before the first prompt is met.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    key: u64,
    /// Requests that started in between find its entry.
    since: Millis,
    until: Millis,
    /// When the span under way began, the least read in it, and in the last one
    /// before in which anything was.
    span: Millis,
    now: Option<Tokens>,
    before: Option<Tokens>,
}

impl Reads {
    /// What of an input of so many tokens, as estimated, will be read.
    pub(crate) fn expected(
        &self,
        tenant: &str,
        model: &str,
        prompt: Option<CachedPrompt>,
        now: Millis,
    ) -> Tokens {
        let Some(prompt) = prompt else { return 0 };
        let (key, at) = place_of(tenant, model, prompt);
        let place = self.places.get(at).filter(|place| place.key == key && now < place.until);
        place.and_then(|place| place.now.into_iter().chain(place.before).min()).unwrap_or(0)
    }

    /// Learns from a settled request with the provider's own figures.
    pub(crate) fn learn(&mut self, settle: &Settle, now: Millis) {
        let Some(prompt) = settle.cached else { return };
        let Used::Tokens { input, input_total, .. } = settle.used else { return };
        // In tokens of the estimate: the static part has its own ratio to the real
        // ones, which the rest need not have.
        let read = u128::from(settle.input_estimate)
            * u128::from(input_total.saturating_sub(input))
            / u128::from(input_total.max(1));
        let started = now.saturating_sub(settle.ran_ms);
        if self.places.is_empty() {
            self.places.resize(PLACES, Place::default());
        }
        let (key, at) = place_of(&settle.tenant, &settle.model, prompt);
        let Some(place) = self.places.get_mut(at) else { return };
        if place.key != key {
            *place = Place { key, ..Place::default() };
        }
        let ttl = if prompt.hour { TTL_1H_MS } else { TTL_MS };
        let was_cold = started >= place.until;
        place.until = place.until.max(started.saturating_add(ttl - EARLY_MS));
        if was_cold {
            // It wrote what others read from now on, and tells nothing of them.
            place.since = now;
        } else if started >= place.since {
            // At most the estimate, so it fits.
            place.learn(read as Tokens, now);
        }
    }
}

impl Place {
    fn learn(&mut self, read: Tokens, now: Millis) {
        if now >= self.span.saturating_add(SPAN_MS) {
            self.before = self.now.take().or(self.before);
            self.span = now;
        }
        self.now = Some(self.now.map_or(read, |least| least.min(read)));
    }
}

/// A prompt's kind, and its place among [`PLACES`].
fn place_of(tenant: &str, model: &str, prompt: CachedPrompt) -> (u64, usize) {
    let key = key(&["reads", tenant, model]).wrapping_add(prompt.prefix.into());
    (key, key as usize % PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Pool;

    const PROMPT: CachedPrompt = CachedPrompt { prefix: 7, hour: false };
    const MINUTE: Millis = 60_000;

    /// An estimate of 8,000 that turned out as 10,000, of which so many counted.
    fn settle(prompt: CachedPrompt, input: Tokens, ran_ms: Millis) -> Settle {
        Settle {
            ticket: "t".into(),
            attempt: 0,
            tenant: "t".into(),
            user: None,
            job: None,
            key: "k".into(),
            pool: Pool { account: "a".into(), class: "c".into(), speed: "standard".into() },
            model: "m".into(),
            max_tokens: 100,
            input_estimate: 8_000,
            kinds: [0; 8],
            cached: Some(prompt),
            used: Used::Tokens {
                input,
                input_total: 10_000,
                output: 10,
                microusd: 1,
                estimated: false,
            },
            unasked: false,
            at_ms: 0,
            ran_ms,
        }
    }

    fn expected(reads: &Reads, prompt: CachedPrompt, now: Millis) -> Tokens {
        reads.expected("t", "m", Some(prompt), now)
    }

    #[test]
    fn nothing_is_expected_before_one_that_came_after_the_first_was_read() {
        let mut reads = Reads::default();
        assert_eq!(expected(&reads, PROMPT, MINUTE), 0);
        reads.learn(&settle(PROMPT, 10_000, 3_000), MINUTE);
        assert_eq!(expected(&reads, PROMPT, MINUTE), 0, "nothing was read yet");
        reads.learn(&settle(PROMPT, 10_000, 3_000), MINUTE + 2_999);
        reads.learn(&settle(PROMPT, 500, 3_000), MINUTE + 3_000);
        assert_eq!(expected(&reads, PROMPT, MINUTE + 3_000), 7_600, "in tokens of the estimate");
    }

    #[test]
    fn the_least_of_lately_is_expected() {
        let mut reads = Reads::default();
        reads.learn(&settle(PROMPT, 10_000, 0), MINUTE);
        for (minute, input, least) in [
            (2, 500, 7_600),
            (3, 6_000, 3_200),
            (4, 500, 3_200),
            (8, 500, 3_200),
            (9, 400, 3_200),
            (13, 500, 7_600),
        ] {
            let now = minute * MINUTE;
            reads.learn(&settle(PROMPT, input, 0), now);
            assert_eq!(expected(&reads, PROMPT, now), least, "minute {minute}");
        }
    }

    #[test]
    fn of_another_tenant_model_or_prompt_nothing_is_expected() {
        let mut reads = Reads::default();
        reads.learn(&settle(PROMPT, 10_000, 0), MINUTE);
        reads.learn(&settle(PROMPT, 500, 0), MINUTE);
        assert_eq!(expected(&reads, PROMPT, MINUTE), 7_600);
        assert_eq!(expected(&reads, CachedPrompt { prefix: 8, ..PROMPT }, MINUTE), 0);
        for (tenant, model) in [("u", "m"), ("t", "n")] {
            assert_eq!(reads.expected(tenant, model, Some(PROMPT), MINUTE), 0);
        }
        assert_eq!(reads.expected("t", "m", None, MINUTE), 0, "not marked");
    }

    #[test]
    fn what_was_not_used_for_its_lifetime_counts_in_full_again() {
        for (hour, lives) in [(false, TTL_MS), (true, TTL_1H_MS)] {
            let prompt = CachedPrompt { hour, ..PROMPT };
            let mut reads = Reads::default();
            reads.learn(&settle(prompt, 10_000, 0), MINUTE);
            reads.learn(&settle(prompt, 500, 0), 2 * MINUTE);
            let end = 2 * MINUTE + lives - EARLY_MS;
            assert_eq!(expected(&reads, prompt, end - 1), 7_600);
            assert_eq!(expected(&reads, prompt, end), 0);
            // Whoever comes then writes it anew, which is no sample.
            reads.learn(&settle(prompt, 10_000, 0), end);
            assert_eq!(expected(&reads, prompt, end), 7_600);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut reads = Reads::default();
        for prefix in 0..100_000 {
            reads.learn(&settle(CachedPrompt { prefix, hour: false }, 1, 0), MINUTE);
        }
        assert_eq!(reads.places.len(), PLACES);
    }
}
