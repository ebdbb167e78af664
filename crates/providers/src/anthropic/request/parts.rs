//! A request's input, part by part: what a person is shown who asks why a
//! prompt is as long as it is. The Worker needs the sum alone and is built
//! without this (feature `parts`).

use tokens::{Estimate, Family, estimate, overhead};

use super::Facts;
use crate::models;

/// What of a request a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// What every request adds.
    Framing,
    /// What each message adds: its role.
    Roles,
    /// The system prompt's text.
    System,
    /// The messages' text.
    Messages,
    /// The tools' definitions, as sent.
    Tools,
    /// What the provider adds where there are tools, by model and tool choice,
    /// and for tools that it defines.
    ToolPrompt,
    /// Images.
    Images,
    /// PDFs, by pages.
    Documents,
    /// Signed or encrypted content: thinking of earlier turns, results.
    Opaque,
    /// Fields that are not known to reach the model.
    Other,
    /// What is not in the body: files, addresses, what server tools will bring.
    Remote,
}

impl Part {
    /// Its name, as callers see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Roles => "roles",
            Self::System => "system",
            Self::Messages => "messages",
            Self::Tools => "tools",
            Self::ToolPrompt => "tool_choice",
            Self::Images => "images",
            Self::Documents => "documents",
            Self::Opaque => "opaque",
            Self::Other => "other",
            Self::Remote => "remote",
        }
    }
}

impl Facts {
    /// The parts that this request has. Each is estimated by itself: rounding, and
    /// bounds that only the whole has, make their sum differ a little from
    /// [`Facts::input`], which is the gate's own figure.
    pub fn parts(&self) -> Vec<(Part, Estimate)> {
        let model = models::class_of(&self.model);
        let family = model.map_or(Family::From47, |model| model.family);
        let framing = overhead::framing(0, family);
        let roles = overhead::framing(u64::from(self.messages), family);
        let roles = Estimate {
            lower: roles.lower - framing.lower,
            estimate: roles.estimate - framing.estimate,
            upper: roles.upper - framing.upper,
        };
        let window = model.map_or(models::CONTEXT_TOKENS_MAX, |model| model.context_tokens);
        let remote = Estimate { upper: window, ..Estimate::default() };
        let text = &self.text;
        let parts = [
            (Part::Framing, true, framing),
            (Part::Roles, true, roles),
            (Part::System, self.system, estimate(&text.system, family)),
            (Part::Messages, true, estimate(&text.messages, family)),
            (Part::Tools, self.tools > 0, estimate(&text.tools, family)),
            (Part::ToolPrompt, self.tools > 0, self.tool_prompt(model)),
            (Part::Images, self.images.max(self.images_sent) > 0, self.pictures(family)),
            (
                Part::Documents,
                self.pdfs > 0,
                overhead::pdf(u64::from(self.pdfs), self.pdf_pages, family),
            ),
            (Part::Opaque, self.opaque_bytes > 0, overhead::opaque(self.opaque_bytes)),
            (Part::Other, text.other.bytes > 0, self.other()),
            (Part::Remote, self.open_ended() || self.remote_documents() > 0, remote),
        ];
        parts.into_iter().filter(|(_, there, _)| *there).map(|(part, _, sum)| (part, sum)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Api, Scanner};
    use super::*;

    fn facts(body: &str) -> Facts {
        let mut scanner = Scanner::new(Api::CountTokens);
        scanner.feed(body.as_bytes()).expect("it is a request");
        scanner.finish().expect("it is whole")
    }

    const WHOLE: &str = r#"{"model":"claude-sonnet-5-5",
        "system":"You answer in one sentence, and you never guess.",
        "tools":[{"name":"weather","description":"The weather of a place","input_schema":{"type":"object"}}],
        "tool_choice":{"type":"any"},
        "messages":[{"role":"user","content":"What is the weather in Oslo, and is it colder than yesterday?"},
                    {"role":"assistant","content":"It rains."},{"role":"user","content":"And tomorrow?"}]}"#;

    #[test]
    fn a_part_for_each_thing_in_the_request_and_none_for_what_is_not() {
        let names = |body: &str| -> Vec<_> {
            facts(body).parts().into_iter().map(|(part, _)| part.name()).collect()
        };
        assert_eq!(
            names(WHOLE),
            ["framing", "roles", "system", "messages", "tools", "tool_choice"]
        );
        let small = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
        assert_eq!(names(small), ["framing", "roles", "messages"]);
    }

    #[test]
    fn the_parts_add_up_to_the_whole_but_for_rounding() {
        let facts = facts(WHOLE);
        let parts = facts.parts();
        let sum = parts.iter().fold(Estimate::default(), |sum, (_, part)| sum + *part);
        let whole = facts.input();
        assert!(sum.estimate.abs_diff(whole.estimate) <= parts.len() as u64, "{sum:?} {whole:?}");
        assert!(sum.lower.abs_diff(whole.lower) <= parts.len() as u64, "{sum:?} {whole:?}");
        assert_eq!(sum.upper, whole.upper);
    }
}
