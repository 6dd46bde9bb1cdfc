use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use iassistance_domain::channel::StoredSecret;
use iassistance_domain::{ManualClock, Timestamp};
use iassistance_egress::EgressSettings;
use tokio::sync::mpsc;
use url::Url;

use super::*;
use crate::generate::{Part, PromptMessage, Role};
use crate::tools::{ToolCall, ToolSpec};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";
const TIMEOUTS: ModelTimeouts = ModelTimeouts { first_token_ms: 20_000, attempt_ms: 60_000 };

/// What the local server saw.
pub(crate) enum Seen {
    Request { head: String, body: Vec<u8> },
    Closed,
}

/// A server on this machine that answers one request with `answer`, and then closes the connection,
/// or holds it open until the other side does.
pub(crate) fn serve(answer: String, hold: bool) -> (ModelServer, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = Url::parse(&format!("http://{}/v1/", listener.local_addr().unwrap())).unwrap();
    let (seen, sees) = mpsc::channel(8);
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let request = read_request(&connection);
        connection.write_all(answer.as_bytes()).unwrap();
        seen.blocking_send(request).unwrap();
        if hold {
            let mut rest = Vec::new();
            // A reset is as good as an end.
            drop(connection.read_to_end(&mut rest));
            assert!(rest.is_empty());
            drop(seen.blocking_send(Seen::Closed));
        }
    });
    (
        ModelServer {
            base_url,
            api_key: StoredSecret::new("sk-secret"),
            model: "small".to_owned(),
            covers: false,
        },
        sees,
    )
}

fn read_request(connection: &TcpStream) -> Seen {
    let mut reader = BufReader::new(connection);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line.to_lowercase());
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Seen::Request { head, body }
}

pub(crate) fn generator(server: &ModelServer) -> (OpenAi, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_secs(1_000));
    let egress = Egress::new(&EgressSettings {
        graph: Url::parse("https://graph.facebook.com").unwrap(),
        instagram: Url::parse("https://graph.facebook.com").unwrap(),
        media_domains: Vec::new(),
        model: server.base_url.clone(),
        model_hosts: Vec::new(),
        tool_private_hosts: Vec::new(),
        connect_timeout_ms: 10_000,
        read_timeout_ms: 60_000,
    })
    .unwrap();
    (OpenAi::new(egress, TIMEOUTS, Arc::new(clock.clone())), clock)
}

fn prompt() -> Prompt {
    let message = |role, text: &str| PromptMessage::text(role, text.to_owned());
    Prompt {
        messages: vec![
            message(Role::System, "rules"),
            message(Role::User, "Ada here"),
            message(Role::Assistant, "hello"),
        ],
        tools: Vec::new(),
        tokens: 12,
        tokens_max: 1_000,
        history_at: 1,
        history_messages: 0,
        history_left_out: 0,
        covered_messages: 1,
        summary_until: None,
        images: 0,
        output_tokens_max: 5,
        temperature: Some(0.3),
        safety_identifier: "x".repeat(43),
    }
}

fn text(content: &str) -> String {
    let chunk = serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": content } }] });
    format!("data: {chunk}\n\n")
}

fn stop() -> &'static str {
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
}

fn usage() -> &'static str {
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":21,\"completion_tokens\":3,\"total_tokens\":24}}\n\n"
}

/// What comes of `answer`, when the connection is closed after it.
async fn all(answer: String) -> Vec<Chunk> {
    let (server, _sees) = serve(answer, false);
    let (generator, _clock) = generator(&server);
    generator.generate(&server, &prompt(), CancellationToken::new()).collect().await
}

async fn failure(answer: &str) -> GenerateError {
    match all(answer.to_owned()).await.pop() {
        Some(Chunk::Failed(error)) => error,
        _ => panic!("it did not fail"),
    }
}

fn said(text: &str) -> Chunk {
    Chunk::Text(text.to_owned())
}

