//! Step 3 again, for callers whose credential everybody can read: publishable
//! keys and visitor tokens. What they may not do dies here, before the Gate is
//! asked; how much they may use is the Gate's (`limits`, users).
//!
//! An allow-list throughout: what is not known to be harmless is refused, by the
//! name of its field and with a remedy. Origins stop other sites' pages, not
//! scripts: against those stand the limits of each visitor and the day's budget.

use std::net::{IpAddr, SocketAddr};

use limits::message::{PolicyView, PublishableView, Refusal};
use providers::Speed;
use providers::anthropic::request::{Api, Facts, SYSTEM_BYTES_KEPT};

use super::auth::Caller;
use super::errors::Problem;
use super::parse::Endpoint;
use super::{Head, Headers};

// A longer system prompt than any tenant can fix must not look like its beginning.
const _: () = assert!(SYSTEM_BYTES_KEPT > limits::policy::SYSTEM_BYTES_MAX);

/// Whom a publishable key's request is counted for: the address that Cloudflare or
/// the named proxy saw, of IPv6 the /64 that one subscriber has. Never one that
/// clients choose: `from` is a header that is written before us, and which of its
/// entries, from the end, was added by whom we trust. Callers without one are one
/// visitor together.
pub fn address(headers: &Headers, from: Option<(&str, u32)>) -> String {
    let seen = from.and_then(|(name, place)| {
        let entry = headers.get(name)?.rsplit(',').nth(place as usize - 1)?.trim();
        entry.parse().ok().or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()))
    });
    match seen {
        None => "unknown".into(),
        Some(IpAddr::V4(four)) => four.to_string(),
        Some(IpAddr::V6(six)) => match six.to_ipv4_mapped() {
            Some(four) => four.to_string(),
            None => {
                let [a, b, c, d, ..] = six.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        },
    }
}

/// Our own request headers are for servers.
pub fn headers(headers: &Headers) -> Result<(), Problem> {
    // Who shares an address must not share answers.
    let ours = |name: &str| name.starts_with("x-tollgate-") || name == "idempotency-key";
    match headers.iter().find(|(name, _)| ours(name)) {
        Some((name, _)) => Err(refused(name, "may not send this header. Leave it out")),
        None => Ok(()),
    }
}

/// Which paths they may call.
pub(super) fn endpoint(endpoint: &Endpoint) -> Result<(), Problem> {
    match endpoint {
        Endpoint::Post(_) => Ok(()),
        Endpoint::Unmetered(_) => Err(refused(
            "path",
            "may only call POST /v1/messages, POST /v1/messages/count_tokens and GET /v1/limits. Call others from a server, with a secret key",
        )),
    }
}

/// What the tenant allows its pages, where its policy has them and this one is
/// among their origins. A page's own GET names no origin.
pub fn table<'a>(policy: &'a PolicyView, head: &Head) -> Result<&'a PublishableView, Problem> {
    let table = policy.publishable.as_ref().ok_or_else(|| {
        refused("x-api-key", "has nothing to use: this tenant has no `publishable` table. The operator applies one (docs/configure.md)")
    })?;
    let origin = head.headers.get("origin");
    let is_allowed = |allowed: &String| allowed == "*" || Some(allowed.as_str()) == origin;
    let reads_only = origin.is_none() && head.method != "POST";
    if reads_only || table.origins.iter().any(is_allowed) {
        return Ok(table);
    }
    Err(Problem::forbidden(
        "tollgate_origin_not_allowed",
        "origin: pages of this origin may not use this key. The operator adds it to the tenant's `publishable.origins`.",
    ))
}

