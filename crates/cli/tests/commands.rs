//! The commands as an operator runs them, against a gate that answers as told.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;

use keys::{Keyring, Kind, Role};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An empty folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tollgate-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Runs `tollgate` here, with nothing of Tollgate's in the environment.
    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.current_dir(&self.0).args(args);
        command.env_remove("TOLLGATE_SECRET").env_remove("TOLLGATE_TOKEN");
        command.envs(env.iter().copied()).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a gate was asked.
struct Asked {
    line: String,
    token: String,
    body: Value,
}

/// A gate that answers one request.
fn gate(status: u16, answer: Value) -> (String, JoinHandle<Asked>) {
    gate_that_says(status, answer.to_string())
}

fn gate_that_says(status: u16, answer: String) -> (String, JoinHandle<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let (head, length) = loop {
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the request ended early");
            bytes.extend_from_slice(&chunk[..read]);
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
            let length = header(&head, "content-length").unwrap().parse::<usize>().unwrap();
            break (head, length);
        };
        let mut rest = vec![0; length - bytes.len()];
        stream.read_exact(&mut rest).unwrap();
        bytes.extend(rest);
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        let token = header(&head, "authorization").unwrap();
        Asked {
            line: head.lines().next().unwrap().into(),
            token: token.strip_prefix("Bearer ").unwrap().into(),
            body: serde_json::from_slice(&bytes).unwrap(),
        }
    });
    (url, thread)
}

fn header(head: &str, name: &str) -> Option<String> {
    let value = |line: &str| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    };
    head.lines().find_map(value)
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The time that a token must be good at: now, by the clock that signed it.
fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis().try_into().unwrap()
}

fn verify(token: &str) -> keys::Claims {
    Keyring::new(SECRET.as_bytes(), &[]).unwrap().verify(token, now_ms()).unwrap()
}

