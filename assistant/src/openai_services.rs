//! What OpenAI, or a server that speaks like it, does besides chatting.

use async_trait::async_trait;
use iassistance_domain::Pii;
use iassistance_domain::pii::Reply;
use iassistance_domain::turn::Usage;
use serde::Deserialize;
use serde_json::Value;

use crate::error::GenerateError;
use crate::generate::ModelServer;
use crate::openai::OpenAi;
use crate::pseudonyms::Pseudonyms;
use crate::request;
use crate::services::{Audio, Embedded, Services, Verdict};
use crate::tokens::TokenCounter;
use crate::transport::AnswerKind;

/// OpenAI: API reference, embeddings: at most 2,048 texts; fewer here, so that answers stay small.
const EMBED_TEXTS_MAX: usize = 256;
/// The longest vector, and how many bytes one of its numbers may have in JSON.
const DIMENSIONS_MAX: usize = 8_192;
const NUMBER_BYTES_MAX: usize = 32;
/// OpenAI: speech to text: at most 25 MB.
const AUDIO_BYTES_MAX: usize = 25_000_000;
/// Hours of speech in words.
const TRANSCRIPT_BYTES_MAX: usize = 1_048_576;
/// Long texts are judged in pieces of this length, so many in one request.
const MODERATED_BYTES: usize = 16_384;
const MODERATED_PIECES: usize = 32;
const CATEGORIES_MAX: usize = 32;
const CATEGORY_BYTES_MAX: usize = 64;
const BODY_BYTES_BESIDES: usize = 65_536;

#[async_trait]
impl Services for OpenAi {
    async fn embed(&self, server: &ModelServer, texts: Vec<Pii<String>>) -> Result<Embedded, GenerateError> {
        if texts.is_empty() {
            return Ok(Embedded { vectors: Vec::new(), usage: Usage::default() });
        }
        if texts.len() > EMBED_TEXTS_MAX {
            return Err(GenerateError::NotAsked { reason: "at most 256 texts are embedded at once" });
        }
        let count = texts.len();
        let mut input: Vec<String> = texts.into_iter().map(|text| text.into_inner(Reply)).collect();
        if server.covers {
            let mut own = Pseudonyms::of(input.iter().map(String::as_str));
            input = input.iter().map(|text| own.cover(text)).collect();
        }
        if input.iter().any(|text| text.trim().is_empty()) {
            return Err(GenerateError::NotAsked { reason: "an empty text points nowhere" });
        }
        let counted = input.iter().map(|text| TokenCounter::count(text) as u64);
        let counted = Usage { input_tokens: counted.sum(), output_tokens: 0 };
        let body_bytes_max = count * DIMENSIONS_MAX * NUMBER_BYTES_MAX + BODY_BYTES_BESIDES;
        let client = self.client(server, AnswerKind::Json, body_bytes_max)?;
        let request = request::embedding(server.model.clone(), input);
        let embeddings = client.embeddings();
        let answer: Value = self.in_time(embeddings.create_byot(request)).await?;
        let Embeddings { data, usage } = understood(answer)?;
        let usage =
            usage.map_or(counted, |usage| Usage { input_tokens: usage.prompt_tokens, output_tokens: 0 });
        Ok(Embedded { vectors: in_order(data, count)?, usage })
    }

    async fn transcribe(&self, server: &ModelServer, audio: Audio) -> Result<Pii<String>, GenerateError> {
        let Audio { mime, bytes } = audio;
        if bytes.len() > AUDIO_BYTES_MAX {
            return Err(GenerateError::NotAsked { reason: "a recording may have at most 25 MB" });
        }
        let filename = format!("recording.{}", extension(&mime)?);
        let client = self.client(server, AnswerKind::Json, TRANSCRIPT_BYTES_MAX)?;
        let request = request::transcription(server.model.clone(), filename, bytes);
        let transcriptions = client.audio();
        let transcriptions = transcriptions.transcription();
        let answer: Value = self.in_time(transcriptions.create_byot(request)).await?;
        let Transcript { text } = understood(answer)?;
        Ok(text.trim().to_owned().into())
    }

