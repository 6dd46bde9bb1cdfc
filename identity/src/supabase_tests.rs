use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use iassistance_domain::ManualClock;
use iassistance_domain::pii::SignIn;
use iassistance_egress::EgressSettings;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::fakes::settings;

const NOW: i64 = 1_790_000_000;
const SUBJECT: &str = "7d0f5a1e-0000-4000-8000-000000000001";

/// A Supabase project on this machine: what it answers is set by the test.
#[derive(Default)]
struct Project {
    keys: StdMutex<String>,
    user: StdMutex<(u16, String)>,
    asked_keys: AtomicUsize,
    told: StdMutex<String>,
}

impl Project {
    fn publish(&self, keys: &[Value]) {
        *self.keys.lock().unwrap() = json!({ "keys": keys }).to_string();
    }

    fn answer(&self, request: &str) -> (u16, String) {
        if request.starts_with("GET /auth/v1/.well-known/jwks.json ") {
            self.asked_keys.fetch_add(1, Ordering::SeqCst);
            let keys = self.keys.lock().unwrap().clone();
            return (if keys.is_empty() { 503 } else { 200 }, keys);
        }
        request.clone_into(&mut self.told.lock().unwrap());
        if request.starts_with("GET /auth/v1/user ") {
            self.user.lock().unwrap().clone()
        } else {
            (404, String::new())
        }
    }
}

async fn project() -> (Arc<Project>, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let project = Arc::new(Project::default());
    let answering = Arc::clone(&project);
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16_384];
            let read = connection.read(&mut request).await.unwrap();
            let (status, body) = answering.answer(&String::from_utf8_lossy(&request[..read]));
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            connection.write_all((head + &body).as_bytes()).await.unwrap();
        }
    });
    (project, address)
}

/// A key of the project, and its public part as it is published.
struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    public: Value,
}

fn signer(id: &str, algorithm: Algorithm) -> Signer {
    let key = if algorithm == Algorithm::ES256 {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
    } else {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        // PKCS#8 is a head of 26 bytes before the key itself (PKCS#1).
        EncodingKey::from_rsa_der(&AsDer::as_der(&pair).unwrap().as_ref()[26..])
    };
    let mut public = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
    public["kid"] = id.into();
    public["use"] = "sig".into();
    Signer { algorithm, key, public }
}

impl Signer {
    fn sign(&self, claims: &Value) -> Secret {
        self.sign_as(self.public["kid"].as_str(), claims)
    }

    fn sign_as(&self, id: Option<&str>, claims: &Value) -> Secret {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(self.algorithm) };
        Secret::new(jsonwebtoken::encode(&header, claims, &self.key).unwrap())
    }
}

struct World {
    project: Arc<Project>,
    address: String,
    clock: ManualClock,
    supabase: Supabase,
    signer: Signer,
}

async fn world(key: &str) -> World {
    let (project, address) = project().await;
    let signer = signer("one", Algorithm::ES256);
    project.publish(std::slice::from_ref(&signer.public));
    let clock = ManualClock::at(Timestamp::from_secs(NOW));
    let settings =
        IdentitySettings { supabase_url: address.clone(), supabase_key: Secret::new(key), ..settings() };
    let url = |text: &str| Url::parse(text).unwrap();
    let egress = Egress::new(&EgressSettings {
        graph: url("https://graph.facebook.com"),
        instagram: url("https://graph.instagram.com"),
        media_domains: Vec::new(),
        model: url("https://models.example"),
        model_hosts: Vec::new(),
        tool_private_hosts: Vec::new(),
        connect_timeout_ms: 5_000,
        read_timeout_ms: 5_000,
    });
    let supabase = Supabase::new(&settings, &egress.unwrap(), Arc::new(clock.clone())).unwrap().unwrap();
    World { project, address, clock, supabase, signer }
}

impl World {
    fn claims(&self) -> Value {
        json!({
            "iss": format!("{}/auth/v1", self.address),
            "aud": "authenticated",
            "sub": SUBJECT,
            "exp": NOW + 3_600,
            "iat": NOW,
            "role": "authenticated",
            "aal": "aal1",
            "email": "Ada@Example.com",
            "user_metadata": { "email_verified": true },
        })
    }

