//! The tables of docs/limits.md: every scenario, the Gate beside its rivals.

use std::fmt::Write;

use super::{Found, Row, tenths};

/// What stands before and after the tables in the page.
const BEGIN: &str = "<!-- Written by `make bench-limits`. -->\n";
const END: &str = "<!-- To here. -->\n";

/// The page with these tables in the place of those that it has.
pub(super) fn spliced(page: &str, found: &[Found]) -> Result<String, String> {
    let lacks = || format!("docs/limits.md lacks its marks: {BEGIN}");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(lacks)?;
    let (_, after) = rest.split_once(END).ok_or_else(lacks)?;
    Ok(format!("{before}{BEGIN}{}\n{END}{after}", tables(found)))
}

fn tables(found: &[Found]) -> String {
    let mut text = String::new();
    let mut table = |title: &str, cell: &dyn Fn(&Row) -> String| {
        let who: Vec<_> = found.iter().flat_map(|found| &found.rows).map(|row| row.who).collect();
        let who = &who[..found.first().map_or(0, |found| found.rows.len())];
        // Writing to a string does not fail.
        let _ = write!(text, "\n{title}\n\n| Scenario | {} |\n|---|", who.join(" | "));
        text.extend(who.iter().map(|_| "---:|"));
        text.push('\n');
        for Found { scenario, rows, .. } in found {
            let cells: Vec<_> = rows.iter().map(cell).collect();
            let _ = writeln!(text, "| `{scenario}` | {} |", cells.join(" | "));
        }
    };
    let permille = |part: u64, whole: u64| tenths(part * 1_000 / whole.max(1));
    table("Used of the limit that is used most, in %:", &|row| tenths(row.used_permille));
    table("Attempts that the provider refused, in % of all attempts:", &|row| {
        permille(row.refused_upstream, row.attempts)
    });
    table("Requests that failed, in % of all, and of these after the provider's 429s:", &|row| {
        format!(
            "{} ({})",
            permille(row.refused, row.asked),
            permille(row.visible_upstream, row.asked)
        )
    });
    table(
        "The 95th percentile of the wait of who asks for least, in seconds, of its requests that went:",
        &|row| row.smallest().map_or_else(String::new, |flow| tenths(flow.wait_p95_ms / 100)),
    );
    table("Jain's index of what each tenant got, of a fair share (1 is fair):", &|row| {
        let permille = row.fairness_permille;
        format!("{}.{:03}", permille / 1_000, permille % 1_000)
    });
    let rows = found.iter().filter_map(|found| {
        let gate = found.rows.first()?;
        Some(format!("`{}` {}", found.scenario, gate.rows * 1_000 / gate.asked.max(1)))
    });
    let rows: Vec<_> = rows.collect();
    let _ = write!(text, "\nRows that the Gate wrote for 1,000 requests: {}.\n", rows.join(", "));
    text
}

#[cfg(test)]
mod tests {
    use simulator::file::NAMES;

    use super::*;

    /// A scenario that is added, renamed or dropped is one in the page, too.
    #[test]
    fn the_page_has_the_scenarios_that_there_are() {
        let page = include_str!("../../../../docs/limits.md");
        let (_, rest) = page.split_once(BEGIN).expect("its mark");
        let (tables, _) = rest.split_once(END).expect("its mark");
        for table in tables.split("| Scenario |").skip(1) {
            let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
            let names: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
            assert_eq!(names, NAMES, "`make bench-limits` writes them anew");
        }
        assert_eq!(tables.matches("| Scenario |").count(), 5);
        assert!(!tables.contains('–'), "each was played: `make bench-limits`");
    }
}
