//! Takes the sources of the overheads' figures from the crates' data, so that a
//! part of a measurement can say where its figure comes from.

#[path = "../crates/tokens/build/facts.rs"]
mod facts;

use std::{env, fs};

use toml::{Table, Value};

/// A constant, its data file, the kind of row, and the field that tells which of
/// several rows.
type Source = (&'static str, &'static str, &'static str, Option<(&'static str, &'static str)>);

const SOURCES: [Source; 10] = [
    ("FRAMING", "tokens/data/overhead", "request", None),
    ("ROLES", "tokens/data/overhead", "message", None),
    ("TEXT_UPTO46", "tokens/data/estimate", "family", Some(("name", "upto46"))),
    ("TEXT_FROM47", "tokens/data/estimate", "family", Some(("name", "from47"))),
    ("IMAGE_UPTO46", "tokens/data/overhead", "image", Some(("family", "upto46"))),
    ("IMAGE_FROM47", "tokens/data/overhead", "image", Some(("family", "from47"))),
    ("PDF_UPTO46", "tokens/data/overhead", "pdf", Some(("family", "upto46"))),
    ("PDF_FROM47", "tokens/data/overhead", "pdf", Some(("family", "from47"))),
    ("OPAQUE", "tokens/data/overhead", "opaque", None),
    ("TOOLS_UNKNOWN", "providers/data/models", "tools_unknown", None),
];

/// Bytes of the module's stack, a quarter of the usual: nothing here recurses. What is
/// too deep all the same is a trap, for the stack stands before everything else.
const STACK: usize = 256 << 10;

fn main() {
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK}");
    }
    println!("cargo::rerun-if-changed=../crates/tokens/data");
    println!("cargo::rerun-if-changed=../crates/tokens/build");
    println!("cargo::rerun-if-changed=../crates/providers/data");
    // Its other half is the providers' alone.
    let _ = facts::day;
    let mut code = String::new();
    for (name, file, kind, which) in SOURCES {
        let path = format!("../crates/{file}.toml");
        let text = fs::read_to_string(&path).expect("the data file is there");
        let rows = facts::rows(&text, kind).unwrap_or_else(|error| panic!("{path}: {error}"));
        let row =
            rows.iter().find(|row| which.is_none_or(|(key, value)| text_of(row, key) == value));
        let row = row.unwrap_or_else(|| panic!("{path}: no {kind} of {which:?}"));
        let source = format!("{} ({})", text_of(row, "source"), text_of(row, "date"));
        code += &format!("const {name}: &str = {source:?};\n");
    }
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(format!("{out}/sources.rs"), code).expect("OUT_DIR is writable");
}

fn text_of<'a>(row: &'a Table, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}
