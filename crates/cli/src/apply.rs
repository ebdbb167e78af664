//! `tollgate apply`: brings a tenants' file in force, whole or not at all.

use std::path::Path;

use keys::Role;
use limits::admin::Change;
use serde::Deserialize;
use serde_json::json;

use crate::admin::{Admin, printable};
use crate::tenants;

#[derive(Deserialize)]
struct Applied {
    changes: Vec<Change>,
}

pub(crate) fn apply(file: &Path, url: &str, prune: bool, dry_run: bool) -> Result<(), String> {
    let tenants = match tenants::read(file) {
        Ok(tenants) => tenants,
        Err(report) => return report.print(),
    };
    let body = json!({ "tenants": tenants.tenants, "prune": prune, "dry_run": dry_run });
    // Removing tenants takes an owner.
    let role = if prune { Role::Owner } else { Role::Operator };
    let applied: Applied = Admin::new(url, role)?.put("/admin/tenants", &body)?;
    for change in &applied.changes {
        println!("{}", printable(&line(change)));
    }
    let done = if dry_run { "would change" } else { "changed" };
    match applied.changes.len() {
        0 => {
            eprintln!("Nothing to change: {} tenants are as the file says.", tenants.tenants.len())
        }
        1 => eprintln!("1 value {done}."),
        many => eprintln!("{many} values {done}."),
    }
    Ok(())
}

/// `+` for what is new, `-` for what goes, `~` for what changes.
fn line(change: &Change) -> String {
    let Change { path, from, to } = change;
    match (from, to) {
        (None, Some(to)) => format!("+ {path} = {to}"),
        (Some(from), Some(to)) => format!("~ {path}: {from} -> {to}"),
        (_, None) => format!("- {path}"),
    }
}
