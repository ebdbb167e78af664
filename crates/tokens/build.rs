//! Turns data/*.toml into constants, so that nothing is parsed at run time.

#[path = "build/facts.rs"]
mod facts;

use std::{env, fs};

use facts::rows;
use toml::{Table, Value};

const FEATURES: [&str; 16] = [
    "words",
    "latin_letters",
    "numbers",
    "digits",
    "structure_runs",
    "structure",
    "breaks",
    "whitespace",
    "latin_accented",
    "cyrillic",
    "two_byte",
    "brahmic",
    "symbols",
    "cjk",
    "astral",
    "repeats",
];

fn main() {
    println!("cargo::rerun-if-changed=data");
    println!("cargo::rerun-if-changed=build");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let (estimate, overhead) = (estimate(), overhead());
    let prior = fingerprint(&[estimate.as_str(), &overhead].concat());
    let estimate = estimate
        + "/// Of what estimates are made of: what was learned of others corrects none of these.\n"
        + &format!("pub const PRIOR: i64 = {prior};\n");
    fs::write(format!("{out}/estimate.rs"), estimate).expect("OUT_DIR is writable");
    fs::write(format!("{out}/overhead.rs"), overhead).expect("OUT_DIR is writable");
}

/// FNV-1a, of which JSON's numbers hold all.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn load(file: &str, kind: &str) -> Vec<Table> {
    let path = format!("data/{file}.toml");
    let text = fs::read_to_string(&path).expect("the data file is there");
    rows(&text, kind).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn estimate() -> String {
    let mut code = String::new();
    for row in load("estimate", "family") {
        let weights: String =
            FEATURES.iter().map(|name| format!("{name}: {}, ", number(&row, name))).collect();
        let name = text(&row, "name").to_uppercase();
        code += &format!("static {name}: Weights = Weights {{ {weights} }};\n");
    }
    let lower = number(&load("estimate", "lower_bound")[0], "permille");
    assert!(lower <= 1000, "a lower bound above the estimate");
    code + &format!("const LOWER_PERMILLE: u64 = {lower};\n")
}

fn overhead() -> String {
    let mut code = String::new();
    for name in ["request", "message"] {
        let row = &load("overhead", name)[0];
        let [lower, estimate, upper] = ["lower", "estimate", "upper"].map(|key| number(row, key));
        assert!(lower <= estimate && estimate <= upper, "{name}: bounds out of order");
        code += &format!(
            "const {}: Estimate = Estimate {{ lower: {lower}, estimate: {estimate}, upper: {upper} }};\n",
            name.to_uppercase()
        );
    }
    for row in load("overhead", "image") {
        let [edge, tokens, resized] = ["edge", "tokens", "resized"].map(|key| number(&row, key));
        let family = text(&row, "family").to_uppercase();
        code += &format!(
            "const IMAGE_{family}: Image = Image {{ edge: {edge}, tokens: {tokens}, resized: {resized} }};\n"
        );
    }
    for row in load("overhead", "pdf") {
        let [lower, page, upper] =
            ["page_lower", "page", "page_upper"].map(|key| number(&row, key));
        assert!(lower <= page && page <= upper, "pdf: bounds out of order");
        let family = text(&row, "family").to_uppercase();
        code += &format!(
            "const PAGE_{family}: Estimate = Estimate {{ lower: {lower}, estimate: {page}, upper: {upper} }};\n"
        );
    }
    let pages = &load("overhead", "pdf_pages")[0];
    let opaque = &load("overhead", "opaque")[0];
    code + &format!(
        "const PAGE_BYTES: u64 = {};\nconst PAGES_MAX: u64 = {};\nconst OPAQUE_BYTES: u64 = {};\n",
        number(pages, "bytes"),
        number(pages, "max"),
        number(opaque, "bytes")
    )
}

fn text<'a>(row: &'a Table, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("{key} is missing in {row:?}"))
}

fn number(row: &Table, key: &str) -> u64 {
    let number = row.get(key).and_then(Value::as_integer).and_then(|n| u64::try_from(n).ok());
    number.unwrap_or_else(|| panic!("{key} is no whole number in {row:?}"))
}
