//! What an answer costs and the most that a request can cost, in micro-dollars.
//!
//! Rates are micro-dollars per million tokens, that is picodollars a token: sums
//! are whole picodollars, rounded up once at the end. From data/prices.toml.

use tokens::undated;

use crate::{Iteration, IterationKind, ServiceTier, Speed, Usage};

include!(concat!(env!("OUT_DIR"), "/prices.rs"));

/// Money, and whether it is the price list's own or an upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Millionths of a US dollar, rounded up.
    pub microusd: u64,
    /// True where something had to be assumed (always the dearer case).
    pub estimated: bool,
}

/// What decides the price of a request before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Asked for; dearer where the model has it.
    pub speed: Speed,
    /// True where `inference_geo` rules out the United States surcharge.
    pub not_us: bool,
    /// What the request may write to the prompt cache.
    pub cache: CacheWrites,
    /// The most web searches it may make.
    pub web_searches: u64,
}

/// The dearest cache write that a request can cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheWrites {
    /// No `cache_control` in it.
    No,
    /// 5 minutes.
    FiveMinutes,
    /// An hour, or not known.
    #[default]
    Hour,
}

/// What this usage of `model` costs at the prices of `at_ms` (Unix epoch). For a
/// model that the list lacks: at the dearest row, estimated.
pub fn cost(model: &str, usage: &Usage, at_ms: u64) -> Cost {
    let conditions = Conditions {
        fast: usage.speed == Some(Speed::Fast),
        us: usage.inference_geo.as_deref() == Some("us"),
        batch: usage.service_tier == Some(ServiceTier::Batch),
    };
    // Where a fallback model served, the totals are its own, and each declined
    // hop is an entry of kind message with its model (SDK 2.13.0, usage types).
    let served = usage.iterations.iter().find(|pass| pass.kind == IterationKind::Fallback);
    let main = served.and_then(|pass| pass.model.as_deref()).unwrap_or(model);
    let mut bill = Bill { at_ms, conditions, pico: 0, estimated: false };
    bill.add(main, &Pass::of_usage(usage));
    for pass in &usage.iterations {
        let billed_apart = match pass.kind {
            IterationKind::Compaction | IterationKind::Advisor => true,
            IterationKind::Message => {
                served.is_some() && pass.model.as_deref().is_some_and(|name| name != main)
            }
            IterationKind::Fallback => false,
            IterationKind::Unknown => {
                bill.estimated = true;
                true
            }
        };
        if billed_apart {
            bill.add(pass.model.as_deref().unwrap_or(model), &Pass::of_iteration(pass));
        }
    }
    bill.total(usage.web_searches)
}

/// The most that a request can cost: `input` tokens at their dearest rate and
/// `max_tokens` of output. For a model that the list lacks: at the dearest row.
pub fn most(model: &str, input: u64, max_tokens: u64, terms: Terms, at_ms: u64) -> Cost {
    let conditions =
        Conditions { fast: terms.speed == Speed::Fast, us: !terms.not_us, batch: false };
    let mut pass = Pass { prompt: input, output: max_tokens, ..Pass::default() };
    match terms.cache {
        CacheWrites::No => pass.input = input,
        CacheWrites::FiveMinutes => pass.write_5m = input,
        CacheWrites::Hour => pass.write_1h = input,
    }
    let mut bill = Bill { at_ms, conditions, pico: 0, estimated: false };
    bill.add(model, &pass);
    bill.total(terms.web_searches)
}

#[derive(Debug)]
struct Price {
    model: &'static str,
    from_ms: u64,
    rates: Rates,
    /// Above so many prompt tokens the whole request has these rates.
    long: Option<(u64, Rates)>,
    /// Input and output in fast mode.
    fast: Option<(u64, u64)>,
    us: bool,
}

/// Micro-dollars per million tokens.
#[derive(Clone, Copy, Debug)]
struct Rates {
    input: u64,
    output: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    cache_read: u64,
}

#[derive(Clone, Copy)]
struct Conditions {
    fast: bool,
    us: bool,
    batch: bool,
}

/// Tokens of one pass of one model.
#[derive(Default)]
struct Pass {
    /// All input, for prices by prompt length.
    prompt: u64,
    input: u64,
    write_5m: u64,
    write_1h: u64,
    read: u64,
    output: u64,
    /// Cache writes whose lifetime is not told were counted as an hour's.
    lifetime_unknown: bool,
}

impl Pass {
    fn of_usage(u: &Usage) -> Self {
        Self::new([
            u.input,
            u.cache_creation,
            u.cache_creation_5m,
            u.cache_creation_1h,
            u.cache_read,
            u.output,
        ])
    }

