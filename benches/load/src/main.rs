//! `load`: the two ends of a throughput run. `load upstream` is a fake
//! provider, `load run` a closed-loop client; `benches/bench.mjs` puts the
//! gateways between them. Not a test double: limits and faults are the
//! emulator's.

mod histogram;
mod http;
mod run;
mod upstream;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

#[derive(Parser)]
#[command(about, version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer as a very fast provider without limits.
    Upstream {
        /// The port on 127.0.0.1; 0 for any.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Press a gateway and print what it did as one line of JSON.
    Run(run::Plan),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match act(Args::parse().command).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn act(command: Command) -> std::io::Result<()> {
    match command {
        Command::Upstream { port } => {
            let listener = TcpListener::bind(("127.0.0.1", port)).await?;
            println!("ready http://{}", listener.local_addr()?);
            upstream::serve(listener).await
        }
        Command::Run(plan) => {
            println!("{}", run::run(plan).await?);
            Ok(())
        }
    }
}