fn finished(reason: FinishReason, usage: Option<(u64, u64)>) -> Chunk {
    let usage = usage.map(|(input_tokens, output_tokens)| Usage { input_tokens, output_tokens });
    Chunk::Finished { reason, usage }
}

#[tokio::test]
async fn a_request_asks_for_nothing_to_be_kept_and_names_nobody() {
    let (server, mut sees) = serve(format!("{HEAD}{}{}data: [DONE]\n\n", stop(), usage()), false);
    let (generator, _clock) = generator(&server);
    let chunks: Vec<_> = generator.generate(&server, &prompt(), CancellationToken::new()).collect().await;
    assert!(chunks == [finished(FinishReason::Stop, Some((21, 3)))]);
    let Some(Seen::Request { head, body }) = sees.recv().await else { panic!("no request") };
    assert!(head.starts_with("post /v1/chat/completions http/1.1"));
    assert!(head.contains("authorization: bearer sk-secret"));
    assert!(!head.contains("openai-organization") && !head.contains("openai-project"));
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        serde_json::json!({
            "model": "small",
            "messages": [
                { "role": "system", "content": "rules" },
                { "role": "user", "content": "Ada here" },
                { "role": "assistant", "content": "hello" },
            ],
            "store": false,
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_completion_tokens": 5,
            "temperature": 0.3,
            "safety_identifier": "x".repeat(43),
        })
    );
}

#[tokio::test]
async fn tools_calls_and_pictures_are_sent_as_the_server_knows_them() {
    let (server, mut sees) = serve(format!("{HEAD}{}{}data: [DONE]\n\n", stop(), usage()), false);
    let (generator, _clock) = generator(&server);
    let mut prompt = prompt();
    let schema = serde_json::json!({ "type": "object", "properties": { "q": { "type": "string" } } });
    prompt.tools = vec![ToolSpec {
        name: "look".to_owned(),
        description: "It looks.".to_owned(),
        parameters: schema.clone(),
    }];
    let image = Part::Image { mime: "image/png".to_owned(), bytes: bytes::Bytes::from_static(b"png!") };
    prompt.messages[1].parts.push(image);
    let call =
        ToolCall { id: "c1".to_owned(), name: "look".to_owned(), arguments: "{\"q\":1}".to_owned().into() };
    prompt.add_round(String::new(), vec![call], vec!["it is one".to_owned().into()]);
    prompt.tools = vec![ToolSpec {
        name: "look".to_owned(),
        description: "It looks.".to_owned(),
        parameters: schema.clone(),
    }];
    let _: Vec<_> = generator.generate(&server, &prompt, CancellationToken::new()).collect().await;
    let Some(Seen::Request { body, .. }) = sees.recv().await else { panic!("no request") };
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body["messages"],
        serde_json::json!([
            { "role": "system", "content": "rules" },
            { "role": "user", "content": [
                { "type": "text", "text": "Ada here" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,cG5nIQ==" } },
            ] },
            { "role": "assistant", "content": "hello" },
            { "role": "assistant", "tool_calls": [
                { "type": "function", "id": "c1", "function": { "name": "look", "arguments": "{\"q\":1}" } },
            ] },
            { "role": "tool", "content": "it is one", "tool_call_id": "c1" },
        ])
    );
    let function = serde_json::json!({ "name": "look", "description": "It looks.", "parameters": schema });
    assert_eq!(body["tools"], serde_json::json!([{ "type": "function", "function": function }]));
}

fn delta(delta: &Value) -> String {
    format!("data: {}\n\n", serde_json::json!({ "choices": [{ "index": 0, "delta": delta }] }))
}

fn pieces() -> String {
    let begin = serde_json::json!({ "tool_calls": [
        { "index": 0, "id": "c1", "type": "function", "function": { "name": "look", "arguments": "" } },
    ] });
    let piece = |text: &str| {
        delta(&serde_json::json!({ "tool_calls": [{ "index": 0, "function": { "arguments": text } }] }))
    };
    format!("{}{}{}", delta(&begin), piece("{\"q\""), piece(":1}"))
}

