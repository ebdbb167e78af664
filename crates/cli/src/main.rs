//! `tollgate`: what an operator does at the command line.
//!
//! Signs admin tokens offline, makes keys and brings tenants in force over a
//! gate's admin interface, checks configuration before a deploy, and plays scenarios
//! in virtual time. Results go to standard output, everything said about them to
//! standard error.
#![forbid(unsafe_code)]

mod admin;
mod apply;
mod check;
mod dev_vars;
mod key;
mod report;
mod signing;
mod simulate;
mod span;
mod tenants;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::span::Span;

#[derive(Parser)]
#[command(name = "tollgate", version, about = "Operates a Tollgate gateway")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sign an admin token, offline, with TOLLGATE_SECRET (environment or .dev.vars)
    Token {
        /// viewer reads; operator also makes keys and changes tenants; owner may do all
        #[arg(long, default_value = "owner")]
        role: keys::Role,
        /// How long it lives: 15m, 12h, 30d
        #[arg(long, default_value = "30d")]
        ttl: Span,
    },
    /// Make a tenant's key and print it, once
    Key(key::Request),
    /// Show how a tenants' file differs from what is in force, and bring it in force
    Apply {
        /// The tenants' file, e.g. tenants.toml
        file: PathBuf,
        #[command(flatten)]
        gate: GateArgs,
        /// Also remove the tenants that the file does not name
        #[arg(long)]
        prune: bool,
        /// Only show the difference
        #[arg(long)]
        dry_run: bool,
    },
    /// Check wrangler.toml, secrets and a tenants' file, offline
    Check {
        /// The configuration of the Worker
        #[arg(long, default_value = "wrangler.toml")]
        config: PathBuf,
        /// A tenants' file to check as well
        #[arg(long)]
        tenants: Option<PathBuf>,
    },
    /// Play scenarios in virtual time, the Gate beside what else one could do
    Simulate(simulate::Play),
}

/// Which gate, for the commands that call one.
#[derive(Args)]
struct GateArgs {
    /// The gate's address. The token comes from TOLLGATE_TOKEN, or is signed on the
    /// spot where TOLLGATE_SECRET is at hand
    #[arg(long = "gate", value_name = "URL", default_value = "http://127.0.0.1:8787")]
    url: String,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Token { role, ttl } => signing::print_token(role, ttl),
        Command::Key(request) => key::make(&request),
        Command::Apply { file, gate, prune, dry_run } => {
            apply::apply(&file, &gate.url, prune, dry_run)
        }
        Command::Simulate(play) => simulate::simulate(&play),
        Command::Check { config, tenants } => check::check(&config, tenants.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tollgate: {message}");
            ExitCode::FAILURE
        }
    }
}
