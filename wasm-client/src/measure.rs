//! A request's measure, as JSON: bounds, how far to trust them, the parts with
//! their sources, and what it may cost.

use providers::anthropic::request::{Facts, Part, Thinking};
use providers::models::{self, ModelInfo};
use providers::price::{self, CacheWrites, Terms};
use serde::Serialize;
use tokens::calibration::KINDS;
use tokens::{Estimate, Family};

include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// Below so many tokens the rounding and the framing decide, not the text.
const SHORT_TOKENS: u64 = 200;

#[derive(Serialize)]
struct Measure<'a> {
    model: &'a str,
    exact: bool,
    lower: u64,
    estimate: u64,
    upper: u64,
    confidence: &'static str,
    parts: Vec<Told>,
    /// What usage corrects of the estimate.
    kinds: [u64; KINDS],
    output: Output,
    cost: Cost,
    max_input_tokens: Option<u64>,
}

#[derive(Serialize)]
struct Told {
    name: &'static str,
    lower: u64,
    estimate: u64,
    upper: u64,
    source: &'static str,
}

/// What may come back, as the request limits it.
#[derive(Serialize)]
struct Output {
    max_tokens: u64,
    /// The part of it that thinking may take.
    thinking_tokens: u64,
}

#[derive(Serialize)]
struct Cost {
    /// The input alone, at the estimate and the plain rate.
    input_microusd: u64,
    /// The most: the input's upper bound at its dearest rate, and all output.
    most_microusd: u64,
    /// True where a price had to be assumed.
    assumed: bool,
}

/// The measure of these facts, at the prices of `at_ms`.
pub(crate) fn told(facts: &Facts, at_ms: u64) -> String {
    let model = models::class_of(&facts.model);
    let Estimate { lower, estimate, upper } = facts.input();
    let plain = Terms { not_us: true, cache: CacheWrites::No, ..Terms::default() };
    let input = price::most(&facts.model, estimate, 0, plain, at_ms);
    let most = facts.cost_most(at_ms);
    let parts = facts.parts().into_iter().map(|(part, Estimate { lower, estimate, upper })| Told {
        name: part.name(),
        lower,
        estimate,
        upper,
        source: source(part, model),
    });
    let measure = Measure {
        model: &facts.model,
        exact: lower == upper,
        lower,
        estimate,
        upper,
        confidence: confidence(facts, model, estimate),
        parts: parts.collect(),
        kinds: facts.kinds(),
        output: Output {
            max_tokens: facts.max_tokens,
            thinking_tokens: match facts.thinking {
                Thinking::Enabled { budget } => budget.min(facts.max_tokens),
                Thinking::Adaptive => facts.max_tokens,
                _ => 0,
            },
        },
        cost: Cost {
            input_microusd: input.microusd,
            most_microusd: most.microusd,
            assumed: most.estimated,
        },
        max_input_tokens: model.map(|model| model.context_tokens),
    };
    // Strings and numbers: serialisation cannot fail.
    serde_json::to_string(&measure).unwrap_or_default()
}

/// `medium`: within some 15 % for ordinary text (crates/tokens says for which);
/// `low`: the model is not known, or much of the input is short, opaque, of a
/// script that the fit saw little of, or not in the body at all.
fn confidence(facts: &Facts, model: Option<&ModelInfo>, estimate: u64) -> &'static str {
    let text = &facts.text.messages;
    let rare = text.astral + text.brahmic + text.symbols;
    let unknown = facts.opaque_bytes + facts.text.other.bytes;
    let remote = facts.open_ended() || facts.remote_sources > 0 || facts.file_ids > 0;
    let low = model.is_none()
        || remote
        || facts.pdfs > 0
        || estimate < SHORT_TOKENS
        || unknown > text.bytes / 2
        || rare > text.code_points / 4;
    if low { "low" } else { "medium" }
}

fn source(part: Part, model: Option<&ModelInfo>) -> &'static str {
    let old = model.is_some_and(|model| model.family == Family::UpTo46);
    let by_family = |upto46, from47| if old { upto46 } else { from47 };
    match part {
        Part::Framing => FRAMING,
        Part::Roles => ROLES,
        Part::System | Part::Messages | Part::Tools => by_family(TEXT_UPTO46, TEXT_FROM47),
        Part::ToolPrompt => match model.and_then(|model| model.tools_auto.or(model.tools_any)) {
            Some(_) => "docs, tool use pricing, by model and tool choice",
            None => TOOLS_UNKNOWN,
        },
        Part::Images => by_family(IMAGE_UPTO46, IMAGE_FROM47),
        Part::Documents => by_family(PDF_UPTO46, PDF_FROM47),
        Part::Opaque => OPAQUE,
        Part::Other => "fields that may reach the model: none to all of their bytes",
        _ => "not in the request: nothing to the whole context window",
    }
}

#[cfg(test)]
mod tests {
    use providers::anthropic::request::{Api, Scanner};
    use serde_json::Value;

    use super::*;

    fn measure(body: &str) -> Value {
        let complete = body.contains("max_tokens");
        let api = if complete { Api::Messages } else { Api::CountTokens };
        let mut scanner = Scanner::new(api);
        scanner.feed(body.as_bytes()).expect("it is a request");
        let facts = scanner.finish().expect("it is whole");
        serde_json::from_str(&told(&facts, 1_795_478_400_000)).expect("it is JSON")
    }

    #[test]
    fn every_part_says_where_its_figure_comes_from() {
        let told = measure(
            r#"{"model":"claude-haiku-4-5","system":"Be brief.","thinking":{"type":"enabled","budget_tokens":1024},"max_tokens":2048,
                "tools":[{"name":"a","input_schema":{"type":"object"}}],
                "messages":[{"role":"user","content":[{"type":"text","text":"What is on it?"},
                  {"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}]}]}"#,
        );
        let parts = told["parts"].as_array().expect("a list");
        assert!(parts.len() >= 7, "{told}");
        for part in parts {
            assert!(part["source"].as_str().is_some_and(|source| source.len() > 20), "{part}");
        }
        assert_eq!(told["output"]["thinking_tokens"], 1024);
        assert_eq!(told["confidence"], "low", "an image by address is not in the body");
        assert_eq!(told["exact"], false);
    }

    #[test]
    fn an_image_costs_its_patches_of_28_pixels() {
        // A PNG's first bytes: signature, IHDR, 1,000 x 1,000.
        let png = "iVBORw0KGgoAAAANSUhEUgAAA+gAAAPoCAIAAAA=";
        let told = measure(&format!(
            r#"{{"model":"claude-sonnet-5-5","messages":[{{"role":"user","content":[
                {{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{png}"}}}}]}}]}}"#
        ));
        let parts = told["parts"].as_array().expect("a list");
        let image = parts.iter().find(|part| part["name"] == "images").expect("it is there");
        assert_eq!((&image["lower"], &image["estimate"]), (&(36 * 36).into(), &(36 * 36).into()));
    }

    #[test]
    fn ordinary_text_of_a_known_model_is_trusted_more() {
        let text = "The gate decides, the worker carries; nothing else is allowed to. ".repeat(20);
        let of = |model: &str| {
            measure(&format!(
                r#"{{"model":"{model}","messages":[{{"role":"user","content":"{text}"}}]}}"#
            ))["confidence"]
                .clone()
        };
        assert_eq!((of("claude-opus-5-5"), of("claude-saga-9")), ("medium".into(), "low".into()));
    }
}
