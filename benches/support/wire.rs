//! Signed webhooks as bytes on a connection that is kept alive, and the answers to them.
#![allow(dead_code, reason = "each bench uses its part of this")]
#![allow(clippy::expect_used, reason = "a bench that fails has no result")]

use iassistance_channels::signature;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::SECRET;

/// Adds the request that posts this webhook.
pub fn signed(path: &str, body: &[u8], bytes: &mut Vec<u8>) {
    let signature = signature::sign(SECRET.as_bytes(), body);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: facebookexternalua\r\naccept: */*\r\n\
         content-type: application/json\r\nx-hub-signature-256: {signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(body);
}

/// Reads one whole answer; its status.
pub async fn answered(stream: &mut TcpStream, answer: &mut Vec<u8>) -> u16 {
    answer.clear();
    loop {
        let read = stream.read_buf(answer).await.expect("the server answers");
        assert!(read > 0, "the server closed a connection that is kept alive");
        let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = str::from_utf8(&answer[..head]).expect("a head in ASCII");
        let status = text.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        let length = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        };
        let length = text.lines().find_map(length).expect("a length");
        while answer.len() < head + 4 + length {
            assert!(stream.read_buf(answer).await.expect("the server answers") > 0, "an answer broke off");
        }
        return status;
    }
}
