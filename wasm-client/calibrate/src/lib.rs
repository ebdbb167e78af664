//! Learning a calibration, for `tollgate calibrate`: a module of its own, so that what
//! pages load has nothing of it.

use tokens::calibration::{Calibration, KINDS, Kinds, Learner, WHOLE};
use wasm_bindgen::prelude::wasm_bindgen;

/// One model's learner.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Calibrator {
    learner: Learner,
}

#[wasm_bindgen]
impl Calibrator {
    /// Starts at the prior.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// A request was estimated by these kinds, and `real` tokens were counted.
    pub fn learn(&mut self, kinds: &[f64], real: f64) {
        let mut of: Kinds = [0; KINDS];
        for (of, kind) in of.iter_mut().zip(kinds) {
            // Saturates, and takes NaN for 0.
            *of = *kind as u64;
        }
        self.learner.learn(&of, real as u64, WHOLE);
    }

    /// What was learned: weights, lower and upper bounds, one after the other.
    pub fn told(&self) -> Vec<f64> {
        let Calibration { weights, lower, upper } = self.learner.told();
        weights.into_iter().chain(lower).chain(upper).map(|number| number as f64).collect()
    }
}
