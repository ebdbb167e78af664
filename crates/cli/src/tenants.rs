//! The tenants' file: read and checked before anything is sent.

use std::path::Path;

use limits::policy::{Budget, PolicyError, Tenants};
use settings::Finding;

use crate::report::Report;

/// The file's tenants, or everything that is wrong with it.
pub(crate) fn read(file: &Path) -> Result<Tenants, Report> {
    let name = file.display().to_string();
    let unreadable = |problem: String, remedy: &str| Report {
        findings: vec![Finding::new(&name, problem, remedy)],
        notes: Vec::new(),
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| unreadable(error.to_string(), "tenants.example.toml shows its form"))?;
    let tenants: Tenants = toml::Deserializer::parse(&text)
        .map_err(|error| unreadable(error.to_string(), "mend the TOML"))
        .and_then(|toml| {
            serde_path_to_error::deserialize(toml).map_err(|error| {
                let path = format!("{name}: {}", error.path());
                let finding = Finding::new(path, error.inner().message(), "see docs/configure.md");
                Report { findings: vec![finding], notes: Vec::new() }
            })
        })?;
    let mut errors = tenants.validate();
    errors.extend(unknown_zones(tenants.budgets()));
    if errors.is_empty() {
        return Ok(tenants);
    }
    let finding = |path: &str, remedy: &str| {
        Finding::new(format!("{name}: {path}"), "not accepted by this version", remedy)
    };
    let findings = errors.iter().map(|error| finding(&error.path, &error.remedy)).collect();
    Err(Report { findings, notes: Vec::new() })
}

/// Budgets whose time zone does not exist: the gate asks its runtime, this the IANA
/// database of 2026.
pub(crate) fn unknown_zones<'a>(
    budgets: impl Iterator<Item = (String, &'a Budget)>,
) -> Vec<PolicyError> {
    let unknown = |zone: &&String| jiff::tz::TimeZone::get(zone).is_err();
    let error = |(path, budget): (String, &Budget)| {
        let zone = budget.zone.as_ref().filter(unknown)?;
        let remedy = format!("there is no time zone {zone}: an IANA name, e.g. \"Europe/Berlin\"");
        Some(PolicyError { path: format!("{path}.zone"), remedy })
    };
    budgets.filter_map(error).collect()
}