fn looks() -> Chunk {
    let (id, name) = ("c1".to_owned(), "look".to_owned());
    Chunk::Calls(vec![ToolCall { id, name, arguments: "{\"q\":1}".to_owned().into() }])
}

#[tokio::test]
async fn calls_that_come_in_pieces_are_told_once_and_whole() {
    for reason in ["tool_calls", "stop", "function_call"] {
        let end = stop().replace("stop", reason);
        let answer = format!("{HEAD}{}{}{end}{}data: [DONE]\n\n", text("wait"), pieces(), usage());
        let expected = [said("wait"), looks(), finished(FinishReason::Calls, Some((21, 3)))];
        assert!(all(answer).await == expected, "{reason}");
    }
    // A server that does not count them has told them all the same.
    let end = stop().replace("stop", "tool_calls");
    assert!(all(format!("{HEAD}{}{end}", pieces())).await == [looks(), finished(FinishReason::Calls, None)]);
}

#[tokio::test]
async fn calls_that_were_cut_are_not_told() {
    assert!(all(format!("{HEAD}{}", pieces())).await == [Chunk::Failed(GenerateError::Cut)]);
    for (reason, expected) in [("length", FinishReason::Length), ("content_filter", FinishReason::Filtered)] {
        let end = stop().replace("stop", reason);
        assert!(all(format!("{HEAD}{}{end}", pieces())).await == [finished(expected, None)], "{reason}");
    }
    let endless = serde_json::json!({ "tool_calls": [
        { "index": 0, "id": "c1", "function": { "name": "look", "arguments": "x".repeat(200) } },
    ] });
    let answer = format!("{HEAD}{}{}", delta(&endless), stop().replace("stop", "tool_calls"));
    assert!(all(answer).await == [finished(FinishReason::Length, None)]);
    let none = stop().replace("stop", "tool_calls");
    assert!(all(format!("{HEAD}{none}")).await == [finished(FinishReason::Other, None)]);
}

#[tokio::test]
async fn words_come_as_they_are_written() {
    let role =
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n";
    let answer = format!(
        "{HEAD}: ping\n\n{role}{}{}{}{}data: [DONE]\n\n",
        text("Hola, "),
        text("Ñandú"),
        stop(),
        usage()
    );
    let expected = [said("Hola, "), said("Ñandú"), finished(FinishReason::Stop, Some((21, 3)))];
    assert!(all(answer).await == expected);
}

#[tokio::test]
async fn an_answer_is_complete_even_if_nobody_counts_it() {
    let answer = format!("{HEAD}{}{}", text("hi"), stop());
    assert!(all(answer).await == [said("hi"), finished(FinishReason::Stop, None)]);
    let filtered = stop().replace("stop", "content_filter");
    assert!(all(format!("{HEAD}{filtered}")).await == [finished(FinishReason::Filtered, None)]);
}

