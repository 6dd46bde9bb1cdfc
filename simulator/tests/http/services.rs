//! What the model does besides chatting: embeddings, transcription, moderation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use iassistance_simulator::act::GivenFile;
use iassistance_simulator::{Act, MediaKind, Objection, ScriptedTranscript, Simulator};
use serde_json::{Value, json};

use crate::support::{
    ANA, Answer, MODEL_KEY, NUMBER, PAGE, all_products, call, does, post, settings, soon, start,
};

async fn service(simulator: &Simulator, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {MODEL_KEY}");
    soon(call(simulator, "POST", path, &[("authorization", &bearer)], body.to_string())).await.unwrap()
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn similar_texts_have_similar_vectors() {
    let (simulator, _clock) = start(settings()).await;
    let texts = ["How do I return shoes?", "Shoes can be returned within 30 days.", "We open at nine."];
    let body = json!({"model": "text-embedding-3-small", "input": texts, "dimensions": 128});
    let answer = service(&simulator, "/v1/embeddings", &body).await.json();
    assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("text-embedding-3-small")));
    let data = answer["data"].as_array().unwrap();
    let vectors: Vec<Vec<f64>> = data
        .iter()
        .map(|item| serde_json::from_value::<Vec<f64>>(item["embedding"].clone()).unwrap())
        .collect();
    let near = |one: usize, other: usize| -> f64 {
        vectors[one].iter().zip(&vectors[other]).map(|(one, other)| one * other).sum()
    };
    assert!(vectors.iter().all(|vector| vector.len() == 128));
    assert!(near(0, 1) > near(0, 2) + 0.3, "{} {}", near(0, 1), near(0, 2));
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 5);

    let body = json!({"model": "text-embedding-3-small", "input": texts[0], "dimensions": 128,
                      "encoding_format": "base64"});
    let answer = service(&simulator, "/v1/embeddings", &body).await.json();
    let bytes = STANDARD.decode(answer["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let first = f64::from(f32::from_le_bytes(bytes[..4].try_into().unwrap()));
    assert!((first - vectors[0][0]).abs() < 1e-6);
    let own =
        service(&simulator, "/v1/embeddings", &json!({"model": "simulated-e", "input": "x"})).await.json();
    assert_eq!(own["data"][0]["embedding"].as_array().map(Vec::len), Some(256));
    assert_eq!(simulator.state().model.embeddings, 3);
}

#[tokio::test]
async fn embeddings_are_asked_for_properly() {
    let (simulator, _clock) = start(settings()).await;
    let table = [
        (json!({"input": "x"}), (400, "missing_required_parameter")),
        (json!({"model": "gpt-5", "input": "x"}), (404, "model_not_found")),
        (json!({"model": "simulated-1", "input": "x", "user": "ana"}), (400, "promise_broken")),
        (json!({"model": "simulated-1", "input": "x", "store": false}), (400, "unknown_parameter")),
        (json!({"model": "simulated-1", "input": ""}), (400, "invalid_value")),
        (json!({"model": "simulated-1", "input": []}), (400, "invalid_value")),
        (json!({"model": "simulated-1", "input": [1, 2]}), (400, "invalid_value")),
        (json!({"model": "simulated-1", "input": "x".repeat(40_000)}), (400, "invalid_value")),
        (json!({"model": "simulated-1", "input": "x", "dimensions": 257}), (400, "invalid_value")),
    ];
    for (body, (status, word)) in table {
        assert_eq!(code(&service(&simulator, "/v1/embeddings", &body).await), (status, word.to_owned()));
    }
    let none = soon(call(&simulator, "POST", "/v1/embeddings", &[], "{}")).await.unwrap();
    assert_eq!(none.status, 401);
}

pub async fn transcribe(simulator: &Simulator, name: &str, file: &[u8], fields: &[(&str, &str)]) -> Answer {
    let mut form = Vec::new();
    for (field, value) in fields {
        let part = format!("--b\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
        form.extend_from_slice(part.as_bytes());
    }
    let head = format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
    form.extend_from_slice(&[head.as_bytes(), file, b"\r\n--b--\r\n"].concat());
    let bearer = format!("Bearer {MODEL_KEY}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=b")];
    soon(call(simulator, "POST", "/v1/audio/transcriptions", &headers, Bytes::from(form))).await.unwrap()
}

#[tokio::test]
async fn a_voice_note_is_heard_as_it_was_spoken_or_scripted() {
    let (simulator, _clock) = start(all_products()).await;
    let model = [("model", "gpt-4o-mini-transcribe")];
    // What the phone records can be listened to, on both products.
    for account in [NUMBER, PAGE] {
        let voice = GivenFile { caption: "¿Están abiertos?".into(), ..GivenFile::sample(MediaKind::Voice) };
        does(&simulator, ANA, account, Act::File(voice));
        let item = simulator.transcript(ANA).pop().unwrap();
        assert_eq!(item.text, "¿Están abiertos?");
        let id = item.shown.media[0].id.clone().unwrap();
        let file = soon(call(&simulator, "GET", &format!("/sim/media/{id}"), &[], "")).await.unwrap().body;
        let heard = transcribe(&simulator, "voice.ogg", &file, &model).await.json();
        assert_eq!(heard["text"], json!("[simulated] ¿Están abiertos?"));
    }
    let plain = transcribe(&simulator, "voice.ogg", b"OggS and more", &model).await.json();
    assert!(plain["text"].as_str().unwrap().starts_with("[simulated] a recording of 13 bytes, "));
    assert_eq!(plain["usage"]["type"], json!("tokens"));

    let scripted =
        |when: &str, text: &str| ScriptedTranscript { when_contains: when.into(), text: text.into() };
    simulator.set_transcripts(vec![scripted("more", "Good morning"), scripted("", "else")]);
    let text = [("model", "simulated-1"), ("response_format", "text"), ("language", "es")];
    let heard = transcribe(&simulator, "voice.OGA", b"OggS and more", &text).await;
    assert_eq!(heard.text(), "[simulated] Good morning");
    let told = json!([{"text": "told over http"}]);
    assert_eq!(post(&simulator, "/sim/transcripts", &told).await.status, 200);
    let heard = transcribe(&simulator, "v.mp3", b"ID3", &model).await.json();
    assert_eq!(heard["text"], json!("[simulated] told over http"));
    assert_eq!(simulator.state().model.transcriptions, 5);
}

#[tokio::test]
async fn a_voice_note_has_no_caption_on_the_wire() {
    let (simulator, _clock) = start(settings()).await;
    let mut receiver = crate::support::Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let voice = GivenFile { caption: "hello".into(), ..GivenFile::sample(MediaKind::Voice) };
    does(&simulator, ANA, NUMBER, Act::File(voice));
    let message = receiver.next().await.value()["messages"][0].clone();
    assert_eq!((&message["audio"]["voice"], message["audio"].get("caption")), (&json!(true), None));
}

#[tokio::test]
async fn recordings_are_sent_properly() {
    let (simulator, _clock) = start(settings()).await;
    let model = ("model", "whisper-1");
    for (name, file, fields, expected) in [
        ("voice.ogg", &b"not sound"[..], vec![model], (400, "invalid_value")),
        ("voice.txt", b"OggS", vec![model], (400, "invalid_value")),
        ("voice", b"OggS", vec![model], (400, "invalid_value")),
        ("voice.ogg", b"OggS", vec![], (400, "missing_required_parameter")),
        ("voice.ogg", b"OggS", vec![("model", "gpt-5")], (404, "model_not_found")),
        ("voice.ogg", b"OggS", vec![model, ("user", "ana")], (400, "unknown_parameter")),
        ("voice.ogg", b"OggS", vec![model, ("language", "Spanish")], (400, "invalid_language_format")),
        ("voice.ogg", b"OggS", vec![model, ("response_format", "srt")], (400, "unsupported_parameter")),
    ] {
        let refused = transcribe(&simulator, name, file, &fields).await;
        assert_eq!(code(&refused), (expected.0, expected.1.to_owned()), "{name} {fields:?}");
    }
    let body = service(&simulator, "/v1/audio/transcriptions", &json!({})).await;
    assert_eq!(body.status, 400);
}

#[tokio::test]
async fn moderation_objects_to_threats_and_to_what_it_was_told() {
    let (simulator, _clock) = start(settings()).await;
    let ask = |input: Value| json!({"model": "omni-moderation-latest", "input": input});
    let path = "/v1/moderations";
    let told = Objection { when_contains: "rival".into(), category: "illicit".into() };
    simulator.set_objections(vec![told]);
    let answer = service(&simulator, path, &ask(json!(["hola", "vou te matar", "the Rival"]))).await.json();
    let flags: Vec<bool> =
        answer["results"].as_array().unwrap().iter().map(|result| result["flagged"] == true).collect();
    assert_eq!(flags, [false, true, true]);
    assert_eq!(answer["results"][2]["categories"]["illicit"], json!(true));
    assert!(answer["id"].as_str().unwrap().starts_with("modr-"));
    let parts = json!([{"type": "text", "text": "the rival"}]);
    let answer = service(&simulator, path, &ask(parts)).await.json();
    assert_eq!(answer["results"][0]["flagged"], json!(true));
    assert_eq!(post(&simulator, "/sim/objections", &json!([])).await.status, 200);
    let answer = service(&simulator, path, &json!({"input": "the rival"})).await.json();
    assert_eq!(answer["results"][0]["flagged"], json!(false));
    let user = json!({"input": "x", "user": "ana"});
    assert_eq!(code(&service(&simulator, path, &user).await), (400, "promise_broken".to_owned()));
    assert_eq!(
        code(&service(&simulator, path, &json!({})).await),
        (400, "missing_required_parameter".to_owned())
    );
    assert_eq!(simulator.state().model.moderations, 5);
}
