//! The command itself: its ready line, its signals, its errors.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

fn spawn(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tollgate-emulator"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ready(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().strip_prefix("ready ").expect("the ready line").to_owned()
}

#[tokio::test]
async fn it_says_where_it_is_and_ends_when_told_to_with_a_stream_open() {
    let mut child = spawn(&["--port", "0", "--keys", "sk-one,sk-two", "--instant"]);
    let url = ready(&mut child);
    let client = reqwest::Client::new();
    let models = |key: &'static str| {
        let request = client.get(format!("{url}/v1/models")).header("x-api-key", key);
        request.header("anthropic-version", "2026-10-21").send()
    };
    assert_eq!(models("sk-two").await.unwrap().status(), 200);
    assert_eq!(models("sk-ant-emulator").await.unwrap().status(), 401);
    let stalled = client
        .post(format!("{url}/v1/messages"))
        .header("x-api-key", "sk-one")
        .header("anthropic-version", "2026-10-21")
        .header("x-emulator-fault", "stall")
        .body(r#"{"model":"claude-opus-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(stalled.status(), 200);
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
    assert!(stalled.text().await.is_err(), "its streams end with it");
}

#[test]
fn a_taken_port_and_a_wrong_file_are_errors() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in
        [&["--port", &port][..], &["--tier", "tier-4"], &["--limits", "/nonexistent.toml"]]
    {
        let output = spawn(arguments).wait_with_output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("tollgate-emulator: "));
    }
}