    fn with(&self, key: &str, value: Value) -> Secret {
        let mut claims = self.claims();
        claims[key] = value;
        self.signer.sign(&claims)
    }

    async fn refusal(&self, token: &Secret) -> SupabaseError {
        self.supabase.user(token).await.err().unwrap()
    }
}

#[tokio::test]
async fn a_token_of_the_project_says_who_it_is() {
    let world = world("").await;
    let user = world.supabase.user(&world.signer.sign(&world.claims())).await.unwrap();
    assert_eq!((user.subject.as_str(), user.second_factor), (SUBJECT, false));
    let user = world.supabase.user(&world.with("aal", json!("aal2"))).await.unwrap();
    assert!(user.second_factor);
    let rsa = signer("two", Algorithm::RS256);
    world.project.publish(&[
        json!({ "kty": "OKP", "crv": "X448", "x": "AA", "kid": "odd" }),
        world.signer.public.clone(),
        rsa.public.clone(),
    ]);
    world.clock.advance_millis(60_000);
    assert!(
        world.supabase.user(&rsa.sign(&world.claims())).await.is_ok(),
        "keys are rotated; an odd one costs itself alone"
    );
    assert_eq!(world.project.asked_keys.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_address_counts_when_the_project_says_that_it_is_confirmed() {
    let world = world("publishable-key").await;
    // What the user may write about themselves does not.
    let user = world.supabase.user(&world.signer.sign(&world.claims())).await.unwrap();
    let answers = |status, body: Value| *world.project.user.lock().unwrap() = (status, body.to_string());
    answers(200, json!({ "id": SUBJECT, "email": "Ada@Example.com", "email_confirmed_at": null }));
    assert_eq!(world.supabase.confirmed_email(&user).await.err(), Some(SupabaseError::NotConfirmed));
    answers(
        200,
        json!({ "id": SUBJECT, "email": "Ada@Example.com", "email_confirmed_at": "2026-01-01T00:00:00Z" }),
    );
    let email = world.supabase.confirmed_email(&user).await.unwrap();
    assert_eq!(email.reveal(SignIn), "ada@example.com");
    let told = world.project.told.lock().unwrap().to_lowercase();
    assert!(told.contains("apikey: publishable-key") && told.contains("authorization: bearer ey"), "{told}");
    answers(200, json!({ "id": "somebody else", "email": "eva@example.com", "email_confirmed_at": "2026" }));
    assert!(matches!(world.supabase.confirmed_email(&user).await.err(), Some(SupabaseError::Unavailable(_))));
    answers(403, json!({}));
    assert!(matches!(world.supabase.confirmed_email(&user).await.err(), Some(SupabaseError::BadToken(_))));
    // What the project signs does.
    let user = world.supabase.user(&world.with("email_verified", json!(true))).await.unwrap();
    assert_eq!(world.supabase.confirmed_email(&user).await.unwrap().reveal(SignIn), "ada@example.com");
}

#[tokio::test]
async fn without_a_key_only_what_is_signed_counts() {
    let world = world("").await;
    for verified in [json!(null), json!(false)] {
        let user = world.supabase.user(&world.with("email_verified", verified)).await.unwrap();
        assert_eq!(world.supabase.confirmed_email(&user).await.err(), Some(SupabaseError::NotConfirmed));
    }
    assert!(world.supabase.user(&world.with("email_verified", json!("true"))).await.is_err());
}

#[tokio::test]
async fn what_is_not_of_the_project_or_not_for_here_is_refused() {
    let world = world("").await;
    let foreign = signer("one", Algorithm::ES256);
    let bad = |what| SupabaseError::BadToken(what);
    assert_eq!(world.refusal(&foreign.sign(&world.claims())).await, bad("is not signed by the project"));
    assert_eq!(
        world.refusal(&signer("one", Algorithm::RS256).sign(&world.claims())).await,
        bad("names a key of another kind")
    );
    assert_eq!(world.refusal(&world.signer.sign_as(None, &world.claims())).await, bad("names no key"));
    for (key, value, expected) in [
        ("iss", json!("https://evil.supabase.co/auth/v1"), "is of another project"),
        ("iss", json!(null), "lacks what it should say"),
        ("aud", json!("anon"), "is for somebody else"),
        ("aud", json!(null), "lacks what it should say"),
        ("sub", json!(""), "names nobody"),
        ("sub", json!(null), "lacks what it should say"),
        ("exp", json!(null), "lacks what it should say"),
        ("role", json!("service_role"), "is not of a user who signed in"),
        ("role", json!("anon"), "is not of a user who signed in"),
        ("is_anonymous", json!(true), "is of an anonymous user"),
    ] {
        assert_eq!(world.refusal(&world.with(key, value.clone())).await, bad(expected), "{key} {value}");
    }
    // Signed with what everybody knows: the public key as a secret, or nothing.
    let secret = EncodingKey::from_secret(world.signer.public["x"].as_str().unwrap().as_bytes());
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
    let symmetric = Secret::new(jsonwebtoken::encode(&header, &world.claims(), &secret.unwrap()).unwrap());
    assert!(matches!(world.refusal(&symmetric).await, SupabaseError::BadToken(_)));
    let good = world.signer.sign(&world.claims());
    let (signed, signature) = good.expose().rsplit_once('.').unwrap();
    let payload = signed.split_once('.').unwrap().1;
    let none = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        r#"{"alg":"none","kid":"one"}"#,
    );
    for forged in [
        format!("{none}.{payload}."),
        format!("{signed}."),
        format!("{signed}.{}", &signature[1..]),
        "a.b.c".to_owned(),
        String::new(),
        "x".repeat(9_000),
    ] {
        assert!(matches!(world.refusal(&Secret::new(forged)).await, SupabaseError::BadToken(_)));
    }
    assert!(world.supabase.user(&good).await.is_ok());
}

#[tokio::test]
async fn times_are_those_of_our_clock() {
    let world = world("").await;
    let token = world.signer.sign(&world.claims());
    world.clock.advance_millis(3_600_000 + 29_999);
    assert!(world.supabase.user(&token).await.is_ok(), "clocks may be half a minute apart");
    world.clock.advance_millis(1);
    assert_eq!(world.refusal(&token).await, SupabaseError::Expired);
    for key in ["nbf", "iat"] {
        let mut claims = world.claims();
        claims["exp"] = json!(NOW + 90_000);
        claims[key] = json!(NOW + 3_600 + 30 + 31);
        assert!(
            matches!(world.refusal(&world.signer.sign(&claims)).await, SupabaseError::BadToken(_)),
            "{key}"
        );
        claims[key] = json!(NOW + 3_600 + 30 + 30);
        assert!(world.supabase.user(&world.signer.sign(&claims)).await.is_ok(), "{key}");
    }
}

#[tokio::test]
async fn keys_are_asked_for_once_a_minute_at_most() {
    let world = world("").await;
    let asked = || world.project.asked_keys.load(Ordering::SeqCst);
    for number in 0..50 {
        let token = world.signer.sign_as(Some(&format!("unknown-{number}")), &world.claims());
        assert!(matches!(world.refusal(&token).await, SupabaseError::BadToken(_)));
    }
    assert_eq!(asked(), 1);
    assert!(world.supabase.user(&world.signer.sign(&world.claims())).await.is_ok());
    world.clock.advance_millis(60_000);
    let token = world.signer.sign_as(Some("unknown"), &world.claims());
    assert!(matches!(world.refusal(&token).await, SupabaseError::BadToken(_)));
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn keys_are_used_for_a_day_without_the_project_and_a_key_that_it_takes_back_goes() {
    let world = world("").await;
    let long = |exp: i64| world.with("exp", json!(NOW + exp));
    let token = long(10_000_000);
    assert!(world.supabase.user(&token).await.is_ok());
    world.project.keys.lock().unwrap().clear();
    world.clock.advance_millis(STALE_MS - 1);
    assert!(world.supabase.user(&token).await.is_ok(), "the project is down");
    world.clock.advance_millis(60_000);
    assert!(matches!(world.refusal(&token).await, SupabaseError::Unavailable(_)));
    world.project.publish(std::slice::from_ref(&world.signer.public));
    world.clock.advance_millis(60_000);
    assert!(world.supabase.user(&token).await.is_ok(), "it is back");
    world.project.publish(&[signer("other", Algorithm::ES256).public]);
    world.clock.advance_millis(FRESH_MS);
    assert!(matches!(world.refusal(&token).await, SupabaseError::BadToken(_)), "taken back");
}
