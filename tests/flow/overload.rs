//! Slow and many clients at the door, by raw sockets: they are cut off or sent away, and good ones are served.
//! The modes are those of slowhttptest; `scripts/bench slow` runs the tool itself.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Flow, NUMBERS, Options, messages, within};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: flow\r\n\r\n";
/// `server.pace_window_ms`.
const WINDOW_MS: u64 = 5_000;
/// What a client asks for that does not read: more than what all buffers on the way may hold, and less than what the
/// system would take by itself.
const REQUESTS: usize = 8;

async fn with(settings: &[&'static str]) -> Flow {
    Flow::with(Options { settings: settings.to_vec(), ..Options::default() }).await
}

async fn connected(flow: &Flow, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(flow.address).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    stream
}

/// What comes until the head of an answer is there.
async fn head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    within("an answer", async {
        while !read.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                break;
            }
        }
    })
    .await;
    String::from_utf8(read).unwrap()
}

/// Everything that comes until the connection has ended.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end too.
    within("the end", async { while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {} }).await;
    read
}

/// A good client is served.
async fn serves(flow: &Flow, n: u32) {
    let id = format!("wamid.{n}");
    let body = messages(NUMBERS[0], "15550199001", &[(&id, 1_790_000_000 + i64::from(n), "hello")]);
    assert_eq!(flow.post(body).await.status(), 200);
}

