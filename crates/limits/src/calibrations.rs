//! How far the Worker's estimates of input are off, learned by model and kind of text
//! from what the provider counted (`tokens::calibration`).
//!
//! All tenants teach one calibration of a model, as its tokenizer is one for all; it
//! holds weights and bounds, nothing of any request. Each tenant that sends has about the
//! same say in it, for who sends most would else decide what all others are taken for.

use std::hash::Hasher;

use tokens::calibration::{self, Kinds, Learner, Teachers};
use tokens::{PRIOR, undated};

use crate::map::Mix;
use crate::message::{Calibration, Millis, Tokens};

/// Models remembered, at 1.5 KiB each. Only what the provider answered teaches, so
/// there are no more than it has models; beyond, estimates stay as they are.
const MODELS_MAX: usize = 64;
/// One request of a model teaches in this span: a tokenizer does not change faster
/// than that, and learning costs more than all else of a settlement.
const EVERY_MS: Millis = 100;
/// A tenant that teaches less than others does so at once, and they wait the longer; but
/// no more than this, so that ten requests teach in a second all the same.
const AHEAD_MS: Millis = 1_000;

/// All that was learned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calibrations {
    /// A few, in the order in which they were met.
    models: Vec<Model>,
}

#[derive(Clone, Debug, Default)]
struct Model {
    /// Its id without a date.
    id: String,
    learner: Learner,
    /// The tenants; not stored, as a minute's requests tell who they are.
    teachers: Teachers,
    learns_at: Millis,
    is_unsaved: bool,
}

impl Calibrations {
    /// The input that `estimate` will turn out to be, of which `kinds` are corrected: a
    /// little above the mean, so that the input bucket is not overrun.
    pub(crate) fn input(&self, model: &str, kinds: &Kinds, estimate: Tokens) -> Tokens {
        let id = undated(model);
        let Some(Model { learner, .. }) = self.models.iter().find(|known| known.id == id) else {
            return estimate;
        };
        let text = learner.told().estimate(kinds);
        // Half of the mean distance from it.
        let margin = text.saturating_mul(learner.off_permille()) / 2_000;
        let of_kinds = kinds.iter().fold(0_u64, |sum, kind| sum.saturating_add(*kind));
        text.saturating_add(margin).saturating_add(estimate.saturating_sub(of_kinds))
    }

    /// The provider counted `real` tokens of a tenant's request that had nothing but these
    /// kinds.
    pub(crate) fn learn(
        &mut self,
        tenant: &str,
        model: &str,
        kinds: &Kinds,
        real: Tokens,
        now: Millis,
    ) {
        if real == 0 || *kinds == Kinds::default() {
            return;
        }
        let Some(model) = self.model(undated(model)) else { return };
        let mut mix = Mix::default();
        mix.write(tenant.as_bytes());
        let tenant = mix.finish();
        let is_early = now < model.learns_at;
        if is_early && (now + AHEAD_MS <= model.learns_at || !model.teachers.is_rarer(tenant)) {
            return;
        }
        model.learner.learn(kinds, real, model.teachers.weigh(tenant));
        (model.learns_at, model.is_unsaved) = (model.learns_at.max(now) + EVERY_MS, true);
    }

    /// The model of this id, made where it is new; none where there is no room for it.
    fn model(&mut self, id: &str) -> Option<&mut Model> {
        let at = self.models.iter().position(|known| known.id == id);
        let at = at.unwrap_or(self.models.len());
        if at == self.models.len() && at < MODELS_MAX {
            self.models.push(Model { id: id.to_owned(), ..Model::default() });
        }
        self.models.get_mut(at)
    }

    /// What was learned of each model, for `/v1/limits`.
    pub(crate) fn told(&self) -> Vec<(String, Calibration)> {
        let told = |Model { id, learner, .. }: &Model| {
            let calibration::Calibration { weights, lower, upper } = learner.told();
            (id.clone(), Calibration { weights, lower, upper })
        };
        self.models.iter().map(told).collect()
    }

    /// The row to store of a model that has learned since its last one: until there is
    /// none.
    pub(crate) fn save(&mut self) -> Option<(&str, Option<String>)> {
        let model = self.models.iter_mut().find(|model| model.is_unsaved)?;
        model.is_unsaved = false;
        let mut numbers = model.learner.save();
        numbers.insert(0, PRIOR);
        Some((&model.id, serde_json::to_string(&numbers).ok()))
    }

