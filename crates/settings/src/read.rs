//! From JSON to types, with the path and a remedy where it fails.

use std::collections::BTreeMap;

use limits::ByName;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::finding::Finding;
use crate::{SECRETS, VARIABLES};

/// What is wrong with a variable's name, if anything.
pub(crate) fn variable_name(name: &str) -> Option<Finding> {
    if VARIABLES.contains(&name) {
        return None;
    }
    if SECRETS.contains(&name) {
        let remedy =
            format!("take it out and run `wrangler secret put {name}` (.dev.vars locally)");
        return Some(Finding::new(name, "a secret must not be a variable", remedy));
    }
    Some(Finding::new(name, "unknown variable", known(name, &VARIABLES)))
}

/// A variable that is one table; its default where it is not set.
pub(crate) fn table<T: DeserializeOwned + Default>(
    name: &str,
    variables: &BTreeMap<String, Value>,
    findings: &mut Vec<Finding>,
) -> T {
    match variables.get(name).map(|value| read(&[name], value)) {
        None => T::default(),
        Some(Ok(table)) => table,
        Some(Err(finding)) => {
            add(findings, finding);
            T::default()
        }
    }
}

/// A variable that is a table of named tables.
pub(crate) fn tables<T: DeserializeOwned>(
    name: &str,
    value: Option<&Value>,
    findings: &mut Vec<Finding>,
) -> ByName<T> {
    let entries = match value {
        None => return ByName::new(),
        Some(Value::Object(entries)) => entries,
        Some(_) => {
            let remedy = format!("write [vars.{name}.NAME]");
            findings.push(Finding::new(name, "not a table of tables", remedy));
            return ByName::new();
        }
    };
    let mut tables = ByName::new();
    for (key, value) in entries {
        match read(&[name, key], value) {
            Ok(table) => drop(tables.insert(key.clone(), Box::new(table))),
            Err(finding) => add(findings, finding),
        }
    }
    tables
}

/// A path as TOML spells it, with the places in lists: `a.b."c.d"[0]`.
pub(crate) fn path(keys: &[&str]) -> String {
    let bare = |key: &str| {
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let mut path = String::new();
    for key in keys {
        let is_index = key.starts_with('[');
        if !path.is_empty() && !is_index {
            path.push('.');
        }
        if bare(key) || is_index { path.push_str(key) } else { path.push_str(&format!("{key:?}")) }
    }
    path
}

/// What is not built yet was found before, and is unknown as well: say it once.
fn add(findings: &mut Vec<Finding>, finding: Finding) {
    if !findings.iter().any(|before| before.path == finding.path) {
        findings.push(finding);
    }
}

fn read<T: DeserializeOwned>(prefix: &[&str], value: &Value) -> Result<T, Finding> {
    if !value.is_object() {
        let remedy = format!("write [vars.{}]", path(prefix));
        return Err(Finding::new(path(prefix), "not a table", remedy));
    }
    // By its text: a second reader, of values, would be compiled for each type.
    json::from_str(&value.to_string()).map_err(|error| {
        let mut keys = prefix.to_vec();
        keys.extend(error.path().iter().map(String::as_str));
        finding(&keys, error.message())
    })
}

/// Makes serde's sentences ours. Ours, raised by `custom`, have the form
/// `problem; remedy`. Callers of a misconfigured gate are told findings, and a
/// secret may stand where a setting belongs: no value is repeated.
fn finding(keys: &[&str], message: &str) -> Finding {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let ([wrong, known_keys @ ..], true) = (&quoted[..], message.starts_with("unknown field")) {
        let mut keys = keys.to_vec();
        if keys.last() != Some(wrong) {
            keys.push(wrong);
        }
        return Finding::new(path(&keys), "unknown key", known(wrong, known_keys));
    }
    if let ([wrong, known_values @ ..], true) =
        (&quoted[..], message.starts_with("unknown variant"))
    {
        return Finding::new(path(keys), "not one of its values", known(wrong, known_values));
    }
    if let ([missing, ..], true) = (&quoted[..], message.starts_with("missing field")) {
        return Finding::new(
            path(keys),
            format!("`{missing}` is missing"),
            format!("add {missing}"),
        );
    }
    // "invalid type: string \"…\", expected a boolean" repeats the value.
    let message = match message.rsplit_once(", expected ") {
        Some((_, "u32" | "u64")) => "not a whole number in its range",
        Some((_, expected)) if message.starts_with("invalid") => &format!("not {expected}"),
        _ => message,
    };
    match message.split_once("; ") {
        Some((problem, remedy)) => Finding::new(path(keys), problem, remedy),
        None => Finding::new(path(keys), message, "see docs/configure.md"),
    }
}

/// "did you mean" where one is near, and all that exist.
fn known<S: AsRef<str>>(wrong: &str, known: &[S]) -> String {
    let near = known.iter().map(|known| (distance(wrong, known.as_ref()), known.as_ref())).min();
    let all =
        known.iter().map(|known| format!("`{}`", known.as_ref())).collect::<Vec<_>>().join(", ");
    match near {
        Some((edits, near)) if edits <= 2.max(wrong.len() / 4) => {
            format!("did you mean `{near}`? It knows {all}")
        }
        Some(_) => format!("it knows {all}"),
        None => "remove it".into(),
    }
}

/// Levenshtein's, over bytes; 1 where a name lacks its last words. Names are
/// short; what is longer is never near.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    if b.starts_with(a) && a.len() > 2 {
        return 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