#[actix::test]
async fn an_address_with_too_many_connections_is_sent_away_until_it_has_fewer() {
    let flow = with(&["server.connections_per_address_max=3"]).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connected(&flow, LIVE).await;
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    let refused = String::from_utf8(rest(&mut connected(&flow, "").await).await).unwrap();
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: "), "{refused}");
    held.pop();
    within("room", async {
        while !head(&mut connected(&flow, LIVE).await).await.starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(held);
    flow.finish().await;
}

#[actix::test]
async fn behind_a_proxy_requests_are_counted_by_the_address_that_it_names() {
    let proxies = "server.trusted_proxies=[\"127.0.0.1\"]";
    let flow = with(&[proxies, "server.connections_per_address_max=1"]).await;
    let from = |address: &str| {
        format!("GET /health/live HTTP/1.1\r\nhost: flow\r\nx-forwarded-for: {address}\r\n\r\n")
    };
    let path = format!("/webhooks/meta/{}", flow.meta_app);
    let slow = format!(
        "POST {path} HTTP/1.1\r\nhost: flow\r\nx-forwarded-for: 1.2.3.4, 9.9.9.9\r\ncontent-length: 99\r\n\r\n{{"
    );
    let mut under_way = connected(&flow, &slow).await;
    flow.sleeps_for(WINDOW_MS).await;
    let refused = head(&mut connected(&flow, &from("9.9.9.9")).await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"), "{refused}");
    assert!(head(&mut connected(&flow, &from("8.8.8.8")).await).await.starts_with("HTTP/1.1 200"));
    flow.clock.advance_millis(WINDOW_MS);
    assert!(head(&mut under_way).await.starts_with("HTTP/1.1 408"));
    assert!(head(&mut connected(&flow, &from("9.9.9.9")).await).await.starts_with("HTTP/1.1 200"));
    flow.finish().await;
}

#[actix::test]
async fn slow_headers_end_at_their_deadline() {
    let flow = with(&["server.head_deadline_ms=300"]).await;
    let partial = "GET /health/live HTTP/1.1\r\nhost: flow\r\nx-a: ";
    let mut first = connected(&flow, partial).await;
    // Also the head of a later request on a connection that was good before.
    let mut second = connected(&flow, LIVE).await;
    assert!(head(&mut second).await.starts_with("HTTP/1.1 200"));
    second.write_all(partial.as_bytes()).await.unwrap();
    serves(&flow, 1).await;
    flow.sleeps_for(300).await;
    flow.clock.advance_millis(300);
    for stream in [&mut first, &mut second] {
        let said = String::from_utf8(rest(stream).await).unwrap();
        assert!(!said.contains("HTTP/1.1 200"), "{said}");
    }
    flow.quiet(0).await;
    flow.finish().await;
}

#[actix::test]
async fn slow_bodies_end_when_they_do_not_keep_the_pace() {
    let flow = with(&[]).await;
    let path = format!("/webhooks/meta/{}", flow.meta_app);
    let begun = format!("POST {path} HTTP/1.1\r\nhost: flow\r\ncontent-length: 10000\r\n\r\n{{");
    let mut slow = connected(&flow, &begun).await;
    flow.sleeps_for(WINDOW_MS).await;
    slow.write_all(b"\"a\":").await.unwrap();
    serves(&flow, 1).await;
    flow.quiet(0).await;
    flow.clock.advance_millis(WINDOW_MS);
    let answer = head(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "long before the whole body's deadline: {answer}");
    flow.finish().await;
}

#[actix::test]
async fn slow_readers_are_cut_off_and_their_answers_with_them() {
    let flow = with(&[]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = socket.connect(flow.address).await.unwrap();
    let request = "GET /openapi.json HTTP/1.1\r\nhost: flow\r\n\r\n";
    slow.write_all(request.repeat(REQUESTS).as_bytes()).await.unwrap();
    // The server waits for it to read.
    flow.sleeps_for(WINDOW_MS).await;
    serves(&flow, 1).await;
    flow.quiet(0).await;
    // What the system still takes for it counts in the first window, and nothing does in the last.
    for _ in 0..3 {
        flow.clock.advance_millis(WINDOW_MS);
        // The one thread that serves has been at it by then.
        assert!(head(&mut connected(&flow, LIVE).await).await.starts_with("HTTP/1.1 200"));
    }
    let whole = flow.http.get(format!("http://{}/openapi.json", flow.address)).send().await.unwrap();
    let whole = whole.bytes().await.unwrap().len();
    let got = rest(&mut slow).await.len();
    assert!(got < REQUESTS * whole, "{got} bytes came of {REQUESTS} answers of {whole}");
    flow.finish().await;
}

#[actix::test]
async fn many_ranges_cost_one_answer_and_a_large_head_none() {
    let flow = with(&[]).await;
    let url = format!("http://{}/openapi.json", flow.address);
    let whole = flow.http.get(&url).send().await.unwrap().bytes().await.unwrap();
    let ranges = |count: usize| {
        let ranges: Vec<_> = (0..count).map(|end| format!("5-{end}")).collect();
        format!("bytes=0-,{}", ranges.join(","))
    };
    let many = flow.http.get(&url).header("range", ranges(1_000)).send().await.unwrap();
    assert_eq!(many.status(), 200);
    assert_eq!(many.bytes().await.unwrap(), whole, "ranges are not served: one whole answer");
    let large = flow.http.get(&url).header("range", ranges(8_000)).send().await.unwrap();
    assert_eq!(large.status(), 431);
    assert_eq!(large.headers()["content-type"], "application/problem+json");
    // More than the parser takes is not even answered with a problem.
    let endless = format!("GET / HTTP/1.1\r\nhost: flow\r\nx-a: {}", "a".repeat(200_000));
    let mut stream = TcpStream::connect(flow.address).await.unwrap();
    // It may end while this is still being written.
    drop(stream.write_all(endless.as_bytes()).await);
    let said = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(!said.contains("HTTP/1.1 200"), "{said}");
    flow.finish().await;
}

#[actix::test]
async fn one_address_has_half_of_the_memory_for_bodies() {
    let flow = with(&["server.webhook_bytes_in_flight_max=4000"]).await;
    let path = format!("/webhooks/meta/{}", flow.meta_app);
    let begun = |length: usize, sent: usize| {
        let body = "x".repeat(sent);
        format!("POST {path} HTTP/1.1\r\nhost: flow\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let mut slow = connected(&flow, &begun(3_000, 1_900)).await;
    flow.sleeps_for(WINDOW_MS).await;
    // How much has been read of it is not known until an answer shows it. There is room for this one in what all have.
    within("the refusal", async {
        while !head(&mut connected(&flow, &begun(500, 500)).await).await.starts_with("HTTP/1.1 503") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.clock.advance_millis(WINDOW_MS);
    assert!(head(&mut slow).await.starts_with("HTTP/1.1 408"));
    serves(&flow, 2).await;
    flow.quiet(0).await;
    flow.finish().await;
}

#[actix::test]
async fn all_addresses_together_have_the_memory_for_bodies() {
    let proxies = "server.trusted_proxies=[\"127.0.0.1\"]";
    let flow = with(&[proxies, "server.webhook_bytes_in_flight_max=4000"]).await;
    let path = format!("/webhooks/meta/{}", flow.meta_app);
    let begun = |from: &str, length: usize, sent: usize| {
        let body = "x".repeat(sent);
        format!(
            "POST {path} HTTP/1.1\r\nhost: flow\r\nx-forwarded-for: {from}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    // Each has less than half of it.
    let slow = [begun("9.9.9.1", 3_000, 1_900), begun("9.9.9.2", 3_000, 1_900)];
    let mut slow = [connected(&flow, &slow[0]).await, connected(&flow, &slow[1]).await];
    flow.sleeps_for(WINDOW_MS).await;
    within("the refusal", async {
        let another = begun("9.9.9.3", 500, 500);
        while !head(&mut connected(&flow, &another).await).await.starts_with("HTTP/1.1 503") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.clock.advance_millis(WINDOW_MS);
    for slow in &mut slow {
        assert!(head(slow).await.starts_with("HTTP/1.1 408"));
    }
    serves(&flow, 2).await;
    flow.quiet(0).await;
    flow.finish().await;
}