    async fn moderate(
        &self,
        server: &ModelServer,
        texts: Vec<Pii<String>>,
    ) -> Result<Verdict, GenerateError> {
        let mut verdict = Verdict { objects: false, categories: Vec::new() };
        let mut own = Pseudonyms::of(texts.iter().map(|text| text.reveal(Reply).as_str()));
        let cover = |text: &Pii<String>| {
            let text = text.reveal(Reply);
            if server.covers { own.cover(text) } else { text.clone() }
        };
        let texts: Vec<String> = texts.iter().map(cover).collect();
        let pieces: Vec<_> = texts.iter().flat_map(|text| pieces(text)).collect();
        for pieces in pieces.chunks(MODERATED_PIECES) {
            let client = self.client(server, AnswerKind::Json, pieces.len() * 8_192 + BODY_BYTES_BESIDES)?;
            let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
            let count = pieces.len();
            let request = request::moderation(server.model.clone(), pieces);
            let moderations = client.moderations();
            let answer: Value = self.in_time(moderations.create_byot(request)).await?;
            let Moderations { results } = understood(answer)?;
            // A server that leaves one out has not judged it.
            if results.len() != count {
                return Err(GenerateError::Garbage);
            }
            for result in results {
                verdict.objects |= result.flagged;
                verdict.categories.extend(result.objections());
            }
        }
        verdict.categories.sort_unstable();
        verdict.categories.dedup();
        verdict.categories.truncate(CATEGORIES_MAX);
        Ok(verdict)
    }
}

/// What the server answered. Why it does not fit would quote it.
fn understood<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, GenerateError> {
    serde_json::from_value(answer).map_err(|_| GenerateError::Garbage)
}

#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Embedding>,
    #[serde(default)]
    usage: Option<EmbeddingUsage>,
}

#[derive(Deserialize)]
struct Embedding {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct EmbeddingUsage {
    prompt_tokens: u64,
}

#[derive(Deserialize)]
struct Transcript {
    text: String,
}

#[derive(Deserialize)]
struct Moderations {
    results: Vec<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    flagged: bool,
    #[serde(default)]
    categories: serde_json::Map<String, Value>,
}

impl Judged {
    fn objections(self) -> impl Iterator<Item = String> {
        let plain = |name: &str| {
            name.len() <= CATEGORY_BYTES_MAX
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte))
        };
        self.categories
            .into_iter()
            .filter(move |(name, objects)| *objects == Value::Bool(true) && plain(name))
            .map(|(name, _)| name)
    }
}

/// The vectors in the order of their texts: each once, all of one length and of numbers.
fn in_order(data: Vec<Embedding>, count: usize) -> Result<Vec<Vec<f32>>, GenerateError> {
    let mut vectors = vec![Vec::new(); count];
    for Embedding { index, embedding } in data {
        match vectors.get_mut(index) {
            Some(place) if place.is_empty() => *place = embedding,
            _ => return Err(GenerateError::Garbage),
        }
    }
    let length = vectors.first().map_or(0, Vec::len);
    let good = |vector: &Vec<f32>| vector.len() == length && vector.iter().all(|number| number.is_finite());
    if (1..=DIMENSIONS_MAX).contains(&length) && vectors.iter().all(good) {
        Ok(vectors)
    } else {
        Err(GenerateError::Garbage)
    }
}

/// What servers know a recording by (OpenAI: speech to text, supported file types).
fn extension(mime: &str) -> Result<&'static str, GenerateError> {
    let kind = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(match kind.as_str() {
        "audio/ogg" | "audio/opus" | "application/ogg" => "ogg",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/mp4" | "audio/m4a" | "audio/x-m4a" | "audio/aac" => "m4a",
        "video/mp4" => "mp4",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/webm" | "video/webm" => "webm",
        "audio/flac" | "audio/x-flac" => "flac",
        _ => {
            return Err(GenerateError::NotAsked {
                reason: "a recording must be ogg, mp3, m4a, mp4, wav, webm or flac",
            });
        }
    })
}

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        text = text.trim_start();
        let (piece, rest) = text.split_at(text.floor_char_boundary(MODERATED_BYTES));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
#[path = "openai_services_tests.rs"]
mod tests;
