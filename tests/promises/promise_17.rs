//! Communications are encrypted in and out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use iassistance_config::Sources;
use iassistance_egress::{Egress, EgressSettings};
use url::Url;

use crate::book::Proof;
use crate::harness::{Flow, Options, within};

/// A greeting of TLS 1.1 (RFC 4346): the record layer and `client_version` say 3.2, and there is no extension.
fn greeting(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend([7; 32]);
    hello.push(0);
    // TLS_RSA_WITH_AES_128_CBC_SHA and TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA.
    hello.extend([0, 4, 0, 0x2F, 0xC0, 0x13, 1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, minor, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}

fn settings(flags: &[&str]) -> Result<iassistance_config::Settings, String> {
    let flags = flags.iter().map(ToString::to_string).collect();
    Sources { flags, ..Sources::default() }.settings().map_err(|error| error.to_string())
}

#[actix::test]
async fn promise_17() {
    let proof = Proof::of(17);
    // In: nothing is served in the clear to anybody but this machine.
    for bind in ["0.0.0.0", "192.0.2.7", "::"] {
        let refusal = settings(&[&format!("server.bind={bind}")]).map(drop).unwrap_err();
        assert!(refusal.contains("without TLS"), "{refusal}");
    }
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let named = |setting: &str, path: &std::path::Path| -> &'static str {
        format!("server.{setting}={}", path.display()).leak()
    };
    let tls = vec![named("tls_certificate", &chain), named("tls_key", &key)];
    let flow = Flow::with(Options { settings: tls, ..Options::default() }).await;
    let certificate = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test's own client")]
    let client = reqwest::Client::builder()
        .no_proxy()
        .resolve("localhost", flow.address)
        .tls_certs_only([certificate])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/health/live", flow.address.port());
    let answer = within("an answer", client.get(url).send()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    // In the clear, and by a version of old, nothing is answered but an end.
    let address = flow.address;
    let old = tokio::task::spawn_blocking(move || {
        let say = |bytes: &[u8]| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.write_all(bytes).unwrap();
            let mut answer = Vec::new();
            let _ended = stream.read_to_end(&mut answer);
            answer
        };
        assert!(
            !String::from_utf8_lossy(&say(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"))
                .contains("200")
        );
        (1..=2).map(|minor| say(&greeting(minor))).collect::<Vec<_>>()
    });
    for answer in old.await.unwrap() {
        // An alert (21), or nothing: never a handshake (22).
        assert_ne!(answer.first(), Some(&22), "TLS before 1.2 was taken: {answer:?}");
    }
    flow.end_of_tls().await;

    // Out: what is not on this machine is called by https alone.
    let url = |text: &str| Url::parse(text).unwrap();
    let egress = |graph: &str, model: &str| {
        Egress::new(&EgressSettings {
            graph: url(graph),
            instagram: url("https://graph.instagram.com"),
            media_domains: Vec::new(),
            model: url(model),
            model_hosts: Vec::new(),
            tool_private_hosts: Vec::new(),
            connect_timeout_ms: 1_000,
            read_timeout_ms: 1_000,
        })
    };
    assert!(egress("https://graph.facebook.com", "https://api.openai.com/v1").is_ok());
    assert!(egress("http://graph.facebook.com", "https://api.openai.com/v1").is_err());
    assert!(egress("https://graph.facebook.com", "http://api.openai.com/v1").is_err());
    assert!(settings(&["identity.supabase_url=http://abcd.supabase.co"]).is_err());
    let mail = ["mail.transport=smtp", "mail.smtp_host=mail.example.org", "mail.smtp_security=plain"];
    assert!(settings(&mail).is_err());
    proof.kept("3 plain binds refused; TLS 1.0, TLS 1.1 and plain HTTP at the TLS door unanswered; 4 plain ways out refused");
}

trait Ends {
    async fn end_of_tls(self);
}

impl Ends for Flow {
    async fn end_of_tls(self) {
        drop(self.finish().await);
    }
}
