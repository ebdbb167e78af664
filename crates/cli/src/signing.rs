//! Admin tokens, signed here with the deployment's secret.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use keys::{Claims, Keyring, Role};

use crate::dev_vars;
use crate::span::Span;

const SECRET: &str = "TOLLGATE_SECRET";

/// What a command needs that signs its own token: it is used once, at once.
/// Ten minutes leave room for clocks that disagree.
const ON_THE_SPOT: Span = Span { seconds: 600 };

/// `tollgate token`.
pub(crate) fn print_token(role: Role, ttl: Span) -> Result<(), String> {
    let secret = secret()?.ok_or_else(|| {
        format!(
            "{SECRET} is needed to sign a token: set it in the environment, or in .dev.vars here \
             (`openssl rand -hex 32` makes one)"
        )
    })?;
    let token = sign(&secret, role, ttl)?;
    println!("{token}");
    Ok(())
}

/// The token for a call: TOLLGATE_TOKEN, else one of `role` signed on the spot.
pub(crate) fn token_for_call(role: Role) -> Result<String, String> {
    if let Ok(token) = std::env::var("TOLLGATE_TOKEN") {
        return Ok(token.trim().to_owned());
    }
    let secret = secret()?.ok_or_else(|| {
        format!(
            "no token: set TOLLGATE_TOKEN to what `tollgate token --role operator` prints where \
             {SECRET} is known, or set {SECRET} here (environment or .dev.vars)"
        )
    })?;
    sign(&secret, role, ON_THE_SPOT)
}

fn secret() -> Result<Option<String>, String> {
    match std::env::var(SECRET) {
        Ok(secret) if !secret.is_empty() => Ok(Some(secret)),
        _ => {
            let vars = dev_vars::load(Path::new(".dev.vars"))?.unwrap_or_default();
            Ok(vars.get(SECRET).filter(|secret| !secret.is_empty()).cloned())
        }
    }
}

fn sign(secret: &str, role: Role, ttl: Span) -> Result<String, String> {
    let keyring = Keyring::new(secret.as_bytes(), &[]).map_err(|weak| weak.to_string())?;
    let mut random = [0; 7];
    getrandom::fill(&mut random).map_err(|error| format!("no randomness: {error}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let now_ms = u64::try_from(now.as_millis()).map_err(|error| error.to_string())?;
    let claims = Claims {
        expires_ms: Some(now_ms + ttl.seconds * 1_000),
        ..Claims::admin(role, keys::key_id(random))
    };
    keyring.sign(&claims).map_err(|error| error.to_string())
}
