//! What a fit of the estimate reads of each text: `benches/tokens/fit.mjs` gives a JSON
//! list of texts and gets a list of rows, o200k's count first, then each feature that
//! has a weight, in the order of data/estimate.toml.

use std::io::{self, Read};

use tokens::FeatureScanner;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let o200k = tiktoken_rs::o200k_base()?;
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let texts: Vec<String> = serde_json::from_str(&input)?;
    let row = |text: &String| {
        let mut scanner = FeatureScanner::default();
        scanner.feed(text.as_bytes());
        let f = scanner.features();
        [
            o200k.encode_ordinary(text).len() as u64,
            f.words,
            f.latin_letters,
            f.numbers,
            f.digits,
            f.structure_runs,
            f.structure,
            f.breaks,
            f.whitespace,
            f.latin_accented,
            f.cyrillic,
            f.two_byte,
            f.brahmic,
            f.symbols,
            f.cjk,
            f.astral,
            f.repeats,
        ]
    };
    let rows: Vec<_> = texts.iter().map(row).collect();
    serde_json::to_writer(io::stdout(), &rows)?;
    Ok(())
}