/// Whether a request may be made at all.
pub(super) fn request(
    caller: &Caller,
    head: &Head,
    endpoint: &Endpoint,
    facts: &Facts,
    policy: Option<&PolicyView>,
) -> Result<(), Problem> {
    // Without a policy nothing is allowed; it was brought in before this is asked.
    let policy = policy.ok_or_else(super::admit::not_understood)?;
    let table = table(policy, head)?;
    let named = head.headers.iter().filter(|(name, _)| *name == "anthropic-beta");
    let named = named.flat_map(|(_, value)| value.split(',')).map(str::trim);
    let mut betas = named.chain(facts.betas.iter().map(String::as_str));
    if betas.any(|beta| !beta.is_empty() && !table.betas.iter().any(|allowed| allowed == beta)) {
        return Err(refused(
            "anthropic-beta",
            "may name the betas of the tenant's `publishable.betas` only. Leave the others out",
        ));
    }
    let server = "may not use it. Leave it out, or call from a server with a secret key";
    let fields = [
        (
            facts.server_tools > 0,
            "tools",
            "may only use tools that the client runs. Leave the provider's own out, or call from a server with a secret key",
        ),
        (facts.mcp_servers > 0, "mcp_servers", server),
        (facts.file_ids > 0, "file_id", "may not use files by id. Send the content itself"),
        (facts.speed == Speed::Fast, "speed", "may not use the fast mode. Leave the field out"),
        (facts.fallbacks_default, "fallbacks", server),
        (facts.thread, "thread", server),
        (facts.service_tier.is_some(), "service_tier", server),
        (facts.inference_geo.is_some(), "inference_geo", server),
        (facts.other_field.is_some(), facts.other_field.as_deref().unwrap_or_default(), server),
    ];
    if let Some((_, field, remedy)) = fields.into_iter().find(|(is_there, ..)| *is_there) {
        return Err(refused(field, remedy));
    }
    let token = &caller.claims.models;
    let allows = |model: &String| table.allows(model) && limits::policy::allows(token, model);
    if !std::iter::once(&facts.model).chain(&facts.other_models).all(allows) {
        return Err(Problem::forbidden(
            "tollgate_model_not_allowed",
            "model: this publishable key or visitor token may not use it. Choose one of the tenant's `publishable.models`, or of the token's `models`.",
        ));
    }
    if *endpoint == Endpoint::Post(Api::Messages)
        && facts.max_tokens.max(facts.other_max_tokens) > table.max_tokens
    {
        let most = table.max_tokens;
        return Err(refused("max_tokens", &format!("may ask for at most {most}. Lower it")));
    }
    if let Some(system) = &table.system {
        // Checked, never put in: bodies pass as they are (invariant 10).
        if facts.system_text.as_deref() != Some(system.as_bytes()) {
            return Err(refused(
                "system",
                "must send the tenant's `publishable.system`, to the letter, as one string or one text block",
            ));
        }
        if facts.other_roles {
            return Err(refused(
                "messages",
                "may have the roles user and assistant only, because the tenant fixes the system prompt",
            ));
        }
    }
    Ok(())
}

/// What a visitor may hear of a refusal: its own levels, nobody else's (invariant 7).
pub(super) fn told(refusal: &Refusal) -> Refusal {
    let mut limit = refusal.limit.clone();
    if let Some(limit) = limit.as_mut().filter(|limit| limit.scope != "visitor") {
        (limit.level, limit.capacity, limit.per_s, limit.per_minute) = (0, 0, 0, 0);
    }
    Refusal { limit, ..refusal.clone() }
}

fn refused(field: &str, what: &str) -> Problem {
    let field: String = field.chars().filter(|c| !c.is_control()).take(64).collect();
    Problem::forbidden(
        "tollgate_publishable_key",
        format!("{field}: a publishable key or visitor token {what}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUDFLARE: Option<(&str, u32)> = Some(("cf-connecting-ip", 1));

    #[test]
    fn a_visitor_is_the_address_that_cloudflare_saw() {
        for (seen, visitor) in [
            (Some("192.0.2.7"), "192.0.2.7"),
            (Some(" 192.0.2.7 "), "192.0.2.7"),
            (Some("::ffff:192.0.2.7"), "192.0.2.7"),
            (Some("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64"),
            (Some("2001:db8:1:2::ffff"), "2001:db8:1:2::/64"),
            (Some("2001:db8::1"), "2001:db8:0:0::/64"),
            (Some("me"), "unknown"),
            (Some(""), "unknown"),
            (None, "unknown"),
        ] {
            let mut headers = Headers::default();
            headers.add("x-forwarded-for", "203.0.113.1");
            seen.iter().for_each(|seen| headers.add("cf-connecting-ip", seen));
            assert_eq!(address(&headers, CLOUDFLARE), visitor, "{seen:?}");
            assert_eq!(address(&headers, None), "unknown", "nobody is believed: {seen:?}");
        }
    }

    #[test]
    fn behind_proxies_a_visitor_is_what_the_outermost_of_them_added() {
        for (hops, seen, visitor) in [
            (1, "192.0.2.7", "192.0.2.7"),
            (1, "203.0.113.1, 192.0.2.7", "192.0.2.7"),
            (1, "192.0.2.7, ", "unknown"),
            (2, "203.0.113.1, 192.0.2.7,10.0.0.1", "192.0.2.7"),
            (2, "203.0.113.1, 192.0.2.7, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
            (2, "10.0.0.1", "unknown"),
            (1, "192.0.2.7:4711", "192.0.2.7"),
            (1, "[2001:db8:1:2::3]:4711", "2001:db8:1:2::/64"),
            (1, "unknown", "unknown"),
        ] {
            let mut headers = Headers::default();
            headers.add("cf-connecting-ip", "203.0.113.9");
            headers.add("x-forwarded-for", seen);
            let from = Some(("x-forwarded-for", hops));
            assert_eq!(address(&headers, from), visitor, "{hops} of {seen}");
        }
    }
}
