//! `tollgate apply`: brings a tenants' file in force, whole or not at all.

use std::path::Path;

use limits::admin;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Admin, printable};
use crate::tenants;

#[derive(Deserialize)]
struct Applied {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Change {
    /// A changed value.
    Value(admin::Change),
    /// A changed tenant.
    Tenant {
        tenant: String,
        change: String,
        #[serde(default)]
        fields: Vec<String>,
    },
}

pub(crate) fn apply(file: &Path, url: &str, prune: bool, dry_run: bool) -> Result<(), String> {
    let tenants = match tenants::read(file) {
        Ok(tenants) => tenants,
        Err(report) => return report.print(),
    };
    let body = json!({ "tenants": tenants.tenants, "prune": prune, "dry_run": dry_run });
    let applied: Applied = Admin::new(url)?.put("/admin/tenants", &body)?;
    for change in &applied.changes {
        println!("{}", printable(&line(change)));
    }
    let done = if dry_run { "would change" } else { "changed" };
    match applied.changes.len() {
        0 => {
            eprintln!("Nothing to change: {} tenants are as the file says.", tenants.tenants.len())
        }
        1 => eprintln!("1 entry {done}."),
        many => eprintln!("{many} entries {done}."),
    }
    Ok(())
}

/// `+` for what is new, `-` for what goes, `~` for what changes.
fn line(change: &Change) -> String {
    let short = |value: &Value| value.to_string();
    match change {
        Change::Value(admin::Change { path, from: None, to }) => {
            format!("+ {path} = {}", to.as_ref().map(short).unwrap_or_default())
        }
        Change::Value(admin::Change { path, from: Some(_), to: None }) => format!("- {path}"),
        Change::Value(admin::Change { path, from: Some(from), to: Some(to) }) => {
            format!("~ {path}: {} -> {}", short(from), short(to))
        }
        Change::Tenant { tenant, change, fields } => {
            let sign = match change.as_str() {
                "added" => '+',
                "removed" => '-',
                _ => '~',
            };
            let fields =
                if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
            format!("{sign} {tenant}{fields}")
        }
    }
}
