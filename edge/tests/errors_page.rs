//! docs/errors.md has a row for each code that the sources answer with, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The words of Anthropic's API (its documentation of errors, 2026-10).
const KINDS: [&str; 9] = [
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
];

#[test]
fn each_code_has_its_row_and_each_row_its_code() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let codes: BTreeSet<String> = sources(here).into_keys().collect();
    assert!(codes.len() > 30, "the sources were not read: {codes:?}");
    let rows = rows(&read(&here.join("../docs/errors.md")));
    let told: BTreeSet<String> = rows.keys().cloned().collect();
    let without_row: Vec<_> = codes.difference(&told).collect();
    let without_code: Vec<_> = told.difference(&codes).collect();
    assert!(without_row.is_empty(), "docs/errors.md lacks rows for {without_row:?}");
    assert!(without_code.is_empty(), "docs/errors.md has rows for no code: {without_code:?}");
}

#[test]
fn each_row_tells_the_status_that_is_sent() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows = rows(&read(&here.join("../docs/errors.md")));
    let mut compared = 0;
    for (code, sent) in sources(here) {
        // Where a code is sent with two, the row tells the usual one.
        assert!(sent.is_empty() || sent.contains(&rows[&code][1]), "{code}: {sent:?}");
        compared += usize::from(!sent.is_empty());
    }
    assert!(compared > 30, "only {compared} codes were found beside a status");
}

#[test]
fn each_row_is_whole_and_an_anchor() {
    for (code, cells) in
        rows(&read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md")))
    {
        let [name, status, means, mends, retry] = cells.as_slice() else {
            panic!("{code}: {} cells", cells.len());
        };
        assert_eq!(name, &format!("<a id=\"{code}\"></a>`{code}`"));
        let (number, kind) = status.split_once(' ').unwrap_or_default();
        assert!(
            number.parse::<u16>().is_ok_and(|n| n == 200 || (400..600).contains(&n)),
            "{code}: {status}"
        );
        assert!(KINDS.contains(&kind.trim_matches('`')), "{code}: {status}");
        assert!(means.len() > 3 && mends.len() > 3, "{code}");
        assert!(["yes", "no", "later"].contains(&retry.as_str()), "{code}: {retry}");
    }
}

/// Every code of the sources, and the statuses beside it, as a row has them.
fn sources(here: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut codes = BTreeMap::new();
    for place in ["src", "js"] {
        collect(&here.join(place), &mut codes);
    }
    codes
}

/// String literals that are codes, in all files below a folder.
fn collect(folder: &Path, codes: &mut BTreeMap<String, BTreeSet<String>>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for path in entries.map(|entry| entry.expect("a folder's entry").path()) {
        if path.is_dir() {
            collect(&path, codes);
            continue;
        }
        let text = read(&path);
        for (at, _) in text.match_indices("\"tollgate_") {
            let rest = &text[at + 1..];
            let code = &rest[..rest.find('"').unwrap_or(0)];
            if code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                codes.entry(code.to_owned()).or_default().extend(sent(&text[..at]));
            }
        }
    }
}

/// What the call says whose next argument is a code.
fn sent(before: &str) -> Option<String> {
    let call = before.trim_end();
    for (name, status) in [
        ("bad(", "400 `invalid_request_error`"),
        ("unauthorized(", "401 `authentication_error`"),
        ("forbidden(", "403 `permission_error`"),
        ("rate(", "429 `rate_limit_error`"),
        ("unavailable(", "503 `api_error`"),
    ] {
        if call.ends_with(name) {
            return Some(status.to_owned());
        }
    }
    let (_, arguments) = call.rsplit_once("new(")?;
    let (status, kind) = arguments.strip_suffix(',')?.split_once(',')?;
    let (status, kind) = (status.trim().parse::<u16>().ok()?, kind.trim().trim_matches('"'));
    Some(format!("{status} `{kind}`"))
}

/// The tables' rows by their code.
fn rows(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| <a id=")) {
        let cells: Vec<String> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        let code = cells[0].split('`').nth(1).unwrap_or_default().to_owned();
        assert!(rows.insert(code.clone(), cells).is_none(), "{code} has two rows");
    }
    rows
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