    fn of_iteration(i: &Iteration) -> Self {
        Self::new([
            i.input,
            i.cache_creation,
            i.cache_creation_5m,
            i.cache_creation_1h,
            i.cache_read,
            i.output,
        ])
    }

    fn new([input, written, write_5m, write_1h, read, output]: [u64; 6]) -> Self {
        let untold = written.saturating_sub(write_5m.saturating_add(write_1h));
        let all = written.max(write_5m.saturating_add(write_1h));
        Self {
            prompt: input.saturating_add(all).saturating_add(read),
            input,
            write_5m,
            write_1h: write_1h.saturating_add(untold),
            read,
            output,
            lifetime_unknown: untold > 0,
        }
    }
}

struct Bill {
    at_ms: u64,
    conditions: Conditions,
    pico: u128,
    estimated: bool,
}

impl Bill {
    fn add(&mut self, model: &str, pass: &Pass) {
        self.estimated |= pass.lifetime_unknown;
        let sum = match price_of(model, self.at_ms) {
            Some(price) => price.pico(pass, self.conditions),
            None => {
                self.estimated = true;
                PRICES.iter().map(|price| price.pico(pass, self.conditions)).max().unwrap_or(0)
            }
        };
        self.pico = self.pico.saturating_add(sum);
    }

    fn total(self, web_searches: u64) -> Cost {
        let tokens = div_ceil(self.pico, 1_000_000);
        let searches = u128::from(web_searches) * u128::from(WEB_SEARCH_MICROUSD);
        Cost {
            microusd: u64::try_from(tokens.saturating_add(searches)).unwrap_or(u64::MAX),
            estimated: self.estimated,
        }
    }
}

/// The row in force at a time; before the first one, the first.
fn price_of(model: &str, at_ms: u64) -> Option<&'static Price> {
    let id = undated(model);
    let rows = || PRICES.iter().filter(|price| price.model == id);
    rows().rev().find(|price| price.from_ms <= at_ms).or_else(|| rows().next())
}

impl Price {
    fn pico(&self, pass: &Pass, conditions: Conditions) -> u128 {
        let rates = match &self.long {
            Some((above, rates)) if pass.prompt > *above => rates,
            _ => &self.rates,
        };
        let input = [
            (pass.input, rates.input),
            (pass.write_5m, rates.cache_write_5m),
            (pass.write_1h, rates.cache_write_1h),
            (pass.read, rates.cache_read),
        ];
        let input: u128 = input.iter().map(|(n, rate)| u128::from(*n) * u128::from(*rate)).sum();
        let output = u128::from(pass.output);
        let sum = match self.fast.filter(|_| conditions.fast) {
            // Caching multipliers stack on the fast input rate (docs, fast mode).
            Some((fast_input, fast_output)) => {
                div_ceil(input * u128::from(fast_input), rates.input.max(1))
                    + output * u128::from(fast_output)
            }
            None => input + output * u128::from(rates.output),
        };
        let sum = if conditions.us && self.us { div_ceil(sum * 11, 10) } else { sum };
        if conditions.batch { div_ceil(sum, 2) } else { sum }
    }
}

