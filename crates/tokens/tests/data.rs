//! Facts without a source or a date do not get in.

#[path = "../build/facts.rs"]
mod facts;

use facts::{day, rows};

#[test]
fn a_row_without_a_source_or_a_date_is_refused() {
    let row = |source: &str, date: &str| format!("[[price]]\nmodel = \"m\"\n{source}\n{date}\n");
    let (source, date) = ("source = \"docs, 2026\"", "date = \"2026-11-24\"");
    assert!(rows(&row(source, date), "price").is_ok());
    for bad in [
        row("", date),
        row("source = \" \"", date),
        row(source, ""),
        row(source, "date = \"2026-13-01\""),
        row(source, "date = \"2026-02-29\""),
        row(source, "date = \"soon\""),
    ] {
        assert!(rows(&bad, "price").is_err(), "{bad}");
    }
}

#[test]
fn days_are_counted_from_1970() {
    assert_eq!(day("1970-01-01"), Some(0));
    assert_eq!(day("2000-03-01"), Some(951_868_800_000));
    assert_eq!(day("2026-11-24"), Some(1_795_478_400_000));
}