#[test]
fn a_token_is_printed_alone_and_verifies() {
    let folder = Folder::new("token");
    let before = now_ms();
    let output =
        folder.run(&["token", "--role", "viewer", "--ttl", "1h"], &[("TOLLGATE_SECRET", SECRET)]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let claims = verify(out(&output).strip_suffix('\n').unwrap());
    assert_eq!((claims.kind, claims.role), (Kind::Admin, Some(Role::Viewer)));
    let expires_ms = claims.expires_ms.unwrap();
    assert!((before + 3_600_000..=now_ms() + 3_600_000).contains(&expires_ms));
}

#[test]
fn two_tokens_have_two_ids() {
    let folder = Folder::new("ids");
    let token = || out(&folder.run(&["token"], &[("TOLLGATE_SECRET", SECRET)]));
    assert_ne!(verify(token().trim()).id, verify(token().trim()).id);
}

#[test]
fn the_secret_comes_from_the_environment_or_else_from_dev_vars() {
    let folder = Folder::new("dev-vars");
    let output = folder.run(&["token"], &[]);
    assert!(!output.status.success() && err(&output).contains(".dev.vars"), "{output:?}");
    folder.write(".dev.vars", &format!("TOLLGATE_SECRET=\"{SECRET}\"\n"));
    assert_eq!(verify(out(&folder.run(&["token"], &[])).trim()).role, Some(Role::Owner));
    let output = folder.run(&["token"], &[("TOLLGATE_SECRET", "short")]);
    assert!(!output.status.success() && err(&output).contains("needs 32"), "{output:?}");
}

#[test]
fn a_key_is_asked_for_and_printed_alone() {
    let folder = Folder::new("key");
    let (url, asked) =
        gate(200, json!({ "key": "tg_sk_abc", "id": "abcdefghij", "expires_ms": null }));
    let args = [
        "key",
        "--tenant",
        "acme",
        "--scope",
        "account",
        "--priority",
        "normal",
        "--ttl",
        "2d",
        "--gate",
        &url,
    ];
    let output = folder.run(&args, &[("TOLLGATE_SECRET", SECRET)]);
    assert_eq!(out(&output), "tg_sk_abc\n", "{output:?}");
    let asked = asked.join().unwrap();
    assert_eq!(asked.line, "POST /admin/keys HTTP/1.1");
    assert_eq!(verify(&asked.token).role, Some(Role::Operator));
    let expected = json!({
        "tenant": "acme", "kind": "secret", "scope": "account", "priority": "normal",
        "ttl_s": 172_800,
    });
    assert_eq!(asked.body, expected);
}

#[test]
fn a_given_token_is_used_as_it_is() {
    let folder = Folder::new("given");
    let (url, asked) = gate(200, json!({ "key": "tg_pk_abc", "id": "abcdefghij" }));
    let args = ["key", "--tenant", "acme", "--kind", "publishable", "--gate", &url];
    let env = [("TOLLGATE_TOKEN", "tg_ad_given"), ("TOLLGATE_SECRET", SECRET)];
    assert!(folder.run(&args, &env).status.success());
    let asked = asked.join().unwrap();
    assert_eq!(asked.token, "tg_ad_given");
    assert_eq!(asked.body, json!({ "tenant": "acme", "kind": "publishable" }));
}

#[test]
fn what_is_applied_is_shown() {
    let folder = Folder::new("apply");
    let file = folder.write(
        "tenants.toml",
        "[tenants.acme]\nlimits = { rpm = 5 }\nbudgets = [{ window = 'day', usd = '12.50' }]",
    );
    let changes = json!([
        { "path": "tenants.acme.limits.rpm", "from": 4, "to": 5 },
        { "path": "tenants.new", "to": {} },
        { "path": "tenants.old", "from": {} },
    ]);
    let (url, asked) = gate(200, json!({ "changes": changes, "version": 7 }));
    let args = ["apply", file.to_str().unwrap(), "--gate", &url, "--prune"];
    let output = folder.run(&args, &[("TOLLGATE_SECRET", SECRET)]);
    assert_eq!(
        out(&output),
        "~ tenants.acme.limits.rpm: 4 -> 5\n+ tenants.new = {}\n- tenants.old\n",
        "{output:?}"
    );
    let asked = asked.join().unwrap();
    assert_eq!(asked.line, "PUT /admin/tenants HTTP/1.1");
    assert_eq!(verify(&asked.token).role, Some(Role::Owner), "pruning takes an owner");
    assert_eq!((&asked.body["prune"], &asked.body["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!(asked.body["tenants"]["acme"]["limits"]["rpm"], 5);
    assert_eq!(asked.body["tenants"]["acme"]["budgets"][0]["usd"], "12.50");
}

#[test]
fn a_thousand_tenants_arrive_in_one_call() {
    let folder = Folder::new("thousand");
    let text: String =
        (0..1_000).map(|i| format!("[tenants.t{i:04}]\nweight = {}\n", i % 1_000 + 1)).collect();
    let file = folder.write("tenants.toml", &text);
    let (url, asked) = gate(200, json!({ "changes": [] }));
    let args = ["apply", file.to_str().unwrap(), "--gate", &url, "--dry-run"];
    let output = folder.run(&args, &[("TOLLGATE_SECRET", SECRET)]);
    assert!(err(&output).contains("1000 tenants are as the file says"), "{output:?}");
    let asked = asked.join().unwrap();
    assert_eq!(asked.body["tenants"].as_object().unwrap().len(), 1_000);
    assert_eq!(asked.body["tenants"]["t0999"]["weight"], 1_000);
    assert_eq!(asked.body["dry_run"], true);
    assert_eq!(verify(&asked.token).role, Some(Role::Operator));
}

/// What is in the file, and what is said of it.
const BAD_TENANTS: &[(&str, &str)] = &[
    ("[tenants.acme]\nwieght = 2", "wieght"),
    ("[tenants.acme.limits]\nrpm = 'many'", "tenants.acme.limits.rpm"),
    ("[tenants.acme]\nbudgets = [{ window = 'day', usd = 1.5 }]", "never a float"),
    ("[tenants.acme]\nweight = 0", "tenants.acme.weight"),
    ("[tenants.'a b']", "a name has 1 to 64"),
    (
        "[tenants.acme]\nbudgets = [{ window = 'day', usd = 1, starts = 'monday' }]",
        "tenants.acme.budgets[0].starts",
    ),
    (
        "[tenants.acme]\nbudgets = [{ window = 'day', usd = 1, zone = 'Mars/Olympus' }]",
        "tenants.acme.budgets[0].zone",
    ),
    ("[tenants.acme", "mend the TOML"),
];

#[test]
fn a_bad_tenants_file_is_refused_before_anything_is_sent() {
    let folder = Folder::new("bad");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for (text, part) in BAD_TENANTS {
        let file = folder.write("tenants.toml", text);
        let file = file.to_str().unwrap();
        let output = folder.run(&["apply", file, "--gate", &url], &[("TOLLGATE_SECRET", SECRET)]);
        assert!(!output.status.success() && err(&output).contains(part), "{text}: {output:?}");
        let config = folder.write("wrangler.toml", "");
        let args = ["check", "--config", config.to_str().unwrap(), "--tenants", file];
        let output = folder.run(&args, &[]);
        assert!(!output.status.success() && err(&output).contains(part), "{text}: {output:?}");
    }
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "nothing was sent");
}

#[test]
fn each_refusal_names_what_to_do() {
    let folder = Folder::new("refusals");
    let said =
        |message: &str| json!({ "type": "error", "error": { "message": message } }).to_string();
    let table = [
        (401, said("no"), vec!["401", "no", "tollgate token --role operator", "TOLLGATE_TOKEN"]),
        (403, said("viewer"), vec!["403", "viewer", "the token's role is too low"]),
        (404, "<html>".into(), vec!["404", "wrangler secret put TOLLGATE_SECRET"]),
        (404, said("no tenant \u{1b}[31macme"), vec!["404", "no tenant [31macme"]),
        (302, String::new(), vec!["302"]),
        (200, "<html>".into(), vec!["something unexpected"]),
    ];
    for (status, answer, parts) in table {
        let (url, asked) = gate_that_says(status, answer);
        let args = ["key", "--tenant", "acme", "--gate", &url];
        let output = folder.run(&args, &[("TOLLGATE_SECRET", SECRET)]);
        asked.join().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{status}: {output:?}");
        for part in parts {
            assert!(err(&output).contains(part), "{status}: {part}: {}", err(&output));
        }
        assert!(!err(&output).contains('\u{1b}'));
    }
}

#[test]
fn a_gate_that_is_not_there_is_named_with_the_command_that_starts_one() {
    let folder = Folder::new("refused");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let output =
        folder.run(&["key", "--tenant", "a", "--gate", &url], &[("TOLLGATE_SECRET", SECRET)]);
    assert!(err(&output).contains("make dev"), "{output:?}");
}

#[test]
fn a_token_never_travels_in_the_open() {
    let folder = Folder::new("open");
    for url in ["http://gate.example.com", "gate.example.com", "http://127.0.0.1.evil.example"] {
        let output =
            folder.run(&["key", "--tenant", "a", "--gate", url], &[("TOLLGATE_SECRET", SECRET)]);
        assert!(err(&output).contains("neither https nor a loopback"), "{url}: {output:?}");
    }
}

#[test]
fn the_repositorys_own_files_are_sound() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = Folder::new("own");
    // A copy, so that nobody's .dev.vars is looked at.
    let config = folder
        .write("wrangler.toml", &std::fs::read_to_string(root.join("wrangler.toml")).unwrap());
    let tenants = root.join("tenants.example.toml");
    let args =
        ["check", "--config", config.to_str().unwrap(), "--tenants", tenants.to_str().unwrap()];
    let output = folder.run(&args, &[]);
    assert!(output.status.success() && out(&output).contains("is sound"), "{output:?}");
}

#[test]
fn the_examples_of_the_documentation_are_sound() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/configure.md")).unwrap();
    let folder = Folder::new("docs");
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 6);
    for example in examples {
        let of_tenants = example.starts_with("# tenants.toml\n");
        assert!(of_tenants || example.starts_with("# wrangler.toml\n"), "{example}");
        let config = folder.write("wrangler.toml", if of_tenants { "" } else { example });
        let tenants = folder.write("tenants.toml", if of_tenants { example } else { "" });
        let args =
            ["check", "--config", config.to_str().unwrap(), "--tenants", tenants.to_str().unwrap()];
        let output = folder.run(&args, &[]);
        assert!(output.status.success(), "{example}: {}", err(&output));
    }
}
