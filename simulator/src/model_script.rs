//! What the model is told to say and do: at the start, through `POST /sim/answers` and its like, or by script lines.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How fast the model is and what it says.
#[derive(Debug, Clone, Default)]
pub struct ModelSettings {
    /// From the request to the first token.
    pub think_ms: u64,
    /// How fast the tokens follow; 0: all at once.
    pub tokens_per_second: u64,
    /// What it says to certain words; the first that fits is taken, and when none does it makes something up.
    pub answers: Vec<ScriptedAnswer>,
    /// What is said in certain recordings; the first that fits is taken.
    pub transcripts: Vec<ScriptedTranscript>,
    /// What moderation objects to, besides plain threats.
    pub objections: Vec<Objection>,
}

/// An answer for messages that contain certain words, and the tools that are called before it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// The words, in any case; none fit everything.
    pub when_contains: String,
    /// The answer; it is labelled as simulated all the same. `{result}` stands for what the newest tool call
    /// answered, `{results}` for what all of this exchange did, `{images}` for how many images there are and `{said}`
    /// for what was said.
    pub answer: String,
    /// Which model gives it; every model if none is named.
    #[serde(default)]
    pub model: Option<String>,
    /// What happens before the answer, round by round. Left out where no tools are offered.
    #[serde(default)]
    pub rounds: Vec<Round>,
}

/// One round of an exchange: tools are called, and their results come with the next request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// What is said with the calls; usually nothing.
    #[serde(default)]
    pub says: String,
    /// What is called, all at once. The tools need not be ones that were offered.
    pub calls: Vec<ScriptedCall>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCall {
    /// The tool.
    pub name: String,
    /// Its arguments. A string is sent as it is, so that it can be no JSON at all.
    pub arguments: Value,
}

impl ScriptedAnswer {
    /// Says it to messages that contain those words.
    pub fn says(when_contains: &str, answer: &str) -> Self {
        Self { when_contains: when_contains.to_owned(), answer: answer.to_owned(), ..Self::default() }
    }

    /// The same, with one more round before it, in which one tool is called.
    pub fn calling(mut self, name: &str, arguments: Value) -> Self {
        let call = ScriptedCall { name: name.to_owned(), arguments };
        self.rounds.push(Round { says: String::new(), calls: vec![call] });
        self
    }

    /// The same, from one model alone.
    pub fn of_model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }
}

/// What is said in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedTranscript {
    /// Text that is somewhere in the file's bytes; none fits every file.
    #[serde(default)]
    pub when_contains: String,
    /// What is said; it is labelled as simulated all the same.
    pub text: String,
}

/// What moderation objects to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objection {
    /// The words, in any case.
    pub when_contains: String,
    /// One of OpenAI's categories, such as `harassment` or `violence`.
    pub category: String,
}

/// All that the model was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelScript {
    pub answers: Vec<ScriptedAnswer>,
    pub transcripts: Vec<ScriptedTranscript>,
    pub objections: Vec<Objection>,
}

impl From<&ModelSettings> for ModelScript {
    fn from(settings: &ModelSettings) -> Self {
        Self {
            answers: settings.answers.clone(),
            transcripts: settings.transcripts.clone(),
            objections: settings.objections.clone(),
        }
    }
}
