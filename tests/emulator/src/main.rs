//! The command: `tollgate-emulator --port 0`. Prints `ready http://HOST:PORT` and
//! runs until it is told to stop.

use clap::Parser;
use emulator::answer::Service;
use emulator::catalog::{LimitChange, LimitTable};
use emulator::clock::Clock;
use emulator::http;
use emulator::state::Settings;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The Claude Messages API with real limits, faults and statistics.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Port to listen on; 0: any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Accepted keys; without it every key that begins with sk-ant-emulator.
    #[arg(long, value_delimiter = ',')]
    keys: Vec<String>,
    /// The published limits to start from: start, build or scale.
    #[arg(long, default_value = "start")]
    tier: String,
    /// A TOML file of limits: a table a pool, e.g. [opus-5] rpm, itpm, otpm.
    #[arg(long)]
    limits: Option<PathBuf>,
    /// Requests a minute of every model class.
    #[arg(long)]
    rpm: Option<u64>,
    /// Input tokens a minute of every model class.
    #[arg(long)]
    itpm: Option<u64>,
    /// Output tokens a minute of every model class.
    #[arg(long)]
    otpm: Option<u64>,
    /// Limit requests to a second's share too.
    #[arg(long)]
    by_second: bool,
    /// No delays: answers are generated as fast as they are read.
    #[arg(long)]
    instant: bool,
    /// Mean time to the first byte, ms.
    #[arg(long, default_value_t = 400)]
    ttft_ms: u64,
    /// Mean output tokens a second of one stream.
    #[arg(long, default_value_t = 80)]
    tokens_per_s: u64,
    /// Mean output length, tokens.
    #[arg(long, default_value_t = 300)]
    output_tokens: u64,
    /// Output tokens in one delta.
    #[arg(long, default_value_t = 4)]
    tokens_per_delta: u64,
    /// Draws lengths and times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Its clock stands so far ahead of this machine's, ms; negative: behind.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    ahead_ms: i64,
    /// Requests that /emulator/requests remembers.
    #[arg(long, default_value_t = 1_000)]
    remembered: usize,
}

impl Options {
    fn settings(&self) -> Result<Settings, String> {
        let mut limits = LimitTable::tier(&self.tier)?;
        if let Some(path) = &self.limits {
            let named = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
            let text = std::fs::read_to_string(path).map_err(|e| named(&e))?;
            let file: BTreeMap<String, LimitChange> =
                toml::from_str(&text).map_err(|e| named(&e))?;
            limits.apply(&file);
        }
        let flags = LimitChange {
            rpm: self.rpm,
            itpm: self.itpm,
            otpm: self.otpm,
            by_second: self.by_second.then_some(true),
        };
        if flags != LimitChange::default() {
            limits.apply(&BTreeMap::from([("*".to_owned(), flags)]));
        }
        let paced = u64::from(!self.instant);
        Ok(Settings {
            keys: self.keys.clone(),
            limits,
            service: Service {
                output_tokens: self.output_tokens,
                ttft_ms: self.ttft_ms * paced,
                tokens_per_s: self.tokens_per_s * paced,
                tokens_per_delta: self.tokens_per_delta,
                seed: self.seed,
            },
            remembered: self.remembered,
            clock: Clock::system(self.ahead_ms),
        })
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let result = runtime.block_on(run(&options));
    // At once: nothing here is worth waiting for.
    runtime.shutdown_background();
    result.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &str) -> ExitCode {
    eprintln!("tollgate-emulator: {error}");
    ExitCode::FAILURE
}

async fn run(options: &Options) -> Result<(), String> {
    let mut term = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let listener = TcpListener::bind((options.host, options.port))
        .await
        .map_err(|e| format!("{}:{}: {e}", options.host, options.port))?;
    let running = http::start(listener, options.settings()?)?;
    println!("ready {}", running.url());
    let _ = std::io::stdout().flush();
    tokio::select! {
        _ = term.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(|e| e.to_string()),
    }
}
