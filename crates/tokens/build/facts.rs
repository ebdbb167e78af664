// The rules for data files: every row says where it comes from and since when.
// Included by the build scripts of tokens and providers, and by a test.

use toml::{Table, Value};

/// The rows of one kind in a data file, each with its source and date.
pub(crate) fn rows(text: &str, kind: &str) -> Result<Vec<Table>, String> {
    let table: Table = text.parse().map_err(|error| format!("{error}"))?;
    let rows = match table.get(kind) {
        Some(Value::Array(rows)) => rows.clone(),
        Some(row @ Value::Table(_)) => vec![row.clone()],
        _ => return Err(format!("no [[{kind}]]")),
    };
    rows.into_iter().map(|row| dated(row).map_err(|error| format!("[[{kind}]] {error}"))).collect()
}

fn dated(row: Value) -> Result<Table, String> {
    let Value::Table(row) = row else { return Err("a row must be a table".into()) };
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("source").trim().len() < 4 {
        return Err(format!("row without a source: {row:?}"));
    }
    if day(text("date")).is_none() {
        return Err(format!("row without a date (\"2026-11-24\"): {row:?}"));
    }
    Ok(row)
}

/// Milliseconds of a day's beginning, UTC, since 1970.
pub(crate) fn day(date: &str) -> Option<u64> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if date.len() != 10 || !(1970..2200).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let years: u64 = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum();
    let months: u64 = lengths[..usize::try_from(month).ok()? - 1].iter().sum();
    Some((years + months + day - 1) * 86_400_000)
}
