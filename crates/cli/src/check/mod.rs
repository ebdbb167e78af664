//! `tollgate check`: what a deploy or the local runtime would find out too late.
//!
//! The local runtime enforces neither Cloudflare's bounds on variables nor that
//! an environment repeats its bindings; this does, without a network.

mod placement;
mod secrets;
mod variables;

use std::path::Path;

use settings::{Finding, Settings};
use toml::{Table, Value};

use crate::report::Report;
use crate::tenants::{self, unknown_zones};

/// `request.signal` is on by default from this compatibility date (Cloudflare's
/// compatibility flags, 2026-11); a client that leaves is noticed by it.
const COMPATIBILITY_DATE: &str = "2026-11-17";

pub(crate) fn check(config: &Path, tenants: Option<&Path>) -> Result<(), String> {
    let mut report = Report::default();
    match std::fs::read_to_string(config) {
        Ok(text) => report.extend(check_text(config, &text)?),
        Err(error) => report.findings.push(Finding::new(
            config.display().to_string(),
            error.to_string(),
            "name the Worker's configuration by --config FILE",
        )),
    }
    if let Some(file) = tenants {
        match tenants::read(file) {
            Ok(tenants) => report.notes.push(format!("{} tenants", tenants.tenants.len())),
            Err(found) => report.extend(found),
        }
    }
    report.print()?;
    println!("{} is sound.", config.display());
    Ok(())
}

fn check_text(config: &Path, text: &str) -> Result<Report, String> {
    let mut report = Report::default();
    let top: Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(error) => {
            let at = config.display().to_string();
            report.findings.push(Finding::new(at, error.to_string(), "mend the TOML"));
            return Ok(report);
        }
    };
    check_compatibility(&top, &mut report);
    let folder = config.parent().unwrap_or(Path::new(""));
    for environment in environments(&top) {
        environment.check(folder, &mut report)?;
    }
    Ok(report)
}

/// The top level, or one `[env.NAME]`.
struct Environment<'a> {
    /// None for the top level.
    name: Option<&'a str>,
    table: &'a Table,
    top: &'a Table,
}

fn environments(top: &Table) -> Vec<Environment<'_>> {
    let mut all = vec![Environment { name: None, table: top, top }];
    for (name, table) in top.get("env").and_then(Value::as_table).into_iter().flatten() {
        if let Some(table) = table.as_table() {
            all.push(Environment { name: Some(name), table, top });
        }
    }
    all
}

impl Environment<'_> {
    fn check(&self, folder: &Path, report: &mut Report) -> Result<(), String> {
        self.check_bindings(report);
        let settings = match variables::read(self.table, &|key| self.path(key)) {
            Ok(settings) => settings,
            Err(findings) => {
                report.findings.extend(findings);
                return Ok(());
            }
        };
        let numbered = settings.gate.budgets.iter().enumerate();
        let budgets = numbered.map(|(i, of)| (format!("vars.TOLLGATE_GATE.budgets[{i}]"), of));
        for error in unknown_zones(budgets) {
            let finding = Finding::new(self.path(&error.path), "is not known", error.remedy);
            report.findings.push(finding);
        }
        secrets::check(self, &settings, folder, report)?;
        self.check_placement(&settings, report);
        Ok(())
    }

    /// `vars.X`, or `env.NAME.vars.X`.
    fn path(&self, key: &str) -> String {
        match self.name {
            Some(name) => format!("env.{name}.{key}"),
            None => key.into(),
        }
    }

    /// Bindings and variables are not inherited by environments (wrangler 4.164's
    /// configuration schema): an environment that forgets one runs without it.
    fn check_bindings(&self, report: &mut Report) {
        if self.name.is_none() {
            return;
        }
        for key in ["durable_objects", "kv_namespaces", "exports", "migrations"] {
            if self.top.contains_key(key) && !self.table.contains_key(key) {
                report.findings.push(Finding::new(
                    self.path(key),
                    "is missing, and environments inherit no bindings",
                    format!("repeat the top level's `{key}`"),
                ));
            }
        }
        if self.top.contains_key("vars") && !self.table.contains_key("vars") {
            report.notes.push(format!(
                "{} is missing, and environments inherit no variables: it runs with defaults",
                self.path("vars")
            ));
        }
    }

    fn check_placement(&self, settings: &Settings, report: &mut Report) {
        // Placement is inherited, unlike bindings.
        let placement = self.table.get("placement").or_else(|| self.top.get("placement"));
        let Some(hint) = settings.gate.location_hint() else { return };
        let region =
            placement.and_then(|placement| placement.get("region")).and_then(Value::as_str);
        match region {
            Some(region) if placement::apart(region, hint) => {
                let near = placement::hints(region).iter().map(|hint| hint.name());
                let near = near.collect::<Vec<_>>().join(" or ");
                report.findings.push(Finding::new(
                    self.path("placement.region"),
                    format!("{region} is not where the Gate is created ({})", hint.name()),
                    format!("make them agree: near it, TOLLGATE_GATE.location_hint is {near}"),
                ));
            }
            None if self.top.contains_key("main") && placement.is_none() => {
                report.notes.push(format!(
                    "{} is not set: the Worker runs near its users, and each request crosses to \
                     the Gate in {}",
                    self.path("placement.region"),
                    hint.name()
                ));
            }
            _ => {}
        }
    }
}

fn check_compatibility(top: &Table, report: &mut Report) {
    let flags = top.get("compatibility_flags").and_then(Value::as_array);
    let flagged = flags.is_some_and(|flags| {
        flags.iter().any(|flag| flag.as_str() == Some("enable_request_signal"))
    });
    let date = top.get("compatibility_date").and_then(Value::as_str);
    // Dates of this form order as text.
    if date.is_some_and(|date| date < COMPATIBILITY_DATE) && !flagged {
        report.findings.push(Finding::new(
            "compatibility_date",
            "before request.signal was on by default: clients that leave are not noticed",
            format!(
                "write \"{COMPATIBILITY_DATE}\" or later, or add the flag enable_request_signal"
            ),
        ));
    }
}

#[cfg(test)]
mod tests;
