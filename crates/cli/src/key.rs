//! `tollgate key`: makes a tenant's key, and prints it once.

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::GateArgs;
use crate::admin::{Admin, printable};
use crate::span::Span;

/// What is asked for.
#[derive(Args)]
pub(crate) struct Request {
    /// The tenant, as the tenants' file names it
    #[arg(long)]
    tenant: String,
    /// secret is for servers; publishable for pages
    #[arg(long, default_value = "secret", value_parser = kind)]
    kind: keys::Kind,
    /// account: may see the provider accounts' own levels
    #[arg(long, value_parser = ["account"])]
    scope: Option<String>,
    /// The highest priority that its requests may ask for
    #[arg(long, value_parser = ["critical", "normal", "background"])]
    priority: Option<String>,
    /// How long it lives: 12h, 90d (for ever, until it is revoked)
    #[arg(long)]
    ttl: Option<Span>,
    #[command(flatten)]
    gate: GateArgs,
}

#[derive(Deserialize)]
struct Made {
    key: String,
    id: String,
}

pub(crate) fn make(request: &Request) -> Result<(), String> {
    let made: Made =
        Admin::new(&request.gate.url, keys::Role::Operator)?.post("/admin/keys", &body(request))?;
    println!("{}", printable(&made.key));
    eprintln!(
        "The {} key {} of {}. It is shown this once; it is revoked by its id.",
        request.kind,
        printable(&made.id),
        request.tenant,
    );
    Ok(())
}

fn body(request: &Request) -> Value {
    let fields = [
        ("tenant", Some(Value::from(request.tenant.as_str()))),
        ("kind", Some(request.kind.name().into())),
        ("scope", request.scope.as_deref().map(Value::from)),
        ("priority", request.priority.as_deref().map(Value::from)),
        ("ttl_s", request.ttl.map(|ttl| ttl.seconds.into())),
    ];
    let set = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(set.collect::<Map<_, _>>())
}

fn kind(text: &str) -> Result<keys::Kind, String> {
    match text.parse()? {
        kind @ (keys::Kind::Secret | keys::Kind::Publishable) => Ok(kind),
        keys::Kind::Admin => Err("`tollgate token` signs admin tokens".into()),
        keys::Kind::Visitor => Err("visitor tokens are minted by a tenant's server".into()),
    }
}
