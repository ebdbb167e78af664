//! The npm package's WebAssembly: a request's or a text's size, by the same code
//! that the gate decides with, and exact counts by a vocabulary. Bindings and
//! nothing else: no clock, no I/O, no limits (those are js/guard's).
//!
//! Text does not cross by wasm-bindgen's strings, which cost five times as much
//! (measured 2026-11: 364 against 1,822 MB/s): JavaScript writes UTF-8 into one
//! reused buffer, [`room::room`], and says how much of it is text. What is only scanned
//! comes in windows, so that memory stays bounded for any length; a vocabulary
//! needs the whole text.

mod measure;
pub mod room;
pub mod vocabulary;

use std::cell::RefCell;

use providers::anthropic::request::{Api, Scanner};
use providers::models::{self, Lifecycle};
use providers::{Usage, price};
use serde::Serialize;
use tokens::{Estimate, Family, FeatureScanner};
use wasm_bindgen::prelude::wasm_bindgen;

use room::with_room;

/// Two KiB less of brotli than the standard library's, in as much memory and time
/// (loading, counting, encoding, edits in turn; 2026-12-01).
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

thread_local! {
    /// The request that is read.
    static REQUEST: RefCell<Option<Scanner>> = const { RefCell::new(None) };
    /// The text that is read.
    static TEXT: RefCell<FeatureScanner> = RefCell::new(FeatureScanner::default());
}

/// A request's JSON begins; `complete`: one to be sent, which says `max_tokens`.
#[wasm_bindgen]
pub fn request_begin(complete: bool) {
    let api = if complete { Api::Messages } else { Api::CountTokens };
    REQUEST.set(Some(Scanner::new(api)));
}

/// The buffer's first bytes are the request's next window. Answers what is wrong
/// with the request, if anything is.
#[wasm_bindgen]
pub fn request_feed(bytes: usize) -> Option<String> {
    REQUEST.with_borrow_mut(|request| {
        let fed = with_room(bytes, |window| request.as_mut()?.feed(window).err());
        if fed.is_some() {
            *request = None;
        }
        fed.map(|invalid| invalid.message)
    })
}

/// The request is whole: its measure as JSON, or `!` and what is wrong with it.
#[wasm_bindgen]
pub fn request_end(at_ms: f64) -> String {
    let Some(scanner) = REQUEST.take() else { return "!No request was begun.".into() };
    match scanner.finish() {
        Ok(facts) => measure::told(&facts, whole(at_ms)),
        Err(invalid) => format!("!{}", invalid.message),
    }
}

/// A text begins.
#[wasm_bindgen]
pub fn text_begin() {
    TEXT.set(FeatureScanner::default());
}

/// The buffer's first bytes are the text's next window.
#[wasm_bindgen]
pub fn text_feed(bytes: usize) {
    TEXT.with_borrow_mut(|text| with_room(bytes, |window| text.feed(window)));
}

/// The text's tokens in this model: lower bound, estimate, upper bound, and the
/// estimate by kinds.
#[wasm_bindgen]
pub fn text_end(model: &str) -> Vec<f64> {
    let features = TEXT.take().features();
    let family = models::class_of(model).map_or(Family::From47, |model| model.family);
    let Estimate { lower, estimate, upper } = tokens::estimate(&features, family);
    let numbers = [lower, estimate, upper].into_iter().chain(tokens::kinds(&features, family));
    numbers.map(|tokens| tokens as f64).collect()
}

/// Micro-dollars of an answer that used so much, at the prices of `at_ms`.
#[wasm_bindgen]
pub fn cost(model: &str, input: f64, written: f64, read: f64, output: f64, at_ms: f64) -> f64 {
    let usage = Usage {
        input: whole(input),
        cache_creation: whole(written),
        cache_read: whole(read),
        output: whole(output),
        ..Usage::default()
    };
    price::cost(model, &usage, whole(at_ms)).microusd as f64
}

/// The Claude models that are known, as JSON.
#[wasm_bindgen]
pub fn model_list() -> String {
    let list: Vec<_> = models::all()
        .iter()
        .map(|model| Model {
            id: model.id,
            class: model.class,
            max_input_tokens: model.context_tokens,
            max_output_tokens: model.max_output_tokens,
            retired: model.lifecycle == Lifecycle::Retired,
        })
        .collect();
    // Strings and numbers: serialisation cannot fail.
    serde_json::to_string(&list).unwrap_or_default()
}

#[derive(Serialize)]
struct Model {
    id: &'static str,
    class: &'static str,
    max_input_tokens: u64,
    max_output_tokens: u64,
    retired: bool,
}

/// A count or a time of JavaScript's: what is none becomes 0.
fn whole(number: f64) -> u64 {
    // Saturates, and takes NaN for 0.
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> usize {
        room::write(text)
    }

    fn request(windows: &[&str]) -> String {
        request_begin(true);
        for window in windows {
            if let Some(problem) = request_feed(write(window)) {
                return format!("!{problem}");
            }
        }
        request_end(1_795_478_400_000.0)
    }

    #[test]
    fn windows_make_no_difference() {
        let body = r#"{"model":"claude-sonnet-5-5","max_tokens":10,"messages":[{"role":"user","content":"Häß"}]}"#;
        let whole = request(&[body]);
        assert!(whole.starts_with('{'), "{whole}");
        let (start, end) = (&body[..40], &body[40..]);
        assert_eq!(request(&[start, end]), whole);
    }

    #[test]
    fn what_is_no_request_is_said_and_nothing_of_it_stays() {
        assert!(request(&["[]"]).starts_with("!body"));
        assert!(request(&["{\"model\":"]).starts_with("!The request body is not valid JSON"));
        assert_eq!(request_end(0.0), "!No request was begun.");
    }

    #[test]
    fn the_buffer_is_read_no_further_than_it_is_long() {
        text_begin();
        text_feed(write("four"));
        text_feed(usize::MAX);
        assert!(text_end("claude-sonnet-5-5")[2] >= 8.0);
    }

    #[test]
    fn money_of_no_time_or_no_tokens_is_no_panic() {
        assert_eq!(cost("claude-sonnet-5-5", f64::NAN, -1.0, 0.0, 0.0, f64::INFINITY), 0.0);
        assert_eq!(cost("claude-sonnet-5-5", 1e6, 0.0, 0.0, 1e6, 1_795_478_400_000.0), 12e6);
    }
}