    /// Takes a stored row back; one that cannot be read, or that corrects what a former
    /// version estimated otherwise, is learned anew.
    pub(crate) fn restore(&mut self, model: &str, row: &str) {
        let numbers: Vec<i64> = json::from_str(row).unwrap_or_default();
        let [PRIOR, learned @ ..] = numbers.as_slice() else { return };
        if let Some((model, learner)) = self.model(model).zip(Learner::restore(learned)) {
            model.learner = learner;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: Kinds = [900, 0, 0, 0, 0, 0, 0, 100];

    fn learned(reals: &[Tokens]) -> Calibrations {
        let mut calibrations = Calibrations::default();
        for (n, real) in reals.iter().enumerate() {
            calibrations.learn("t", "m-20251001", &KINDS, *real, n as u64 * EVERY_MS);
        }
        calibrations
    }

    #[test]
    fn estimates_follow_what_was_counted_from_above() {
        assert_eq!(Calibrations::default().input("m", &KINDS, 1_200), 1_200);
        let calibrations = learned(&[1_280, 1_320].repeat(50));
        let of_text = calibrations.input("m", &KINDS, 1_000);
        assert!((1_300..=1_340).contains(&of_text), "{of_text}");
        let with_image = calibrations.input("m", &KINDS, 1_000 + 2_000);
        assert_eq!(with_image, of_text + 2_000, "an image is what it is");
        assert_eq!(calibrations.input("other", &KINDS, 1_000), 1_000);
        let broken = learned(&[u64::MAX; 100]);
        assert_eq!(broken.input("m", &KINDS, 1_000), 1_000, "no tokenizer is so far off");
    }

    #[test]
    fn estimates_are_corrected_as_browsers_correct_them() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../calibration/src/corrected.json"))
                .expect("JSON");
        let mut tried = 0;
        for case in cases.as_array().expect("a list") {
            let number = |of: &serde_json::Value| of.as_u64().expect("whole");
            let list = |of: &serde_json::Value| -> Vec<u64> {
                of.as_array().expect("a list").iter().map(number).collect()
            };
            let weights = list(&case["calibration"]["weights"]);
            // A row with these weights; others than a quarter to four times none has.
            let mut row = Learner::default().save();
            for (at, weight) in weights.iter().enumerate() {
                row[2 + at] = *weight as i64 * 1_000_000;
            }
            let mut calibrations = Calibrations::default();
            row.insert(0, PRIOR);
            calibrations.restore("m", &serde_json::to_string(&row).expect("numbers"));
            if calibrations.told()[0].1.weights.as_slice() != weights {
                continue;
            }
            let kinds: Kinds = list(&case["kinds"]).try_into().expect("kinds");
            let estimate = calibrations.input("m", &kinds, number(&case["prior"]["estimate"]));
            assert_eq!(estimate, number(&case["corrected"]["estimate"]), "{}", case["why"]);
            tried += 1;
        }
        assert!(tried >= 12, "{tried}");
    }

    #[test]
    fn a_kind_is_told_from_the_others() {
        let mut calibrations = Calibrations::default();
        let (words, signs) = ([1_000, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1_000, 0]);
        for n in 0..200 {
            calibrations.learn("t", "m", &words, 1_400, 2 * n * EVERY_MS);
            calibrations.learn("t", "m", &signs, 800, (2 * n + 1) * EVERY_MS);
        }
        assert!((1_390..=1_440).contains(&calibrations.input("m", &words, 1_000)));
        assert!((790..=830).contains(&calibrations.input("m", &signs, 1_000)));
    }

    #[test]
    fn rows_come_back_and_memory_is_bounded() {
        let mut calibrations = learned(&[1_400; 100]);
        let (model, row) = calibrations.save().expect("it learned");
        let (model, row) = (model.to_owned(), row.expect("numbers"));
        assert_eq!(calibrations.save(), None);
        let mut again = Calibrations::default();
        again.restore(&model, &row);
        assert_eq!(again.told(), calibrations.told());
        again.restore(&model, "[1,2]");
        assert_eq!(again.told(), calibrations.told(), "what is broken changes nothing");
        let mut other = Calibrations::default();
        other.restore(&model, &row.replacen(&PRIOR.to_string(), "1", 1));
        assert_eq!(other.told(), [], "it corrects other estimates");
        for n in 0..1_000 {
            again.learn("t", &format!("m{n}"), &KINDS, 1_000, 0);
        }
        assert_eq!(again.told().len(), MODELS_MAX);
    }

    #[test]
    fn of_many_at_a_time_one_teaches() {
        let mut calibrations = learned(&[1_000; 100]);
        let before = calibrations.told();
        let now = 99 * EVERY_MS;
        (0..1_000).for_each(|_| calibrations.learn("t", "m", &KINDS, 2_000, now));
        assert_eq!(calibrations.told(), before);
        calibrations.learn("t", "m", &KINDS, 2_000, now + EVERY_MS);
        assert_ne!(calibrations.told(), before);
    }

    /// A minute in which `odd` tenants' requests come to twice the estimate, each two hundred a
    /// second, and `even` tenants' to the estimate, each one a second: the words' weight.
    fn weight_of_words(odd: u64, even: u64) -> u64 {
        let mut calibrations = Calibrations::default();
        for tick in 0..12_000 {
            let now = tick * 5;
            for n in 0..odd {
                calibrations.learn(&format!("odd{n}"), "m", &KINDS, 2_000, now);
            }
            for n in (0..even).filter(|n| tick % 200 == 31 * (n + 1)) {
                calibrations.learn(&format!("even{n}"), "m", &KINDS, 1_000, now);
            }
        }
        calibrations.told()[0].1.weights[0]
    }

    #[test]
    fn who_sends_much_teaches_no_more_than_each_of_the_others() {
        let alone = weight_of_words(1, 0);
        assert!(alone > 1_950, "{alone}");
        let of_five = weight_of_words(1, 4);
        assert!((1_000..=1_200).contains(&of_five), "{of_five}");
        let of_three = weight_of_words(2, 1);
        assert!(of_three > 1_500, "{of_three}: two are more than one");
    }

    #[test]
    fn ten_teach_in_a_second_however_many_send_little() {
        let mut calibrations = learned(&[1_000; 100]);
        let (mut taught, start) = (0, 100 * EVERY_MS);
        for n in 0..10_000 {
            let before = calibrations.models[0].learns_at;
            calibrations.learn(&format!("t{n}"), "m", &KINDS, 1_000, start + n);
            taught += usize::from(calibrations.models[0].learns_at != before);
        }
        assert!((100..=110).contains(&taught), "{taught}");
    }
}
