//! Turns data/*.toml into constants, so that nothing is parsed at run time.

#[path = "../tokens/build/facts.rs"]
mod facts;

use std::fmt::Write;
use std::{env, fs};

use facts::{day, rows};
use toml::{Table, Value};

fn main() {
    println!("cargo::rerun-if-changed=data");
    println!("cargo::rerun-if-changed=../tokens/build");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(format!("{out}/models.rs"), models()).expect("OUT_DIR is writable");
    fs::write(format!("{out}/prices.rs"), prices()).expect("OUT_DIR is writable");
    fs::write(format!("{out}/errors.rs"), errors()).expect("OUT_DIR is writable");
}

fn load(file: &str, kind: &str) -> Vec<Table> {
    let path = format!("data/{file}.toml");
    let text = fs::read_to_string(&path).expect("the data file is there");
    rows(&text, kind).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn models() -> String {
    let mut code = String::from("pub(crate) static MODELS: &[ModelInfo] = &[\n");
    let models = load("models", "model");
    for row in &models {
        let (id, class, line) = (text(row, "id"), text(row, "class"), text(row, "line"));
        let family = match text(row, "family") {
            "upto46" => "UpTo46",
            "from47" => "From47",
            other => panic!("{id}: no family {other}"),
        };
        let lifecycle = match text(row, "lifecycle") {
            "active" => "Active",
            "deprecated" => "Deprecated",
            "retired" => "Retired",
            other => panic!("{id}: no lifecycle {other}"),
        };
        writeln!(
            code,
            "ModelInfo {{ id: {id:?}, class: {class:?}, line: {line:?}, family: Family::{family}, \
             context_tokens: {}, max_output_tokens: {}, lifecycle: Lifecycle::{lifecycle}, \
             tools_auto: {:?}, tools_any: {:?} }},",
            number(row, "context_tokens"),
            number(row, "max_output_tokens"),
            maybe(row, "tools_auto"),
            maybe(row, "tools_any"),
        )
        .expect("a String takes it");
    }
    code += "];\n";
    let largest = models.iter().map(|row| number(row, "context_tokens")).max();
    let largest = largest.expect("there are models");
    code += &format!(
        "/// The largest window of any model.\npub const CONTEXT_TOKENS_MAX: u64 = {largest};\n"
    );
    for name in ["tools_unknown", "tool_defined"] {
        let row = &load("models", name)[0];
        let (lower, estimate, upper) =
            (number(row, "lower"), number(row, "estimate"), number(row, "upper"));
        assert!(lower <= estimate && estimate <= upper, "{name}: bounds out of order");
        code += &format!(
            "pub(crate) const {}: Estimate = Estimate {{ lower: {lower}, estimate: {estimate}, upper: {upper} }};\n",
            name.to_uppercase()
        );
    }
    code += "static TIERS: &[(&str, &str, TierLimits)] = &[\n";
    for row in load("tiers", "limits") {
        for class in row["classes"].as_array().expect("classes") {
            code += &format!(
                "({:?}, {:?}, TierLimits {{ rpm: {}, itpm: {:?}, otpm: {:?} }}),\n",
                text(&row, "tier"),
                class.as_str().expect("a class is a string"),
                number(&row, "rpm"),
                maybe(&row, "itpm"),
                maybe(&row, "otpm")
            );
        }
    }
    code += "];\nstatic TOOLS: &[(&str, Runs)] = &[\n";
    for row in load("tools", "tool") {
        let runs = match text(&row, "runs") {
            "custom" => "Custom",
            "client" => "Client",
            "server" => "Server",
            other => panic!("nobody runs {other}"),
        };
        code += &format!("({:?}, Runs::{runs}),\n", text(&row, "prefix"));
    }
    code + "];\n"
}

fn prices() -> String {
    let rates = |row: &Table, prefix: &str| {
        let rate = |key: &str| number(row, &format!("{prefix}{key}"));
        format!(
            "Rates {{ input: {}, output: {}, cache_write_5m: {}, cache_write_1h: {}, cache_read: {} }}",
            rate("input"),
            rate("output"),
            rate("cache_write_5m"),
            rate("cache_write_1h"),
            rate("cache_read")
        )
    };
    let mut prices = Vec::new();
    for row in load("prices", "price") {
        let from = day(text(&row, "from")).expect("from is a day");
        let long = maybe(&row, "long_above")
            .map(|above| format!("Some(({above}, {}))", rates(&row, "long_")));
        let fast = maybe(&row, "fast_input")
            .map(|input| format!("Some(({input}, {}))", number(&row, "fast_output")));
        for model in row["models"].as_array().expect("models") {
            let model = model.as_str().expect("a model is a string").to_string();
            let code = format!(
                "Price {{ model: {model:?}, from_ms: {from}, rates: {}, long: {}, fast: {}, us: {} }},\n",
                rates(&row, ""),
                long.as_deref().unwrap_or("None"),
                fast.as_deref().unwrap_or("None"),
                row["us"].as_bool().expect("us is true or false"),
            );
            prices.push((model, from, code));
        }
    }
    prices.sort();
    let twice = prices.windows(2).find(|pair| (&pair[0].0, pair[0].1) == (&pair[1].0, pair[1].1));
    assert!(twice.is_none(), "two prices of one day: {twice:?}");
    let rows: String = prices.into_iter().map(|(_, _, code)| code).collect();
    let search = number(&load("prices", "web_search")[0], "microusd");
    format!("static PRICES: &[Price] = &[\n{rows}];\nconst WEB_SEARCH_MICROUSD: u64 = {search};\n")
}

fn errors() -> String {
    let mut code = String::from("static ROWS: &[Row] = &[\n");
    for row in load("errors", "error") {
        let maybe_text = |key: &str| row.get(key).and_then(Value::as_str);
        code += &format!(
            "Row {{ status: {}, error_type: {:?}, code: {:?}, message_starts: {:?}, class: Class::{}, retry: {} }},\n",
            number(&row, "status"),
            maybe_text("type"),
            maybe_text("code"),
            maybe_text("message_starts"),
            text(&row, "class"),
            row["retry"].as_bool().expect("retry is true or false"),
        );
    }
    code + "];\n"
}

fn text<'a>(row: &'a Table, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("{key} is missing in {row:?}"))
}

fn number(row: &Table, key: &str) -> u64 {
    maybe(row, key).unwrap_or_else(|| panic!("{key} is missing in {row:?}"))
}

fn maybe(row: &Table, key: &str) -> Option<u64> {
    let value = row.get(key)?;
    let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
    Some(number.unwrap_or_else(|| panic!("{key} is not a whole number in {row:?}")))
}
