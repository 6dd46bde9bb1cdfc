use super::*;
use crate::openai::tests::{Seen, generator, json, refused, serve};

fn texts(texts: &[&str]) -> Vec<Pii<String>> {
    texts.iter().map(|text| (*text).to_owned().into()).collect()
}

async fn embedded(answer: &str, of: &[&str]) -> Result<Embedded, GenerateError> {
    let (server, _sees) = serve(json(answer), false);
    let (openai, _clock) = generator(&server);
    openai.embed(&server, texts(of)).await
}

#[tokio::test]
async fn texts_are_embedded_in_order() {
    let answer = r#"{"data":[{"index":1,"embedding":[0.5,1]},{"index":0,"embedding":[1,0]}],
        "usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let (server, mut sees) = serve(json(answer), false);
    let (openai, _clock) = generator(&server);
    let embedded =
        openai.embed(&server, texts(&["one", "two"])).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(embedded.vectors, [[1.0, 0.0], [0.5, 1.0]]);
    assert_eq!(embedded.usage, Usage { input_tokens: 4, output_tokens: 0 });
    let Some(Seen::Request { head, body }) = sees.recv().await else { panic!("no request") };
    assert!(head.starts_with("post /v1/embeddings http/1.1") && head.contains("bearer sk-secret"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    let expected =
        serde_json::json!({ "model": "small", "input": ["one", "two"], "encoding_format": "float" });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn vectors_that_do_not_fit_their_texts_are_garbage() {
    for answer in [
        r#"{"data":[{"index":0,"embedding":[1,0]}]}"#,
        r#"{"data":[{"index":0,"embedding":[1,0]},{"index":0,"embedding":[1,0]}]}"#,
        r#"{"data":[{"index":0,"embedding":[1,0]},{"index":7,"embedding":[1,0]}]}"#,
        r#"{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1]}]}"#,
        r#"{"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]}"#,
        r#"{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1e300,0]}]}"#,
        r#"{"data":"Ada Lovelace"}"#,
        "Ada Lovelace",
    ] {
        assert_eq!(embedded(answer, &["one", "two"]).await.err(), Some(GenerateError::Garbage), "{answer}");
    }
    let counted = embedded(r#"{"data":[{"index":0,"embedding":[1]}]}"#, &["one two"]).await;
    assert!(counted.is_ok_and(|embedded| embedded.usage.input_tokens == 2));
}

#[tokio::test]
async fn what_a_server_would_not_take_is_not_sent() {
    let (server, mut sees) = serve(String::new(), false);
    let (openai, _clock) = generator(&server);
    let many = vec![Pii::new("x".to_owned()); EMBED_TEXTS_MAX + 1];
    for refused in [
        openai.embed(&server, many).await.map(drop),
        openai.embed(&server, texts(&["a", " "])).await.map(drop),
        openai.transcribe(&server, audio("audio/ogg", AUDIO_BYTES_MAX + 1)).await.map(drop),
        openai.transcribe(&server, audio("audio/amr", 10)).await.map(drop),
        openai.transcribe(&server, audio("", 10)).await.map(drop),
    ] {
        assert!(matches!(refused, Err(GenerateError::NotAsked { .. })));
    }
    assert!(openai.embed(&server, Vec::new()).await.is_ok_and(|none| none.vectors.is_empty()));
    let nothing = openai.moderate(&server, texts(&["", "  "])).await;
    assert!(nothing.is_ok_and(|verdict| !verdict.objects));
    assert!(sees.try_recv().is_err());
}

fn audio(mime: &str, bytes: usize) -> Audio {
    Audio { mime: mime.to_owned(), bytes: vec![b'o'; bytes].into() }
}

#[tokio::test]
async fn a_recording_is_written_down() {
    let (server, mut sees) = serve(json(r#"{"text":" hola, ¿qué tal? ","usage":{}}"#), false);
    let (openai, _clock) = generator(&server);
    let heard = openai.transcribe(&server, audio("audio/ogg; codecs=opus", 9)).await;
    assert!(heard.is_ok_and(|text| text.reveal(Reply) == "hola, ¿qué tal?"));
    let Some(Seen::Request { head, body }) = sees.recv().await else { panic!("no request") };
    assert!(head.starts_with("post /v1/audio/transcriptions http/1.1"));
    let body = String::from_utf8(body).unwrap();
    for part in ["name=\"file\"; filename=\"recording.ogg\"", "ooooooooo", "name=\"model\"", "small", "json"]
    {
        assert!(body.contains(part), "{part} is not in {body}");
    }
}

#[tokio::test]
async fn texts_are_judged() {
    let answer = r#"{"id":"m","results":[
        {"flagged":false,"categories":{"hate":false}},
        {"flagged":true,"categories":{"self-harm/intent":true,"hate":true,"violence":false,"<b>":true,"odd":1}}
    ]}"#;
    let (server, mut sees) = serve(json(answer), false);
    let (openai, _clock) = generator(&server);
    let verdict = openai.moderate(&server, texts(&["one", "two"])).await.unwrap();
    assert_eq!(
        verdict,
        Verdict { objects: true, categories: vec!["hate".to_owned(), "self-harm/intent".to_owned()] }
    );
    let Some(Seen::Request { head, body }) = sees.recv().await else { panic!("no request") };
    assert!(head.starts_with("post /v1/moderations http/1.1"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, serde_json::json!({ "model": "small", "input": ["one", "two"] }));
}

#[tokio::test]
async fn a_text_that_was_not_judged_is_not_taken_for_good() {
    for answer in [r#"{"results":[]}"#, r#"{"results":[{"categories":{}}]}"#, "{}", "[]", "", "{"] {
        let (server, _sees) = serve(json(answer), false);
        let (openai, _clock) = generator(&server);
        let verdict = openai.moderate(&server, texts(&["one"])).await;
        assert_eq!(verdict, Err(GenerateError::Garbage), "{answer}");
    }
}

#[test]
fn long_texts_are_judged_in_pieces() {
    let long = "ñandú ".repeat(10_000);
    let pieces: Vec<_> = pieces(&long).collect();
    assert!(pieces.len() > 3 && pieces.iter().all(|piece| piece.len() <= MODERATED_BYTES));
    assert_eq!(pieces.concat().replace(' ', ""), long.replace(' ', ""));
}

#[tokio::test]
async fn refusals_and_silence_are_told_as_of_a_chat() {
    let (server, _sees) = serve(refused("429 Too Many Requests", "retry-after: 7\r\n", "{}"), false);
    let (openai, _clock) = generator(&server);
    let limited = GenerateError::RateLimited { retry_after_ms: Some(7_000) };
    assert_eq!(openai.moderate(&server, texts(&["one"])).await, Err(limited));

    let (server, mut sees) = serve(String::new(), true);
    let (openai, clock) = generator(&server);
    let (verdict, ()) = futures::join!(openai.moderate(&server, texts(&["one"])), async {
        assert!(matches!(sees.recv().await, Some(Seen::Request { .. })));
        clock.advance_millis(60_000);
    });
    assert_eq!(verdict, Err(GenerateError::DeadlineAttempt { ms: 60_000 }));
    assert!(matches!(sees.recv().await, Some(Seen::Closed)));

    let endless = format!("{{\"text\":\"{}\"}}", "x".repeat(TRANSCRIPT_BYTES_MAX));
    let (server, _sees) = serve(json(&endless), false);
    let (openai, _clock) = generator(&server);
    let heard = openai.transcribe(&server, audio("audio/ogg", 9)).await.map(drop);
    assert_eq!(heard, Err(GenerateError::Garbage));
}
