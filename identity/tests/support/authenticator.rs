//! A passkey in software, with the browser around it: answers to what `Passkeys` asks. For tests, also
//! those of other rooms, which take this file by its path.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Somebody was there, and showed who they are.
const PRESENT_AND_VERIFIED: u8 = 0x05;
const WITH_KEY: u8 = 0x40;

/// A device with one passkey, and the page that speaks for it.
pub struct Authenticator {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    /// The page's origin, like `https://desk.example`.
    pub origin: String,
    /// Signatures so far: each is counted, as security keys do.
    pub count: u32,
    /// What it says of the person: see the flags of authenticator data.
    pub flags: u8,
    user: Option<String>,
}

impl Authenticator {
    /// A new one, on a page of `origin`.
    pub fn new(origin: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let id = digest(&SHA256, key.public_key().as_ref()).as_ref().to_vec();
        let origin = origin.to_owned();
        Self { key, id, origin, count: 0, flags: PRESENT_AND_VERIFIED, user: None }
    }

    /// Answers `navigator.credentials.create(options)`.
    pub fn create(&mut self, options: &Value) -> Value {
        let asked = &options["publicKey"];
        self.user = asked["user"]["id"].as_str().map(str::to_owned);
        let client = self.client("webauthn.create", asked);
        // An uncompressed point: 4, x, y.
        let point = self.key.public_key().as_ref();
        let mut data = self.data(asked["rp"]["id"].as_str().unwrap(), WITH_KEY);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        // COSE: EC2, ES256, P-256, x, y.
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        // CBOR: {"fmt": "none", "attStmt": {}, "authData": data}.
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        json!({
            "id": encode(&self.id),
            "rawId": encode(&self.id),
            "type": "public-key",
            "response": { "attestationObject": encode(&object), "clientDataJSON": encode(&client) },
            "extensions": {},
        })
    }

    /// Answers `navigator.credentials.get(options)`.
    pub fn get(&mut self, options: &Value) -> Value {
        let asked = &options["publicKey"];
        self.count += 1;
        let client = self.client("webauthn.get", asked);
        let data = self.data(asked["rpId"].as_str().unwrap(), 0);
        let signed = [&data[..], digest(&SHA256, &client).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": encode(&self.id),
            "rawId": encode(&self.id),
            "type": "public-key",
            "response": {
                "authenticatorData": encode(&data),
                "clientDataJSON": encode(&client),
                "signature": encode(signature.as_ref()),
                "userHandle": self.user,
            },
            "extensions": {},
        })
    }

    fn client(&self, kind: &str, asked: &Value) -> Vec<u8> {
        let client = json!({
            "type": kind,
            "challenge": asked["challenge"],
            "origin": self.origin,
            "crossOrigin": false,
        });
        client.to_string().into_bytes()
    }

    fn data(&self, host: &str, more: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, host.as_bytes()).as_ref().to_vec();
        data.push(self.flags | more);
        data.extend(self.count.to_be_bytes());
        data
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
