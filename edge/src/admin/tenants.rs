//! `/admin/tenants`: the tenants' file, brought in force and exported.

use ::keys::{Claims, Role};
use limits::ByName;
use limits::admin::AdminInput;
use limits::policy::{Tenant, Tenants};
use serde::Deserialize;
use serde_json::Value;

use crate::request::errors::Problem;

/// Findings told at once: a reader mends the first, and asks again.
const TOLD: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    tenants: ByName<Tenant>,
    #[serde(default)]
    prune: bool,
    #[serde(default)]
    dry_run: bool,
}

/// `PUT`: `{ "tenants": { NAME: … }, "prune": bool, "dry_run": bool }`.
pub(super) fn put(body: &str, admin: &Claims) -> Result<AdminInput, Problem> {
    let Put { tenants, prune, dry_run } = super::read(body)?;
    if prune && admin.role < Some(Role::Owner) {
        return Err(Problem::forbidden(
            "tollgate_role",
            "prune: removing tenants takes an admin token of role owner.",
        ));
    }
    let tenants = Tenants { tenants };
    for (path, budget) in tenants.budgets() {
        if let Some(zone) = budget.zone.as_deref().filter(|zone| !is_zone(zone)) {
            return Err(Problem::bad(
                "tollgate_bad_request",
                format!(
                    "{path}.zone: there is no time zone {zone}: an IANA name, e.g. Europe/Berlin."
                ),
            ));
        }
    }
    Ok(AdminInput::Apply { tenants, prune, dry_run })
}

/// Whether the runtime knows a time zone.
#[cfg(target_arch = "wasm32")]
fn is_zone(name: &str) -> bool {
    use js_sys::{Array, Function, Object, Reflect, global};
    use wasm_bindgen::{JsCast, JsValue};
    let get = |of: &JsValue, key: &str| Reflect::get(of, &key.into());
    let known = || -> Result<(), JsValue> {
        let format: Function = get(&get(&global(), "Intl")?, "DateTimeFormat")?.dyn_into()?;
        let options = Object::new();
        Reflect::set(&options, &"timeZone".into(), &name.into())?;
        Reflect::construct(&format, &Array::of2(&"en-US".into(), &options)).map(drop)
    };
    known().is_ok()
}

/// Native tests have no runtime to ask.
#[cfg(not(target_arch = "wasm32"))]
fn is_zone(_: &str) -> bool {
    true
}

/// What is unsound: `PolicyError`s, each with path and remedy.
pub(super) fn unsound(errors: &Value) -> Problem {
    let errors = errors.as_array().map_or(&[][..], Vec::as_slice);
    let text = |error: &Value, key: &str| error[key].as_str().unwrap_or_default().to_owned();
    let told = |error: &Value| format!("{}: {}", text(error, "path"), text(error, "remedy"));
    let told: Vec<String> = errors.iter().take(TOLD).map(told).collect();
    let more = errors.len().saturating_sub(TOLD);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Problem::bad("tollgate_bad_request", format!("{}{more}", told.join("; ")))
}

/// `?tenant=NAME`.
pub(super) fn of_query(query: &str) -> Result<Option<String>, Problem> {
    match query.split('&').find_map(|pair| pair.strip_prefix("tenant=")) {
        None => Ok(None),
        Some(name) if ::keys::tenant_name_ok(name) => Ok(Some(name.to_owned())),
        Some(_) => Err(Problem::bad("tollgate_bad_request", "tenant: not a tenant's name.")),
    }
}
