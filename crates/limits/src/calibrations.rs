//! How far the Worker's estimates of input are off, learned by model and kind of text
//! from what the provider counted (`tokens::calibration`).
//!
//! All tenants teach one calibration of a model, as its tokenizer is one for all; it
//! holds weights and bounds, nothing of any request.

use tokens::calibration::{self, Kinds, Learner};
use tokens::{PRIOR, undated};

use crate::message::{Calibration, Millis, Tokens};

/// Models remembered, at a kilobyte each. Only what the provider answered teaches, so
/// there are no more than it has models; beyond, estimates stay as they are.
const MODELS_MAX: usize = 64;
/// One request of a model teaches in this span: a tokenizer does not change faster
/// than that, and learning costs more than all else of a settlement.
const EVERY_MS: Millis = 100;

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

    /// The provider counted `real` tokens of a request that had nothing but these kinds.
    pub(crate) fn learn(&mut self, model: &str, kinds: &Kinds, real: Tokens, now: Millis) {
        if real == 0 || *kinds == Kinds::default() {
            return;
        }
        let Some(model) = self.model(undated(model)).filter(|model| now >= model.learns_at) else {
            return;
        };
        model.learner.learn(kinds, real);
        (model.learns_at, model.is_unsaved) = (now + EVERY_MS, true);
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
            calibrations.learn("m-20251001", &KINDS, *real, n as u64 * EVERY_MS);
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
    fn a_kind_is_told_from_the_others() {
        let mut calibrations = Calibrations::default();
        let (words, signs) = ([1_000, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1_000, 0]);
        for n in 0..200 {
            calibrations.learn("m", &words, 1_400, 2 * n * EVERY_MS);
            calibrations.learn("m", &signs, 800, (2 * n + 1) * EVERY_MS);
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
            again.learn(&format!("m{n}"), &KINDS, 1_000, 0);
        }
        assert_eq!(again.told().len(), MODELS_MAX);
    }

    #[test]
    fn of_many_at_a_time_one_teaches() {
        let mut calibrations = learned(&[1_000; 100]);
        let before = calibrations.told();
        let now = 99 * EVERY_MS;
        (0..1_000).for_each(|_| calibrations.learn("m", &KINDS, 2_000, now));
        assert_eq!(calibrations.told(), before);
        calibrations.learn("m", &KINDS, 2_000, now + EVERY_MS);
        assert_ne!(calibrations.told(), before);
    }
}
