//! The corrections of calibrations.json, which the npm package makes by itself and
//! has to make alike (wasm-client/test/calibration.test.mjs reads the same file).

use serde_json::Value;
use tokens::Estimate;
use tokens::calibration::Calibration;

#[test]
fn an_estimate_is_corrected_as_the_npm_package_does_it() {
    let cases: Value = serde_json::from_str(include_str!("calibrations.json")).expect("JSON");
    let cases = cases.as_array().expect("a list");
    assert!(cases.len() >= 8);
    for case in cases {
        let calibration = Calibration {
            weights: numbers(&case["calibration"]["weights"]),
            lower: numbers(&case["calibration"]["lower"]),
            upper: numbers(&case["calibration"]["upper"]),
        };
        let corrected = calibration.apply(&numbers(&case["kinds"]), estimate(&case["prior"]));
        assert_eq!(corrected, estimate(&case["corrected"]), "{}", case["why"]);
    }
}

fn numbers<const N: usize>(list: &Value) -> [u64; N] {
    std::array::from_fn(|at| list[at].as_u64().expect("a number"))
}

fn estimate(of: &Value) -> Estimate {
    let [lower, estimate, upper] =
        ["lower", "estimate", "upper"].map(|name| of[name].as_u64().expect("a number"));
    Estimate { lower, estimate, upper }
}
