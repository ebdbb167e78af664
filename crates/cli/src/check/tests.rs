#![allow(clippy::unwrap_used)]

use super::*;

/// A check in a folder that holds nothing else.
fn check(text: &str) -> Report {
    check_text(Path::new("/nowhere/wrangler.toml"), text).unwrap()
}

const SOUND: &str = r#"
    name = "tollgate"
    main = "edge.js"
    compatibility_date = "2026-11-17"
    placement = { region = "aws:us-east-1" }
    durable_objects.bindings = [{ name = "GATE", class_name = "Gate" }]
    kv_namespaces = [{ binding = "CACHE" }]
    secrets.required = ["TOLLGATE_SECRET", "ANTHROPIC_API_KEY"]
    [exports.Gate]
    type = "durable-object"
"#;

#[test]
fn a_sound_file_has_no_findings_and_names_the_secrets_to_put() {
    let report = check(SOUND);
    assert_eq!(report.findings, []);
    assert_eq!(
        report.notes,
        [
            "a deploy needs `wrangler secret put ANTHROPIC_API_KEY` and `wrangler secret put TOLLGATE_SECRET`"
        ]
    );
}

/// What is added to a sound file, the path of the finding, a part of its text.
const BAD: &[(&str, &str, &str)] = &[
    ("[vars.TOLLGATE_CACHE]\nttl = 5", "vars.TOLLGATE_CACHE.ttl", "did you mean `ttl_s`?"),
    ("[vars]\nTOLLGATE_CASH = {}", "vars.TOLLGATE_CASH", "did you mean `TOLLGATE_CACHE`?"),
    ("[vars]\nTOLLGATE_SECRET = 'x'", "vars.TOLLGATE_SECRET", "wrangler secret put"),
    ("[vars]\nANTHROPIC_API_KEY = 'hunter2'", "vars.ANTHROPIC_API_KEY", "must not be a variable"),
    ("[vars]\nOTHER = 'sk-ant-api03-hunter2'", "vars.OTHER", "looks like a secret"),
    ("[vars]\nOTHER.deep = ['tg_sk_hunter2']", "vars.OTHER", "looks like a secret"),
    (
        "[vars.TOLLGATE_GATE]\nlocation_hint = 'weur'",
        "placement.region",
        "TOLLGATE_GATE.location_hint is enam",
    ),
    (
        "[env.staging]\ndurable_objects.bindings = []\nkv_namespaces = []",
        "env.staging.exports",
        "inherit no bindings",
    ),
    (
        "[env.eu]\ndurable_objects = {}\nkv_namespaces = []\nexports = {}\n[env.eu.vars.TOLLGATE_GATE]\nhint = 'weur'",
        "env.eu.vars.TOLLGATE_GATE.hint",
        "it knows `location_hint`",
    ),
    (
        "[env.eu]\ndurable_objects = {}\nkv_namespaces = []\nexports = {}\n[env.eu.vars.TOLLGATE_GATE]\nlocation_hint = 'weur'",
        "env.eu.placement.region",
        "is not where the Gate is created (weur)",
    ),
];

