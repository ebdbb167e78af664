//! `/admin/config`: what is in effect, and where it comes from.

use serde::Serialize;
use serde_json::Value;
use settings::Settings;

use crate::isolate::Isolate;

#[derive(Serialize)]
pub(super) struct Config<'a> {
    /// Where the settings come from.
    source: &'static str,
    hash: String,
    /// Every default filled in; secrets by name only.
    settings: Option<&'a Settings>,
    findings: Vec<String>,
    /// What the Gate made of it: pools, queue, accounts.
    gate: &'a Value,
}

pub(super) fn answer<'a>(isolate: &'a Isolate, gate: &'a Value) -> Config<'a> {
    let findings = isolate.deployment.as_ref().and_then(|d| d.settings.as_ref().err());
    Config {
        source: "the deployment's variables (wrangler.toml [vars])",
        hash: format!("{:08x}", isolate.hash()),
        settings: isolate.settings(),
        findings: findings.into_iter().flatten().map(ToString::to_string).collect(),
        gate,
    }
}
