//! What a check found, as it is printed.

use settings::Finding;

/// Findings fail a check; notes are worth knowing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Takes over everything of `other`.
    pub(crate) fn extend(&mut self, other: Report) {
        self.findings.extend(other.findings);
        self.notes.extend(other.notes);
    }

    /// Prints all of it; findings are an error.
    pub(crate) fn print(&self) -> Result<(), String> {
        for note in &self.notes {
            eprintln!("note: {note}");
        }
        for finding in &self.findings {
            eprintln!("error: {finding}");
        }
        match self.findings.len() {
            0 => Ok(()),
            1 => Err("1 mistake".into()),
            many => Err(format!("{many} mistakes")),
        }
    }
}
