//! Invariant 8: what people write and who they are is nowhere but where it belongs.

use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use iassistance_actors::kernel::panics;
use iassistance_channels::signature::sign;
use iassistance_simulator::NewContact;
use serde_json::json;

use crate::harness::{self, Flow, NUMBERS, Options, SECRET, messages, within};
use crate::products::flying;

const WORDS: &str = "canary-words-Xq7vLw2mPz9kTb4n";
const NAME: &str = "Canary Name Hj5rYc8sDf3g";
const PHONE: &str = "15550137462";
const WAMID: &str = "wamid.CANARYm3Kd8Rt6Vx1Zq";
const OPERATOR_WORDS: &str = "canary-reply-Wn4bGe7uJa2c";

/// The forms in which something could be hidden in bytes.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![
        secret.as_bytes().to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
        secret.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ];
    // Base64 of it at each of the three places that it may begin at; what mixes with neighbours is cut.
    for shift in 0..3 {
        let shifted = [&vec![b'x'; shift], secret.as_bytes()].concat();
        for engine in [&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&shifted);
            forms.push(encoded.as_bytes()[(shift * 8).div_ceil(6)..shifted.len() * 8 / 6].to_vec());
        }
    }
    forms
}

fn assert_absent(place: &str, bytes: &[u8], secrets: &[&str]) {
    for secret in secrets {
        for (number, form) in forms(secret).into_iter().enumerate() {
            assert!(form.len() > 8, "{secret} is too short to be looked for");
            let found = memchr::memmem::find(bytes, &form);
            assert_eq!(found, None, "{secret} is in {place}, in form {number}");
        }
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn what_is_looked_for_would_be_found() {
    for hidden in [hex::encode(WORDS), BASE64_STANDARD_NO_PAD.encode(format!("ab{WORDS}c")), WORDS.to_owned()]
    {
        let found = std::panic::catch_unwind(|| assert_absent("a test", hidden.as_bytes(), &[WORDS]));
        assert!(found.is_err(), "{hidden}");
    }
}

#[actix::test]
async fn nothing_personal_and_no_secret_is_in_files_log_metrics_or_errors() {
    let flow = Flow::start().await;
    let contact = NewContact { name: NAME.into(), wa_id: Some(PHONE.into()), hides_number: false };
    flow.simulator.add_contact(contact).unwrap();
    let said = flow.simulator.say(PHONE, WORDS).unwrap();
    flow.sends(1).await;
    assert!(flow.simulator.all_sends()[0].text.contains(WORDS), "the model answers with it");
    let body = messages(NUMBERS[0], PHONE, &[(WAMID, 1_790_000_000, WORDS)]);
    assert_eq!(flow.post(body.clone()).await.status(), 200);
    flow.sends(2).await;
    let stray = messages("999999999999999", PHONE, &[("wamid.CANARYstray0000001", 1_790_000_000, WORDS)]);
    assert_eq!(flow.post(stray).await.status(), 200);
    let conversation = flow.conversation(0).await;
    let base = format!("/tenants/{}/conversations/{conversation}", flow.tenants[0]);
    let reply = json!({ "operator": "Bea", "text": OPERATOR_WORDS });
    assert_eq!(flow.api("POST", &format!("{base}/messages"), Some(reply)).await.0, 201);
    flow.sends(3).await;
    flow.quiet(0).await;
    let wamids: Vec<String> = flow.simulator.all_sends().into_iter().map(|send| send.wamid).collect();
    let key_secret = flow.key.rsplit('_').nth(1).unwrap().to_owned();

    let mut secrets =
        vec![WORDS, NAME, PHONE, WAMID, OPERATOR_WORDS, said.as_str(), "wamid.CANARYstray0000001"];
    secrets.extend(wamids.iter().map(String::as_str));
    secrets.extend(["flow-access-token", SECRET, "flow-verify-token", "flow-model-key", key_secret.as_str()]);

    let mut errors = vec![flow.post_signed(body.clone(), None).await.text().await.unwrap()];
    errors.push(flow.post_signed(body, Some("sha256=00")).await.text().await.unwrap());
    for body in
        [json!({ "operator": WORDS, "text": 7 }), json!({ "operator": 7, "text": WORDS }), json!([WORDS])]
    {
        let (status, problem) = flow.api("POST", &format!("{base}/messages"), Some(body)).await;
        assert!(status.is_client_error(), "{status}");
        errors.push(problem.to_string());
    }
    for path in [format!("{base}/{WORDS}"), format!("/{PHONE}"), format!("{base}/messages?limit={WORDS}")] {
        let (status, problem) = flow.api("GET", &path, None).await;
        assert!(status.is_client_error(), "{status}");
        errors.push(problem.to_string());
    }
    let wrong_key = flow.http.get(format!("http://{}/v1/tenants", flow.address)).bearer_auth(WORDS);
    errors.push(within("an answer", wrong_key.send()).await.unwrap().text().await.unwrap());
    let wrong_token = format!(
        "http://{}/webhooks/meta/{}?hub.mode=subscribe&hub.challenge={WORDS}&hub.verify_token={WORDS}",
        flow.address, flow.meta_app
    );
    errors.push(within("an answer", flow.http.get(wrong_token).send()).await.unwrap().text().await.unwrap());
    assert!(errors.len() > 8 && errors.iter().all(|error| !error.is_empty()), "{errors:?}");
    assert_absent("an error", errors.join("\n").as_bytes(), &secrets);

    let metrics = flow.http.get(format!("http://{}/metrics", flow.address));
    let metrics = within("an answer", metrics.send()).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("iassistance_accept_events_total"));
    assert_absent("the metrics", metrics.as_bytes(), &secrets);
    let log = harness::log();
    assert!(log.contains("a webhook's signature was rejected"), "there is a log");
    assert_absent("the log", log.as_bytes(), &secrets);

    let folder = flow.finish().await;
    let files = files(&folder.path);
    assert!(files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 10_000, "there is data");
    for (name, bytes) in files {
        assert_absent(&name, &bytes, &secrets);
    }
}

/// Runs in a process of its own: the hook that keeps a panic's words back is the process's.
#[actix::test]
#[ignore = "run by the test below"]
async fn panics_while_personal_data_is_in_hand() {
    let failing = Options::failing(|act| {
        // In the web server's handler the first time, in a conversation's actor the second.
        static ACTS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let nth = ACTS.fetch_add(
            u32::from(act.name == "accept" || act.name == "inbox"),
            std::sync::atomic::Ordering::Relaxed,
        );
        let due = (act.name == "accept" && nth == 0) || (act.name == "inbox" && nth == 2);
        assert!(!due, "could not handle {WORDS} of {NAME}");
        Ok(())
    });
    let flow = Flow::with(Options { wrap_store: failing.wrap_store, ..flying(&[]) }).await;
    panics::install_hook();
    let body = messages(NUMBERS[0], PHONE, &[(WAMID, 1_790_000_000, WORDS)]);
    let url = format!("http://{}/webhooks/meta/{}", flow.address, flow.meta_app);
    let request =
        flow.http.post(url).header("x-hub-signature-256", sign(SECRET.as_bytes(), &body)).body(body.clone());
    let first = within("an answer", request.send()).await;
    assert!(
        first.is_err() || first.is_ok_and(|answer| answer.status().is_server_error()),
        "not acknowledged"
    );
    assert_eq!(flow.post(body).await.status(), 200, "the server goes on");
    flow.while_time_flies(flow.sends(1)).await;
    flow.finish().await;
    let log = harness::log();
    assert_eq!(log.matches("a panic began").count(), 2, "both were noted");
    assert_absent("the log", log.as_bytes(), &[WORDS, NAME, PHONE, WAMID]);
}

#[test]
fn a_panic_says_where_and_never_what() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "privacy::panics_while_personal_data_is_in_hand", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_absent("what the process said", &said, &[WORDS, NAME, PHONE, WAMID]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(String::from_utf8_lossy(&said).contains("1 passed"), "{}", String::from_utf8_lossy(&said));
}
