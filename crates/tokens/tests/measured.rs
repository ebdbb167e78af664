//! The estimate against what Claude itself counted, where that is public, as it
//! comes and as corrected by the other kinds of text (data/measured.toml).

use tokens::calibration::{Kinds, Learner};
use tokens::{Estimate, Family, Features, estimate, kinds};
use toml::{Table, Value};

struct Measured {
    class: String,
    real: u64,
    features: Features,
}

impl Measured {
    fn all() -> Vec<Self> {
        let table: Table = include_str!("../data/measured.toml").parse().expect("TOML");
        table["text"].as_array().expect("a list").iter().map(Self::of).collect()
    }

    fn of(row: &Value) -> Self {
        let number = |name: &str| row[name].as_integer().expect(name) as u64;
        let features = Features {
            bytes: number("bytes"),
            code_points: number("code_points"),
            latin_letters: number("latin_letters"),
            words: number("words"),
            digits: number("digits"),
            numbers: number("numbers"),
            structure: number("structure"),
            structure_runs: number("structure_runs"),
            whitespace: number("whitespace"),
            breaks: number("breaks"),
            latin_accented: number("latin_accented"),
            cyrillic: number("cyrillic"),
            two_byte: number("two_byte"),
            brahmic: number("brahmic"),
            symbols: number("symbols"),
            cjk: number("cjk"),
            astral: number("astral"),
            repeats: number("repeats"),
        };
        let class = row["class"].as_str().expect("text").to_owned();
        Self { class, real: number("tokens"), features }
    }

    fn kinds(&self) -> Kinds {
        kinds(&self.features, Family::From47)
    }

    fn error(&self, estimate: u64) -> f64 {
        estimate as f64 / self.real as f64 - 1.0
    }
}

#[test]
fn what_opus_5_counted_is_within_a_fifth_and_within_the_bounds() {
    for text in Measured::all() {
        let Estimate { lower, estimate, upper } = estimate(&text.features, Family::From47);
        let error = text.error(estimate);
        println!("{:10} {:5} counted, {estimate:5} estimated: {error:+.3}", text.class, text.real);
        assert!(error.abs() < 0.2, "{}: {error:+.3}", text.class);
        assert!(lower <= text.real && text.real <= upper, "{}", text.class);
    }
}

/// Learned from six kinds of text, tried on the seventh: that helps nothing, as each
/// of these texts is one sentence over and over, but it must do little harm. What was
/// learned of is estimated well.
#[test]
fn a_kind_of_text_is_learned_and_spoils_the_others_little() {
    let texts = Measured::all();
    let (mut before, mut after) = (0.0, 0.0);
    let mut learned = Learner::default();
    for _ in 0..20 {
        texts.iter().for_each(|text| learned.learn(&text.kinds(), text.real));
    }
    for left_out in &texts {
        let mut learner = Learner::default();
        for _ in 0..20 {
            for text in texts.iter().filter(|text| text.class != left_out.class) {
                learner.learn(&text.kinds(), text.real);
            }
        }
        let kinds = left_out.kinds();
        let error = left_out.error(learner.told().estimate(&kinds));
        let prior = left_out.error(kinds.iter().sum());
        let seen = left_out.error(learned.told().estimate(&kinds));
        println!("{:10} {prior:+.3}, unseen {error:+.3}, seen {seen:+.3}", left_out.class);
        assert!(error.abs() < prior.abs() + 0.15, "{}: {error:+.3}", left_out.class);
        before += prior.abs();
        after += seen.abs();
    }
    let count = texts.len() as f64;
    println!("mean {:.3}, seen {:.3}", before / count, after / count);
    assert!(after < before / 2.0, "{after} {before}");
}