/// Of a divisor below 2^48. By hand: what the compiler brings along for 128 bits is a
/// kilobyte, in every page that counts.
fn div_ceil(number: u128, by: u64) -> u128 {
    debug_assert!((1..1 << 48).contains(&by), "a remainder and one more digit fit 64 bits");
    let (mut quotient, mut rest) = (0, 0);
    for digit in (0..128).step_by(16).rev() {
        let part = rest << 16 | u64::from((number >> digit) as u16);
        quotient = quotient << 16 | u128::from(part / by);
        rest = part % by;
    }
    quotient + u128::from(rest > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-24.
    const NOW: u64 = 1_795_478_400_000;

    fn usage(input: u64, output: u64) -> Usage {
        Usage { input, output, ..Usage::default() }
    }

    #[test]
    fn a_million_tokens_cost_what_the_list_says() {
        let m = 1_000_000;
        let table = [
            ("claude-sonnet-5-5", usage(m, m), 12_000_000),
            ("claude-haiku-4-5-20251001", usage(m, m), 6_000_000),
            ("claude-haiku-5-5", usage(100_000, 0), 10_000),
            ("claude-haiku-5-5", usage(100_001, 0), 50_001),
            ("claude-fable-5-2", Usage { cache_read: m, ..usage(0, 0) }, 200_000),
            (
                "claude-opus-5-5",
                Usage { cache_creation: m, cache_creation_1h: m, ..usage(0, 0) },
                8_000_000,
            ),
            ("claude-opus-5-5", Usage { speed: Some(Speed::Fast), ..usage(m, m) }, 48_000_000),
            ("claude-opus-4-7", Usage { speed: Some(Speed::Fast), ..usage(m, m) }, 30_000_000),
            (
                "claude-sonnet-5-5",
                Usage { inference_geo: Some("us".into()), ..usage(m, m) },
                13_200_000,
            ),
            (
                "claude-haiku-4-5",
                Usage { inference_geo: Some("us".into()), ..usage(m, m) },
                6_000_000,
            ),
            (
                "claude-sonnet-5-5",
                Usage { service_tier: Some(ServiceTier::Batch), ..usage(m, m) },
                6_000_000,
            ),
            ("claude-sonnet-5-5", Usage { web_searches: 3, ..usage(0, 0) }, 30_000),
            ("claude-haiku-5-5", usage(1, 0), 1),
        ];
        for (model, usage, microusd) in table {
            assert_eq!(
                cost(model, &usage, NOW),
                Cost { microusd, estimated: false },
                "{model} {usage:?}"
            );
        }
    }

    #[test]
    fn what_is_not_told_is_charged_at_its_dearest_and_flagged() {
        let untold = Usage { cache_creation: 1_000_000, ..Usage::default() };
        assert_eq!(
            cost("claude-opus-5-5", &untold, NOW),
            Cost { microusd: 8_000_000, estimated: true }
        );
        assert_eq!(
            cost("claude-saga-6", &usage(1_000_000, 0), NOW),
            Cost { microusd: 10_000_000, estimated: true }
        );
    }

    #[test]
    fn advisor_and_compaction_come_on_top_and_messages_do_not() {
        let pass = |kind, model: Option<&str>| Iteration {
            kind,
            model: model.map(Into::into),
            input: 1_000_000,
            ..Iteration::default()
        };
        let mut whole = usage(1_000_000, 0);
        whole.iterations = vec![
            pass(IterationKind::Message, None),
            pass(IterationKind::Advisor, Some("claude-fable-5-2")),
            pass(IterationKind::Compaction, None),
        ];
        assert_eq!(
            cost("claude-sonnet-5-5", &whole, NOW).microusd,
            2_000_000 + 8_000_000 + 2_000_000
        );
    }

    #[test]
    fn a_fallback_answer_is_priced_at_the_model_that_served() {
        let pass = |kind, model: &str| Iteration {
            kind,
            model: Some(model.into()),
            input: 1_000_000,
            ..Iteration::default()
        };
        let mut served = usage(1_000_000, 0);
        served.iterations = vec![
            pass(IterationKind::Message, "claude-fable-5-2"),
            pass(IterationKind::Fallback, "claude-opus-5-5"),
        ];
        assert_eq!(cost("claude-fable-5-2", &served, NOW).microusd, 8_000_000 + 4_000_000);
    }

    proptest! {
        #[test]
        fn division_is_that_of_whole_numbers(
            number: u128, shift in 0u32..128, by in 1u64..1 << 48, narrow in 0u32..48,
        ) {
            let (number, by) = (number >> shift, (by >> narrow).max(1));
            prop_assert_eq!(div_ceil(number, by), number.div_ceil(u128::from(by)));
        }
    }

    proptest! {
        #[test]
        fn the_most_is_never_less_than_the_cost(
            model in prop::sample::select(vec!["claude-haiku-5-5", "claude-opus-5-5", "claude-fable-5-2", "claude-opus-4-5", "x"]),
            parts in prop::array::uniform5(0u64..300_000),
            fast: bool, us: bool, more in 0u64..1000,
        ) {
            let [input, five, hour, read, output] = parts;
            let speed = if fast { Speed::Fast } else { Speed::Standard };
            let used = Usage {
                input, output, cache_creation: five + hour, cache_creation_5m: five, cache_creation_1h: hour,
                cache_read: read, speed: Some(speed), inference_geo: us.then(|| "us".into()), ..Usage::default()
            };
            let terms = Terms { speed, not_us: !us, cache: CacheWrites::Hour, web_searches: 0 };
            let spent = cost(model, &used, NOW).microusd;
            prop_assert!(spent <= most(model, used.input_total(), output, terms, NOW).microusd);
            let longer = Usage { input: input + more, ..used.clone() };
            prop_assert!(spent <= cost(model, &longer, NOW).microusd);
            let longer = Usage { output: output + more, ..used };
            prop_assert!(spent <= cost(model, &longer, NOW).microusd);
        }

        #[test]
        fn no_number_overflows(parts in prop::array::uniform5(any::<u64>()), searches: u64) {
            let [input, created, hour, read, output] = parts;
            let used = Usage {
                input, output, cache_creation: created, cache_creation_1h: hour, cache_read: read,
                web_searches: searches, speed: Some(Speed::Fast), inference_geo: Some("us".into()), ..Usage::default()
            };
            cost("claude-opus-5-5", &used, NOW);
            cost("nobody", &used, NOW);
        }
    }
}
