//! Settings that the design names and this version does not build yet. They are
//! refused by name, so that nobody believes that they work.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::finding::Finding;
use crate::read;

/// Paths as written in wrangler.toml; `*` stands for any name. An entry leaves
/// with the change that builds it.
const LATER: &[(&[&str], &str)] = &[
    (&["TOLLGATE_ROUTES", "*", "model"], "asking for another model"),
    (&["TOLLGATE_ROUTES", "*", "targets"], "chains of targets"),
    (&["TOLLGATE_ROUTES", "*", "when"], "conditions of a route"),
    (&["TOLLGATE_ROUTES", "*", "conditions"], "conditions of a route"),
    (&["TOLLGATE_ROUTES", "*", "fallback"], "falling back to another target"),
    (&["TOLLGATE_ROUTES", "*", "hedge"], "hedging"),
    (&["TOLLGATE_ROUTES", "*", "batch"], "batching"),
    (&["TOLLGATE_ROUTES", "*", "trim"], "trimming"),
    (&["TOLLGATE_ROUTES", "*", "message"], "a generic message at the end of a route"),
    (&["TOLLGATE_GATE", "breaker"], "the breaker"),
    (&["TOLLGATE_GATE", "emergency"], "the emergency mode"),
    (&["TOLLGATE_ALERTS"], "alerting"),
];

pub(crate) fn find(variables: &BTreeMap<String, Value>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (pattern, what) in LATER {
        let Some((variable, rest)) = pattern.split_first() else { continue };
        if let Some(value) = variables.get(*variable) {
            walk(value, rest, &mut vec![variable], &mut |path| {
                let problem = format!("{what} is not built yet");
                findings.push(Finding::new(read::path(path), problem, "remove it"));
            });
        }
    }
    findings
}

fn walk<'a>(
    value: &'a Value,
    rest: &[&str],
    path: &mut Vec<&'a str>,
    found: &mut impl FnMut(&[&str]),
) {
    let Some((step, rest)) = rest.split_first() else { return found(path) };
    let Some(table) = value.as_object() else { return };
    for (key, value) in table.iter().filter(|(key, _)| *step == "*" || key == step) {
        path.push(key);
        walk(value, rest, path, found);
        path.pop();
    }
}
