//! The estimate's error over texts of your own: `cargo run --release -p
//! tollgate-tokens --example error -- FILES`. The reference is o200k's count times
//! the published range of Claude's ratio to it, since Claude's own is not public.

use std::{env, fs};

use tokens::{Estimate, Family, FeatureScanner, estimate};

/// Published ratios of Claude's count to o200k's over all classes of text
/// (JOHNISKING/token-cost-*, llxprt-code issue 2835, sol.ava.dev; 2026).
const RATIOS: [(Family, f64, f64); 2] =
    [(Family::UpTo46, 1.06, 1.27), (Family::From47, 1.18, 1.82)];

fn main() {
    let o200k = tiktoken_rs::o200k_base().expect("the vocabulary is compiled in");
    println!("{:40} {:>8}  up to 4.6: estimate/o200k   from 4.7", "text", "o200k");
    for path in env::args().skip(1) {
        let Ok(text) = fs::read_to_string(&path) else {
            println!("{path}: no UTF-8 text");
            continue;
        };
        let reference = o200k.encode_ordinary(&text).len();
        let mut scanner = FeatureScanner::default();
        scanner.feed(text.as_bytes());
        print!(
            "{:40} {reference:8}",
            path.chars().rev().take(40).collect::<Vec<_>>().iter().rev().collect::<String>()
        );
        for (family, low, high) in RATIOS {
            let Estimate { lower, estimate, upper } = estimate(&scanner.features(), family);
            let ratio = estimate as f64 / reference as f64;
            let range = if (low..=high).contains(&ratio) { " " } else { "!" };
            print!("  {ratio:5.2}{range} [{lower}, {estimate}, {upper}]");
        }
        println!();
    }
}
