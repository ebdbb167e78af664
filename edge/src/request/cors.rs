//! CORS: every response, refusals included, for allowed origins.

use super::Headers;

/// Response headers that a page's script may read (design §4).
const EXPOSED: &str = "retry-after, retry-after-ms, x-should-retry, ratelimit, ratelimit-policy, request-id, etag, x-tollgate-request-id, x-tollgate-wait-ms, x-tollgate-cache, x-tollgate-provider, x-tollgate-model, x-tollgate-attempts, x-tollgate-cost-microusd, x-tollgate-replayed";
/// Request headers without a family.
const ACCEPTED: [&str; 8] = [
    "authorization",
    "content-type",
    "accept",
    "x-api-key",
    "idempotency-key",
    "if-none-match",
    "user-agent",
    "cache-control",
];
/// Families of request headers.
const FAMILIES: [&str; 3] = ["x-stainless-", "anthropic-", "x-tollgate-"];
/// Longest list of asked headers that is answered.
const ASKED_BYTES_MAX: usize = 4096;

/// The origin to allow, where the request's is: `*` allows all. No cookie or
/// other ambient credential opens anything here, so `*` gives nothing away.
fn allowed<'a>(origins: &'a [String], origin: &'a str) -> Option<&'a str> {
    let any = origins.iter().any(|o| o == "*");
    if any { Some("*") } else { origins.iter().any(|o| o == origin).then_some(origin) }
}

/// Adds what the browser needs to let a page read the response.
pub fn expose(request: &Headers, origins: &[String], response: &mut Headers) {
    let Some(origin) = request.get("origin") else { return };
    if let Some(allowed) = allowed(origins, origin) {
        response.add("access-control-allow-origin", allowed);
        response.add("access-control-expose-headers", EXPOSED);
    }
    response.add("vary", "origin");
}

/// Answers a preflight.
pub fn preflight(request: &Headers, origins: &[String]) -> Headers {
    let mut response = Headers::default();
    response.add("vary", "origin, access-control-request-headers");
    let Some(allowed) = request.get("origin").and_then(|origin| allowed(origins, origin)) else {
        return response;
    };
    let asked = request.get("access-control-request-headers").unwrap_or_default();
    let accepted: Vec<&str> = asked
        .get(..asked.len().min(ASKED_BYTES_MAX))
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            ACCEPTED.contains(&name.as_str())
                || FAMILIES.iter().any(|family| name.starts_with(family))
        })
        .collect();
    response.add("access-control-allow-origin", allowed);
    response.add("access-control-allow-methods", "GET, POST, DELETE, OPTIONS");
    if !accepted.is_empty() {
        response.add("access-control-allow-headers", &accepted.join(", "));
    }
    response.add("access-control-max-age", "86400");
    response
}