#[tokio::test]
async fn an_answer_ends_at_its_limit() {
    let (server, mut sees) = serve(format!("{HEAD}{}", text(&"é".repeat(60))), true);
    let (generator, _clock) = generator(&server);
    let chunks: Vec<_> = generator.generate(&server, &prompt(), CancellationToken::new()).collect().await;
    assert!(chunks == [said(&"é".repeat(40)), finished(FinishReason::Length, None)]);
    assert!(matches!(sees.recv().await, Some(Seen::Request { .. })));
    assert!(matches!(sees.recv().await, Some(Seen::Closed)));
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_no_answer() {
    assert!(
        all(format!("{HEAD}{}", text("half"))).await == [said("half"), Chunk::Failed(GenerateError::Cut)]
    );
    let chunked =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nff\r\nda";
    assert_eq!(failure(chunked).await, GenerateError::Cut);
    assert_eq!(failure("").await, GenerateError::Unreachable);
}

#[tokio::test]
async fn what_is_no_chat_completion_is_garbage_and_stays_out_of_the_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer({
        let log = log.clone();
        move || log.clone()
    });
    let _on = tracing::subscriber::set_default(subscriber.finish());
    for answer in [
        format!("{HEAD}data: Ada Lovelace, {{\n\n"),
        format!("{HEAD}data: {{\"choices\":\"Ada Lovelace\"}}\n\n"),
        format!("{HEAD}data: [\"Ada Lovelace\"\ndata: ]\n\n"),
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<p>Ada Lovelace".to_owned(),
    ] {
        assert_eq!(failure(&answer).await, GenerateError::Garbage, "{answer}");
    }
    assert_eq!(failure(&format!("{HEAD}data: {{\"cut\": \"Ada Lovelace")).await, GenerateError::Cut);
    failure(&refused("500 Internal Server Error", "", "Ada Lovelace")).await;
    failure(&refused("400 Bad Request", "", "Ada Lovelace")).await;
    tracing::error!("the end");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the end") && !log.contains("Lovelace"), "{log}");
}

