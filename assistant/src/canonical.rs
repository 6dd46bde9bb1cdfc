//! A prompt's fingerprint.

use std::io::{self, Write};

#[cfg(test)]
use iassistance_domain::Pii;
use iassistance_domain::pii::Reply;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::generate::{Part, Prompt, PromptMessage, Role};

#[derive(Serialize)]
struct Canonical<'a> {
    role: Role,
    text: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<[&'a str; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<&'a str>,
}

#[derive(Serialize)]
struct CanonicalTool<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Message(Canonical<'a>),
    Tool(CanonicalTool<'a>),
}

impl Prompt {
    /// SHA-256 of the prompt, in hexadecimal: the same for the same messages, pictures and tools, and it
    /// tells nothing of them.
    pub fn sha256(&self) -> String {
        let mut hash = Hashing(Sha256::new());
        self.write_canonical(&mut hash);
        hex::encode(hash.0.finalize())
    }

    /// The messages as canonical JSON: the same bytes for the same prompt.
    #[cfg(test)]
    pub(crate) fn canonical(&self) -> Pii<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_canonical(&mut bytes);
        Pii::new(bytes)
    }

    fn write_canonical(&self, into: &mut impl Write) {
        let messages = self.messages.iter().map(|message| Entry::Message(canonical(message)));
        let tools = self.tools.iter().map(|tool| {
            let (name, description) = (tool.name.as_str(), tool.description.as_str());
            Entry::Tool(CanonicalTool { name, description, parameters: &tool.parameters })
        });
        // Neither of the two that it is written to ever fails, and all of it is JSON.
        drop(serde_json::to_writer(into, &messages.chain(tools).collect::<Vec<_>>()));
    }
}

fn canonical(message: &PromptMessage) -> Canonical<'_> {
    let images = message.parts.iter().filter_map(|part| match part {
        Part::Image { bytes, .. } => Some(hex::encode(Sha256::digest(bytes))),
        Part::Text(_) => None,
    });
    let calls = message.calls.iter();
    Canonical {
        role: message.role,
        text: message.words(),
        images: images.collect(),
        calls: calls.map(|call| [&*call.id, &*call.name, call.arguments.reveal(Reply)]).collect(),
        answers: message.answers.as_deref(),
    }
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
