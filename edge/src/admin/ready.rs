//! `/readyz`: 200 once every part is there; in words for a viewer.

use serde::Serialize;

use super::json;
use crate::isolate::Isolate;
use crate::journey::Answer;

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    checks: Option<Vec<Check>>,
}

#[derive(Serialize)]
struct Check {
    name: String,
    ok: bool,
    says: String,
}

/// The Gate answered, or said why not.
pub(super) fn answer(isolate: &Isolate, in_words: bool, gate: Option<&str>) -> Answer {
    let mut checks = Vec::new();
    let mut check = |name: &str, result: Result<String, String>| {
        let ok = result.is_ok();
        checks.push(Check { name: name.into(), ok, says: result.unwrap_or_else(|says| says) });
    };
    check(
        "signing secret",
        isolate.keyring().map(|_| "TOLLGATE_SECRET is set".into()).map_err(Into::into),
    );
    match isolate.deployment.as_ref() {
        None => check("settings", Err("not read".into())),
        Some(deployment) => {
            match &deployment.settings {
                Err(findings) => {
                    findings.iter().for_each(|finding| check("settings", Err(finding.to_string())))
                }
                Ok(settings) => {
                    check("settings", Ok(format!("sound, hash {:08x}", deployment.hash)));
                    for (name, account) in &settings.accounts {
                        let key = deployment.provider_key(&account.secret);
                        let says = key.map(|_| {
                            format!("{} is set, {}", account.secret, account.base_url.as_str())
                        });
                        check(
                            &format!("account {name}"),
                            says.ok_or_else(|| {
                                format!("no key: run `wrangler secret put {}`", account.secret)
                            }),
                        );
                    }
                }
            }
            for (binding, there) in &deployment.bindings {
                let missing = || format!("the binding {binding} is missing in wrangler.toml");
                check(
                    &format!("binding {binding}"),
                    if *there { Ok("bound".into()) } else { Err(missing()) },
                );
            }
        }
    }
    check("gate", gate.map_or_else(|| Ok("answers".into()), |why| Err(why.into())));
    let ready = checks.iter().all(|check| check.ok);
    json(if ready { 200 } else { 503 }, &Readiness { ready, checks: in_words.then_some(checks) })
}

/// The Gate did not answer.
pub(super) fn answer_unreachable(isolate: &Isolate, overloaded: bool) -> Answer {
    let why = if overloaded { "overloaded" } else { "does not answer" };
    answer(isolate, false, Some(why))
}