#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An answer that is JSON, or says so.
pub(crate) fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn refused(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_refusal_says_what_kind_it_is_and_when_to_come_back() {
    let limited = refused("429 Too Many Requests", "retry-after: 7\r\n", "{}");
    assert_eq!(failure(&limited).await, GenerateError::RateLimited { retry_after_ms: Some(7_000) });
    let precise = refused("429 Too Many Requests", "retry-after: 7\r\nretry-after-ms: 350\r\n", "");
    assert_eq!(failure(&precise).await.retry_after_ms(), Some(350));
    let broke = refused("429 Too Many Requests", "", r#"{"error":{"code":"insufficient_quota"}}"#);
    assert_eq!(failure(&broke).await, GenerateError::NoCredit);
    assert_eq!(failure(&refused("401 Unauthorized", "", "")).await, GenerateError::Auth);
    let overloaded = refused("503 Service Unavailable", "retry-after: 2\r\n", "busy");
    assert_eq!(
        failure(&overloaded).await,
        GenerateError::Server { status: 503, retry_after_ms: Some(2_000) }
    );
    let unknown = r#"{"error":{"message":"you wrote: Ada","code":"model_not_found"}}"#;
    let error = failure(&refused("404 Not Found", "", unknown)).await;
    assert!(!error.is_retryable());
    assert_eq!(
        error.to_string(),
        "the model's server refused the request (HTTP 404, model_not_found): check the model's name, \
         and whether it takes these settings"
    );
    let elsewhere = refused("302 Found", "location: http://127.0.0.1:1/\r\n", "");
    assert_eq!(failure(&elsewhere).await, GenerateError::BadRequest { status: 302, code: None });
}

#[tokio::test]
async fn a_fault_in_the_middle_of_an_answer_ends_it() {
    let fault = "data: {\"error\":{\"message\":\"Ada\",\"code\":\"rate_limit_exceeded\"}}\n\n";
    let error = failure(&format!("{HEAD}{}{fault}", text("half"))).await;
    assert_eq!(error, GenerateError::RateLimited { retry_after_ms: None });
    let error = failure(&format!("{HEAD}data: {{\"error\":\"Ada\"}}\n\n")).await;
    assert_eq!(error, GenerateError::Server { status: 200, retry_after_ms: None });
}

#[tokio::test]
async fn a_server_that_is_not_listed_is_not_called() {
    let (server, mut sees) = serve(String::new(), false);
    let (generator, _clock) = generator(&server);
    let elsewhere = ModelServer { base_url: Url::parse("https://evil.example/v1").unwrap(), ..server };
    let chunks: Vec<_> = generator.generate(&elsewhere, &prompt(), CancellationToken::new()).collect().await;
    assert!(chunks == [Chunk::Failed(GenerateError::Refused { host: "evil.example".to_owned() })]);
    assert!(sees.try_recv().is_err());
}

#[tokio::test]
async fn cancelling_closes_the_connection() {
    for (answer, words) in [(String::new(), 0), (HEAD.to_owned(), 0), (format!("{HEAD}{}", text("half")), 1)]
    {
        let (server, mut sees) = serve(answer, true);
        let (generator, _clock) = generator(&server);
        let cancel = CancellationToken::new();
        let mut chunks = generator.generate(&server, &prompt(), cancel.clone());
        for _ in 0..words {
            assert!(chunks.next().await == Some(said("half")));
        }
        let (last, ()) = futures::join!(chunks.next(), async {
            assert!(matches!(sees.recv().await, Some(Seen::Request { .. })));
            cancel.cancel();
        });
        assert!(last == Some(Chunk::Failed(GenerateError::Cancelled)));
        assert!(matches!(sees.recv().await, Some(Seen::Closed)), "while the stream is still held");
        assert!(chunks.next().await.is_none());
    }
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let (server, mut sees) = serve(format!("{HEAD}{}", text("half")), true);
    let (generator, _clock) = generator(&server);
    let mut chunks = generator.generate(&server, &prompt(), CancellationToken::new());
    assert!(chunks.next().await == Some(said("half")));
    drop(chunks);
    assert!(matches!(sees.recv().await, Some(Seen::Request { .. })));
    assert!(matches!(sees.recv().await, Some(Seen::Closed)));
}

#[tokio::test]
async fn time_runs_out_by_the_clock() {
    let late = GenerateError::DeadlineFirstToken { ms: 20_000 };
    let slow = GenerateError::DeadlineAttempt { ms: 60_000 };
    for (answer, words, ms, expected) in [
        (String::new(), 0, 20_000, Chunk::Failed(late.clone())),
        (HEAD.to_owned(), 0, 20_000, Chunk::Failed(late)),
        (format!("{HEAD}{}", text("half")), 1, 60_000, Chunk::Failed(slow)),
    ] {
        let (server, mut sees) = serve(answer, true);
        let (generator, clock) = generator(&server);
        let mut chunks = generator.generate(&server, &prompt(), CancellationToken::new());
        for _ in 0..words {
            assert!(chunks.next().await == Some(said("half")));
        }
        let (last, ()) = futures::join!(chunks.next(), async {
            assert!(matches!(sees.recv().await, Some(Seen::Request { .. })));
            clock.advance_millis(ms);
        });
        assert!(last == Some(expected));
        assert!(matches!(sees.recv().await, Some(Seen::Closed)));
    }
}

#[tokio::test]
async fn a_server_that_stays_silent_about_usage_is_not_waited_for() {
    let (server, mut sees) = serve(format!("{HEAD}{}{}", text("hi"), stop()), true);
    let (generator, clock) = generator(&server);
    let mut chunks = generator.generate(&server, &prompt(), CancellationToken::new());
    assert!(chunks.next().await == Some(said("hi")));
    let started = clock.now();
    let mut last = chunks.next();
    let last = loop {
        let waits = std::future::ready(clock.next_due() == Some(started.plus_millis(USAGE_MS)));
        match futures::future::select(last, Box::pin(waits)).await {
            futures::future::Either::Left((chunk, _)) => break chunk,
            futures::future::Either::Right((due, rest)) => {
                if due {
                    clock.advance_millis(USAGE_MS);
                }
                last = rest;
                tokio::task::yield_now().await;
            }
        }
    };
    assert!(last == Some(finished(FinishReason::Stop, None)));
    drop(chunks);
    assert!(matches!(sees.recv().await, Some(Seen::Request { .. })));
    assert!(matches!(sees.recv().await, Some(Seen::Closed)));
}
