//! Calls of a gate's admin interface, and what to do where they fail.

use std::time::Duration;

use keys::Role;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body, Error};

use crate::signing;

/// What a gate's answer may have: ten thousand tenants have some megabytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A gate and the right to operate it.
pub(crate) struct Admin {
    agent: Agent,
    url: String,
    token: String,
}

impl Admin {
    /// The gate at `url`, which is https or loopback: the token must not travel
    /// in the open. `role` is what a token has that is signed for this call.
    pub(crate) fn new(url: &str, role: Role) -> Result<Self, String> {
        let url = url.trim_end_matches('/');
        let is_loopback = settings::is_loopback_http(url);
        if !url.starts_with("https://") && !is_loopback {
            return Err(format!("{url} is neither https nor a loopback address (--gate URL)"));
        }
        let mut config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .max_redirects(0);
        if is_loopback {
            config = config.proxy(None);
        }
        let agent = config.build().new_agent();
        Ok(Self { agent, url: url.into(), token: signing::token_for_call(role)? })
    }

    /// POST of JSON.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, String> {
        let request = self.agent.post(format!("{}{path}", self.url));
        self.send(request, body)
    }

    /// PUT of JSON.
    pub(crate) fn put<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, String> {
        let request = self.agent.put(format!("{}{path}", self.url));
        self.send(request, body)
    }

    fn send<T: DeserializeOwned>(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &Value,
    ) -> Result<T, String> {
        let response = request
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .send(body.to_string())
            .map_err(|error| self.unreachable(&error))?;
        self.read(response)
    }

    fn read<T: DeserializeOwned>(&self, mut response: Response<Body>) -> Result<T, String> {
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        if status == 200 || status == 201 {
            return serde_json::from_str(&text)
                .map_err(|error| format!("{} answered something unexpected: {error}", self.url));
        }
        Err(self.refused(status, &text))
    }

    fn unreachable(&self, error: &Error) -> String {
        let url = &self.url;
        match error {
            Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => format!(
                "nobody listens at {url}: start the gateway (`make dev`), or name another by \
                 --gate URL"
            ),
            Error::HostNotFound => format!("there is no host of {url}: check --gate URL"),
            Error::Timeout(_) => format!("{url} did not answer within a minute"),
            other => format!("cannot call {url}: {other}"),
        }
    }

    fn refused(&self, status: u16, text: &str) -> String {
        let url = &self.url;
        let said = serde_json::from_str::<Value>(text)
            .ok()
            .and_then(|json| Some(json.pointer("/error/message")?.as_str().map(printable)))
            .flatten();
        let remedy = match status {
            401 => {
                "the token was signed with another TOLLGATE_SECRET, or has expired: \
                 `tollgate token --role operator` signs one where the gate's TOLLGATE_SECRET is \
                 set; pass it as TOLLGATE_TOKEN"
            }
            403 => {
                "the token's role is too low: `tollgate token --role operator` signs a higher one"
            }
            404 if said.is_none() => {
                "that is no Tollgate, or one without TOLLGATE_SECRET: its admin interface is shut \
                 until `wrangler secret put TOLLGATE_SECRET`"
            }
            _ => "",
        };
        let said = said.unwrap_or_default();
        [format!("{url} answered {status}"), said, remedy.into()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    }
}

/// Text from elsewhere, without what steers a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(2_000).collect()
}
