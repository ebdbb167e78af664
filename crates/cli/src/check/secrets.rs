//! The secrets that the settings name: declared, and set for local runs.

use std::path::Path;

use settings::{Finding, SECRETS, Settings};
use toml::Value;

use super::Environment;
use crate::dev_vars;
use crate::report::Report;

pub(super) fn check(
    environment: &Environment<'_>,
    settings: &Settings,
    folder: &Path,
    report: &mut Report,
) -> Result<(), String> {
    let required = settings.secrets_required();
    declared(environment, &required, report);

    let own = environment.name.map(|name| format!(".dev.vars.{name}"));
    let file = own.map(|own| folder.join(own)).filter(|own| own.exists());
    let file = file.unwrap_or_else(|| folder.join(".dev.vars"));
    let Some(vars) = dev_vars::load(&file)? else {
        let puts =
            required.iter().map(|name| format!("`wrangler secret put {name}{}`", of(environment)));
        report.notes.push(format!("a deploy needs {}", puts.collect::<Vec<_>>().join(" and ")));
        return Ok(());
    };
    let at = |name: &str| format!("{}: {name}", file.display());
    for name in required {
        match vars.get(name).map(String::as_str) {
            None | Some("") if name == SECRETS[0] => report.findings.push(Finding::new(
                at(name),
                "is not set: no key can be signed or verified",
                "add the line TOLLGATE_SECRET=… with what `openssl rand -hex 32` prints",
            )),
            None | Some("") => report.notes.push(format!(
                "{} is not set: requests to its account will be refused by the provider",
                at(name)
            )),
            Some(_) => {}
        }
    }
    for name in SECRETS {
        let value = vars.get(name).filter(|value| !value.is_empty());
        if let Some(Err(weak)) = value.map(|value| keys::Keyring::new(value.as_bytes(), &[])) {
            report.findings.push(Finding::new(at(name), "is too short", weak.to_string()));
        }
    }
    Ok(())
}

fn of(environment: &Environment<'_>) -> String {
    environment.name.map(|name| format!(" --env {name}")).unwrap_or_default()
}

/// `[secrets] required` makes wrangler refuse a deploy without them. Without the
/// signing secret nothing works; a provider's may be missing where tests run.
fn declared(environment: &Environment<'_>, required: &[&str], report: &mut Report) {
    let list = environment.table.get("secrets").and_then(|secrets| secrets.get("required"));
    let Some(list) = list.and_then(Value::as_array) else { return };
    let path = environment.path("secrets.required");
    for name in required {
        if list.iter().any(|listed| listed.as_str() == Some(name)) {
            continue;
        }
        if *name == SECRETS[0] {
            let problem = format!("does not list {name}");
            let remedy = format!("add \"{name}\", so that no deploy goes without it");
            report.findings.push(Finding::new(&path, problem, remedy));
        } else {
            report.notes.push(format!("{path} does not list {name}: a deploy goes without it"));
        }
    }
}
