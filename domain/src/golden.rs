//! Golden questions: what an assistant must get right, whatever its settings.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::id::GoldenId;

/// A question with the traits that its answer must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "reply", basis = "contract", keep = "setting")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GoldenQuestion {
    /// Its identifier.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    #[data(id)]
    pub id: GoldenId,
    /// What is asked; 1 to 4,000 characters.
    #[data(setting)]
    pub question: String,
    /// What the answer must have.
    #[data(parts)]
    pub expect: Traits,
}

/// What an answer must have; everything that is given counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Traits {
    /// Each of these is in it, whatever the case of its letters.
    #[data(setting)]
    pub contains: Vec<String>,
    /// None of these is in it, whatever the case of its letters.
    #[data(setting)]
    pub lacks: Vec<String>,
    /// This tool was called.
    #[data(setting)]
    pub calls: Option<String>,
    /// Whether a person was asked for.
    #[data(setting)]
    pub hands_over: Option<bool>,
    /// It has at most so many characters.
    #[data(setting)]
    pub characters_max: Option<usize>,
}

/// What an answer was, as far as traits tell of it.
pub struct Answered<'a> {
    /// Its text.
    pub text: &'a str,
    /// The tools that were called.
    pub tools: &'a [String],
    /// Whether a person was asked for.
    pub handed_over: bool,
}

impl Traits {
    /// What an answer lacks, in words; empty where it has every trait.
    pub fn missing(&self, answer: &Answered<'_>) -> Vec<String> {
        let text = answer.text.to_lowercase();
        let has = |part: &String| text.contains(&part.to_lowercase());
        let mut missing = Vec::new();
        missing
            .extend(self.contains.iter().filter(|part| !has(part)).map(|part| format!("lacks \"{part}\"")));
        missing.extend(self.lacks.iter().filter(|part| has(part)).map(|part| format!("says \"{part}\"")));
        if let Some(tool) = self.calls.as_ref().filter(|tool| !answer.tools.contains(tool)) {
            missing.push(format!("did not call `{tool}`"));
        }
        match self.hands_over {
            Some(true) if !answer.handed_over => missing.push("did not ask for a person".to_owned()),
            Some(false) if answer.handed_over => missing.push("asked for a person".to_owned()),
            _ => {}
        }
        let characters = answer.text.chars().count();
        if let Some(max) = self.characters_max.filter(|max| characters > *max) {
            missing.push(format!("has {characters} characters, more than {max}"));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trait_that_is_given_counts() {
        let expect = Traits {
            contains: vec!["Monday".into(), "9".into()],
            lacks: vec!["sorry".into()],
            calls: Some("search_knowledge".into()),
            hands_over: Some(false),
            characters_max: Some(30),
        };
        let tools = ["search_knowledge".to_owned()];
        let good = Answered { text: "We open on MONDAY at 9.", tools: &tools, handed_over: false };
        assert_eq!(expect.missing(&good), Vec::<String>::new());
        let bad = Answered { text: "Sorry, I do not know when we open.", tools: &[], handed_over: true };
        assert_eq!(
            expect.missing(&bad),
            [
                "lacks \"Monday\"",
                "lacks \"9\"",
                "says \"sorry\"",
                "did not call `search_knowledge`",
                "asked for a person",
                "has 34 characters, more than 30",
            ]
        );
    }
}
