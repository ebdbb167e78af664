//! What one request may ask of the emulator: by `x-emulator-NAME: VALUE`
//! headers, or, because gateways pass headers by allow-list, by
//! `metadata.user_id` = `emulator:NAME=VALUE;NAME=VALUE`.

use crate::error::ApiError;
use crate::fault::{Fault, What};
use axum::http::HeaderMap;
use serde_json::Value;

const HEADER: &str = "x-emulator-";
const USER_ID: &str = "emulator:";

/// What the request asks for; absent means the emulator's own setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// The fault and its arguments.
    pub fault: Option<Fault>,
    /// Output tokens of the answer, thinking included.
    pub output_tokens: Option<u64>,
    /// Thinking tokens among them.
    pub thinking_tokens: Option<u64>,
    /// Time to the first byte, ms.
    pub ttft_ms: Option<u64>,
    /// Output tokens a second; 0: no delay.
    pub tokens_per_s: Option<u64>,
    /// Output tokens in one delta.
    pub tokens_per_delta: Option<u64>,
    /// The tool to call: a name, or `none`.
    pub tool: Option<String>,
    /// Draws other lengths for the same body.
    pub seed: u64,
}

impl Controls {
    /// From headers and body; a name or value that means nothing is an error,
    /// so that no test runs without the fault it asked for.
    pub fn read(headers: &HeaderMap, body: Option<&Value>) -> Result<Self, ApiError> {
        let mut pairs = Vec::new();
        for (name, value) in headers {
            if let Some(name) = name.as_str().strip_prefix(HEADER) {
                pairs.push((name, value.to_str().map_err(|_| unknown(name, "bytes"))?));
            }
        }
        let user_id = body.and_then(|body| body.pointer("/metadata/user_id")?.as_str());
        if let Some(list) = user_id.and_then(|id| id.strip_prefix(USER_ID)) {
            for pair in list.split(';').filter(|pair| !pair.is_empty()) {
                pairs.push(pair.split_once('=').ok_or_else(|| unknown(pair, ""))?);
            }
        }
        Self::from_pairs(&pairs)
    }

    fn from_pairs(pairs: &[(&str, &str)]) -> Result<Self, ApiError> {
        let mut controls = Self::default();
        let (mut what, mut after, mut retry_after_s, mut ms) = (None, None, None, None);
        for (name, value) in pairs.iter().map(|(n, v)| (n.trim(), v.trim())) {
            let number = || value.parse::<u64>().map_err(|_| unknown(name, value));
            match name {
                "fault" => {
                    let known = serde_json::from_value::<What>(Value::from(value));
                    what = Some(known.map_err(|_| unknown(name, value))?);
                }
                "after" => after = Some(number()?),
                "retry-after" => retry_after_s = Some(number()?),
                "ms" => ms = Some(number()?),
                "output-tokens" => controls.output_tokens = Some(number()?),
                "thinking-tokens" => controls.thinking_tokens = Some(number()?),
                "ttft-ms" => controls.ttft_ms = Some(number()?),
                "tokens-per-s" => controls.tokens_per_s = Some(number()?),
                "tokens-per-delta" => controls.tokens_per_delta = Some(number()?.max(1)),
                "tool" => controls.tool = Some(value.to_owned()),
                "seed" => controls.seed = number()?,
                _ => return Err(unknown(name, value)),
            }
        }
        controls.fault = what.map(|what| Fault { what, after, retry_after_s, ms });
        Ok(controls)
    }
}

fn unknown(name: &str, value: &str) -> ApiError {
    ApiError::invalid(format!("emulator: no control `{name}` with value `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn headers_and_user_id_say_the_same() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("fault", "cut"), ("after", "3"), ("output-tokens", "50")] {
            let name = format!("{HEADER}{name}").parse::<axum::http::HeaderName>().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        let by_header = Controls::read(&headers, None).unwrap();
        let body = json!({"metadata": {"user_id": "emulator:fault=cut;after=3;output-tokens=50"}});
        let by_body = Controls::read(&HeaderMap::new(), Some(&body)).unwrap();
        assert_eq!(by_header, by_body);
        let cut = Fault { what: What::Cut, after: Some(3), retry_after_s: None, ms: None };
        assert_eq!((by_body.fault, by_body.output_tokens), (Some(cut), Some(50)));
    }

    #[test]
    fn other_user_ids_are_left_alone_and_typing_errors_are_not() {
        let user = |id: &str| {
            Controls::read(&HeaderMap::new(), Some(&json!({"metadata": {"user_id": id}})))
        };
        assert_eq!(user("user-17").unwrap(), Controls::default());
        for id in ["emulator:fault=cutt", "emulator:oops=1", "emulator:after=x", "emulator:cut"] {
            assert_eq!(user(id).unwrap_err().status, 400, "{id}");
        }
    }
}