#[test]
fn each_mistake_is_named_by_path_with_a_remedy() {
    let mut wrong = Vec::new();
    for (added, path, part) in BAD {
        let report = check(&format!("{SOUND}\n{added}"));
        match &report.findings[..] {
            [finding] if finding.path == *path && finding.to_string().contains(part) => {
                assert!(!finding.to_string().contains("hunter2"), "{finding}");
            }
            other => wrong.push((added, path, part, other.to_vec())),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_variable_may_have_as_many_bytes_as_cloudflare_takes_and_no_more() {
    let vars = |bytes: usize| format!("[vars]\nOTHER = '{}'", "x".repeat(bytes));
    assert_eq!(check(&vars(5_120)).findings, []);
    let findings = check(&vars(5_121)).findings;
    assert_eq!(findings[0].path, "vars.OTHER");
    assert!(findings[0].problem.starts_with("5121 bytes"), "{}", findings[0]);

    // {"origins":["https://…"]} has 23 bytes of JSON around the host.
    let table = |host: usize| format!("[vars.X]\norigins = ['https://{}']", "x".repeat(host));
    assert_eq!(check(&table(5_120 - 24)).findings, []);
    assert_eq!(check(&table(5_121 - 24)).findings.len(), 1);
}

#[test]
fn sixty_four_variables_are_taken_and_no_more() {
    let vars =
        |n: usize| (0..n).fold(String::from("[vars]\n"), |text, i| format!("{text}V{i} = 'x'\n"));
    assert_eq!(check(&vars(64)).findings, []);
    assert_eq!(check(&vars(65)).findings[0].path, "vars");
}

#[test]
fn a_date_before_request_signal_needs_its_flag() {
    assert_eq!(check("compatibility_date = '2026-11-16'").findings.len(), 1);
    let flagged =
        "compatibility_date = '2026-11-16'\ncompatibility_flags = ['enable_request_signal']";
    assert_eq!(check(flagged).findings, []);
    assert_eq!(check("compatibility_date = '2026-11-17'").findings, []);
}

#[test]
fn the_signing_secret_belongs_on_the_list_of_required_ones() {
    let report = check("secrets.required = ['ANTHROPIC_API_KEY']");
    assert_eq!(report.findings[0].path, "secrets.required");
    let report = check("secrets.required = ['TOLLGATE_SECRET']");
    assert_eq!(report.findings, []);
    assert!(report.notes[0].contains("ANTHROPIC_API_KEY"), "{:?}", report.notes);
}

#[test]
fn a_worker_without_a_place_is_worth_a_note() {
    let report = check("main = 'edge.js'");
    assert!(report.notes[1].contains("placement.region is not set"), "{:?}", report.notes);
}

#[test]
fn what_is_not_toml_is_a_finding() {
    assert_eq!(check("vars = {").findings.len(), 1);
}

#[test]
fn local_secrets_are_looked_at_where_there_are_any() {
    let folder = std::env::temp_dir().join(format!("tollgate-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("wrangler.toml");
    let check_with = |vars: &str| {
        std::fs::write(folder.join(".dev.vars"), vars).unwrap();
        check_text(&config, "").unwrap()
    };
    let long = "x".repeat(32);

    let report = check_with(&format!("TOLLGATE_SECRET={long}\nANTHROPIC_API_KEY=k"));
    assert_eq!(report, Report::default());
    let report = check_with("TOLLGATE_SECRET=\nANTHROPIC_API_KEY=k");
    assert!(report.findings[0].problem.contains("is not set"), "{report:?}");
    let report = check_with("TOLLGATE_SECRET=hunter2\nANTHROPIC_API_KEY=k");
    assert!(report.findings[0].problem.contains("too short"), "{report:?}");
    assert!(!format!("{report:?}").contains("hunter2"));
    let report = check_with(&format!(
        "TOLLGATE_SECRET={long}\nTOLLGATE_SECRET_PREVIOUS=x\nANTHROPIC_API_KEY=k"
    ));
    assert!(report.findings[0].path.ends_with("TOLLGATE_SECRET_PREVIOUS"), "{report:?}");
    let report = check_with(&format!("TOLLGATE_SECRET={long}"));
    assert_eq!(report.findings, [], "an emulator needs no provider's key");
    assert!(report.notes[0].contains("ANTHROPIC_API_KEY"), "{report:?}");

    std::fs::write(folder.join(".dev.vars.eu"), "").unwrap();
    let report = check_text(&config, "[env.eu.vars]").unwrap();
    assert!(report.findings[0].path.contains(".dev.vars.eu"), "{report:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_hint_is_near_some_region_and_an_unknown_region_is_let_be() {
    use settings::LocationHint;
    assert!(placement::apart("aws:ap-southeast-2", LocationHint::Apac), "Sydney is oc");
    assert!(!placement::apart("aws:ap-southeast-1", LocationHint::Apac));
    assert!(!placement::apart("gcp:europe-west4", LocationHint::Weur));
    assert!(placement::apart("azure:westus2", LocationHint::Enam));
    assert!(!placement::apart("moon:tranquility-1", LocationHint::Enam));
}
