//! What is said in a recording (OpenAI: API reference, create transcription): as it was scripted, as the phone put it
//! into the file, or else what the file is. Labelled as simulated.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::core::Core;
use crate::model_answer::LABEL;
use crate::model_record::ModelEndpoint;
use crate::model_refusal::{Refusal, authorise};
use crate::model_request::is_model;
use crate::model_services::faulty;
use crate::multipart::{self, Part};
use crate::server::{Call, Reply, full, json_reply, respond};

/// The longest recording (OpenAI: speech to text, 25 MB).
pub(crate) const RECORDING_BYTES_MAX: usize = 25 * 1024 * 1024;
const TRANSCRIBERS: [&str; 3] = ["gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1"];
const ENDINGS: [&str; 10] = ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm"];
const FIELDS: [&str; 7] =
    ["file", "model", "language", "prompt", "response_format", "temperature", "chunking_strategy"];
const SPOKEN_CHARS_MAX: usize = 4_096;
/// What stands in a file before the words that are spoken in it.
const SPOKEN: &[u8] = b"\nSIMULATED-SPEECH: ";

/// A recording in which these words are spoken, as far as the simulator is concerned.
pub(crate) fn speak(sample: &[u8], words: &str) -> Bytes {
    [sample, SPOKEN, words.as_bytes()].concat().into()
}

/// The words that were put into a recording.
fn spoken(file: &[u8]) -> Option<String> {
    let at = file.windows(SPOKEN.len()).rposition(|window| window == SPOKEN)?;
    let words = String::from_utf8_lossy(file.get(at + SPOKEN.len()..)?).into_owned();
    Some(words.chars().take(SPOKEN_CHARS_MAX).collect())
}

/// `POST /v1/audio/transcriptions`.
pub(crate) fn transcriptions(core: &Arc<Core>, call: &Call) -> Reply {
    core.model.asked(ModelEndpoint::Transcriptions);
    core.changed();
    let transcribed = authorise(core, call).and_then(|()| transcribe(core, call));
    transcribed.unwrap_or_else(|refusal| refusal.reply(core))
}

fn transcribe(core: &Core, call: &Call) -> Result<Reply, Refusal> {
    let parts = multipart::parse(call.header("content-type"), &call.body)
        .ok_or_else(|| Refusal::invalid("body", "The body must be a whole multipart/form-data form."))?;
    if let Some(part) = parts.iter().find(|part| !FIELDS.contains(&part.name.as_str())) {
        let message = format!("Unknown parameter: '{}'.", part.name);
        return Err(Refusal::bad(&part.name, "unknown_parameter", &message));
    }
    let field = |name: &str| {
        let part = parts.iter().find(|part| part.name == name);
        part.map(|part| String::from_utf8_lossy(&part.body).into_owned())
    };
    let model = field("model").ok_or_else(|| Refusal::missing("model"))?;
    if !is_model(&model) && !TRANSCRIBERS.contains(&model.as_str()) {
        return Err(Refusal::no_model(&model));
    }
    let plain = match field("response_format").as_deref() {
        None | Some("json") => false,
        Some("text") => true,
        Some(_) => return Err(Refusal::unsupported("response_format")),
    };
    if field("language")
        .is_some_and(|code| code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_lowercase()))
    {
        return Err(Refusal::bad("language", "invalid_language_format", "Use ISO-639-1, such as 'es'."));
    }
    let file = parts.iter().find(|part| part.name == "file").ok_or_else(|| Refusal::missing("file"))?;
    check(file)?;
    if let Some(reply) = faulty(core, ModelEndpoint::Transcriptions, &model) {
        return Ok(reply);
    }
    let text = format!("{LABEL} {}", heard(core, &file.body));
    if plain {
        let answer = respond(StatusCode::OK, "text/plain; charset=utf-8", full(Bytes::from(text)));
        return Ok(Reply::Answer(answer));
    }
    let tokens = file.body.len().div_ceil(1_000);
    let words = text.split_whitespace().count();
    let usage = json!({"type": "tokens", "input_tokens": tokens, "output_tokens": words,
                       "total_tokens": tokens + words,
                       "input_token_details": {"text_tokens": 0, "audio_tokens": tokens}});
    Ok(json_reply(StatusCode::OK, &json!({"text": text, "usage": usage})))
}

/// A file is taken by the ending of its name, and then it has to be what that says.
fn check(file: &Part) -> Result<(), Refusal> {
    let name =
        file.filename.as_deref().ok_or_else(|| Refusal::invalid("file", "The file needs a filename."))?;
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    if !ENDINGS.contains(&ending.as_str()) {
        let message = format!("Invalid file format. Supported formats: {ENDINGS:?}");
        return Err(Refusal::invalid("file", &message));
    }
    if file.body.len() > RECORDING_BYTES_MAX {
        let message = format!("Maximum content size limit ({RECORDING_BYTES_MAX}) exceeded.");
        return Err(Refusal::too_large(&message));
    }
    if is_sound(&file.body) {
        return Ok(());
    }
    let message = "Audio file might be corrupted or unsupported.";
    Err(Refusal::invalid("file", message))
}

/// Whether a file begins as a recording does.
fn is_sound(bytes: &[u8]) -> bool {
    let frame = matches!(bytes, [0xff, second, ..] if second & 0xe0 == 0xe0);
    let begins = [&b"OggS"[..], b"fLaC", b"ID3", b"\x1a\x45\xdf\xa3"];
    frame
        || begins.into_iter().any(|begin| bytes.starts_with(begin))
        || (bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE"))
        || bytes.get(4..8) == Some(b"ftyp")
}

fn heard(core: &Core, file: &Bytes) -> String {
    let script = core.model.script();
    let scripted = script.transcripts.iter().find(|scripted| {
        let wanted = scripted.when_contains.as_bytes();
        wanted.is_empty() || file.windows(wanted.len()).any(|window| window == wanted)
    });
    if let Some(scripted) = scripted {
        return scripted.text.clone();
    }
    spoken(file).unwrap_or_else(|| {
        let digest = hex::encode(Sha256::digest(file));
        format!("a recording of {} bytes, {}", file.len(), digest.get(..8).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_into_a_recording_and_found_again() {
        let file = speak(b"OggS\x00", "¿Están abiertos?");
        assert_eq!(spoken(&file).as_deref(), Some("¿Están abiertos?"));
        assert_eq!(spoken(b"OggS"), None);
        assert!(is_sound(&file) && is_sound(b"\xff\xf3x") && is_sound(b"\0\0\0\x18ftypM4A "));
        assert!(!is_sound(b"RIFF\0\0\0\0WEBP") && !is_sound(b"hello") && !is_sound(b""));
    }
}
