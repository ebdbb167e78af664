//! `[vars]`: the settings in it, and Cloudflare's bounds on it.

use std::collections::BTreeMap;

use serde_json::Value;
use settings::{Finding, Settings};
use toml::Table;

/// Cloudflare's bound on one variable, 5 KB (Workers limits, 2026-11): on its
/// text, or its JSON where it is a table. Locally nothing enforces it.
const VARIABLE_BYTES_MAX: usize = 5 * 1024;

/// Cloudflare's bound on variables of a Worker on the free plan (Workers limits,
/// 2026-11; 128 on the paid one).
const VARIABLES_MAX: usize = 64;

/// The settings of an environment, or all that is wrong with its variables.
pub(super) fn read(
    environment: &Table,
    at: &dyn Fn(&str) -> String,
) -> Result<Settings, Vec<Finding>> {
    let at = |key: &str| at(&format!("vars.{key}"));
    let mut findings = Vec::new();
    let vars = environment.get("vars").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    if vars.len() > VARIABLES_MAX {
        let problem = format!("{} variables, and Cloudflare takes {VARIABLES_MAX}", vars.len());
        findings.push(Finding::new(at("").trim_end_matches('.'), problem, "remove some"));
    }
    let mut ours = BTreeMap::new();
    for (name, value) in &vars {
        let json = serde_json::to_value(value).unwrap_or(Value::Null);
        let bytes = json.as_str().map_or_else(|| json.to_string().len(), str::len);
        if bytes > VARIABLE_BYTES_MAX {
            let problem =
                format!("{bytes} bytes as JSON, and Cloudflare takes {VARIABLE_BYTES_MAX}");
            findings.push(Finding::new(
                at(name),
                problem,
                "shorten it: fewer entries, prefixes for models",
            ));
        }
        if holds_secret(&json) {
            let problem = "holds what looks like a secret, in the open";
            let remedy = "revoke it, and put a new one by `wrangler secret put NAME`";
            findings.push(Finding::new(at(name), problem, remedy));
        }
        if name.starts_with("TOLLGATE_") {
            ours.insert(name.clone(), json);
        }
    }
    match Settings::parse(&ours) {
        Ok(settings) => {
            for name in settings.secrets_required().iter().filter(|name| vars.contains_key(**name))
            {
                let remedy = format!("take it out and run `wrangler secret put {name}`");
                findings.push(Finding::new(at(name), "a secret must not be a variable", remedy));
            }
            if findings.is_empty() { Ok(settings) } else { Err(findings) }
        }
        Err(more) => {
            let placed =
                more.into_iter().map(|finding| Finding { path: at(&finding.path), ..finding });
            findings.extend(placed);
            Err(findings)
        }
    }
}

/// Keys of Anthropic's, and ours.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let starts = ["sk-ant-", "tg_sk_", "tg_ad_", "tg_vt_"];
            starts.iter().any(|start| text.starts_with(start))
        }
        Value::Array(items) => items.iter().any(holds_secret),
        Value::Object(fields) => fields.values().any(holds_secret),
        _ => false,
    }
}
