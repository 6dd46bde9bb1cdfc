//! Commands for the day after, by the binary itself: the keyring and one tenant come back from their copies, and
//! a running server examines its store.

use std::path::Path;
use std::process::{Command, Output};

use iassistance::app::{AppParts, Vaulted};
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::StorageError;
use iassistance_storage::backup::new_identity;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, messages, root_key, settings, within};

/// The binary on a flow's folder.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iassistance"));
    command.env_clear().current_dir(folder).env("IASSISTANCE_ROOT_KEY", root_key().expose());
    let at = |name: &str| folder.join(name).display().to_string();
    let settings = [
        format!("storage.path={}", at("store")),
        format!("vault.keyring_file={}", at("keyring.json")),
        format!("media.folder={}", at("media")),
    ];
    for setting in settings {
        command.args(["--set", &setting]);
    }
    command.arg("--json").args(arguments);
    command
}

async fn ran(mut command: Command) -> Output {
    within("the command", tokio::task::spawn_blocking(move || command.output().unwrap())).await.unwrap()
}

/// What it answers.
async fn answered(folder: &Path, arguments: &[&str]) -> Value {
    let output = ran(command(folder, arguments)).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Why it refuses.
async fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = ran(command(folder, arguments)).await;
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    error["error"].as_str().unwrap().to_owned()
}

#[actix::test]
async fn the_keyring_and_one_tenant_come_back() {
    let options = Options { model: Some(vec![Behaviour::Echo; 2]), ..Options::default() };
    let mut flow = Flow::with(options).await;
    for (number, words) in NUMBERS.into_iter().zip(["of the first", "of the second"]) {
        let body = messages(number, "5491155550000", &[(&format!("wamid.{number}"), 1_790_000_000, words)]);
        assert_eq!(flow.post(body).await.status(), 200);
    }
    flow.sends(2).await;
    flow.quiet(0).await;
    flow.quiet(1).await;
    let tenants = flow.tenants;
    // Its own keyring and store stay locked by this process.
    let kept = flow.end().await.copy();
    let folder = &*kept.path;
    let (secret, recipient) = new_identity();
    std::fs::write(folder.join("identity"), secret.expose()).unwrap();
    std::fs::write(folder.join("other"), new_identity().0.expose()).unwrap();

    let bucket = refused(folder, &["backup", "--to", "s3://elsewhere", "--recipient", &recipient]).await;
    assert!(bucket.contains("backup.to"), "nobody who is not on the register is handed it: {bucket}");
    answered(folder, &["backup", "--to", "copies", "--recipient", &recipient]).await;
    let kept_ring = answered(folder, &["key", "backup", "--to", "ring.age", "--recipient", &recipient]).await;
    assert_eq!(kept_ring, json!({ "to": "ring.age", "recipients": [recipient] }));
    let again = refused(folder, &["key", "backup", "--to", "ring.age", "--recipient", &recipient]).await;
    assert!(again.contains("ring.age"), "a copy is never overwritten: {again}");

    // The machine is gone: no store and no keyring.
    let ring = std::fs::read(folder.join("keyring.json")).unwrap();
    std::fs::remove_dir_all(folder.join("store")).unwrap();
    let tenant = tenants[0].to_string();
    let restore = |identity| {
        ["restore", "--from", "copies", "--identity", identity, "--to", "new", "--tenant", &tenant]
    };
    let from = |identity| ["key", "restore", "--from", "ring.age", "--identity", identity];
    let there = refused(folder, &from("identity")).await;
    assert!(there.contains("keyring.json"), "one that is there is never replaced: {there}");
    std::fs::remove_file(folder.join("keyring.json")).unwrap();
    let ringless = refused(folder, &restore("identity")).await;
    assert!(ringless.contains("keyring"), "{ringless}");
    assert!(!folder.join("new/store").exists(), "nothing was begun");
    let wrong = refused(folder, &from("other")).await;
    assert!(wrong.contains("ring.age"), "{wrong}");
    answered(folder, &from("identity")).await;
    assert_eq!(std::fs::read(folder.join("keyring.json")).unwrap(), ring);

    let restored = answered(folder, &restore("identity")).await;
    assert!(restored["records"].as_u64().unwrap() > 0, "{restored}");
    let twice = refused(folder, &restore("identity")).await;
    assert!(twice.contains("new/store"), "what is there is never written over: {twice}");

    // Everything in it opens; the Meta app, which it shares with others, is not in it, and neither is the other tenant.
    let new = folder.join("new");
    std::fs::copy(folder.join("keyring.json"), new.join("keyring.json")).unwrap();
    let examined: Value = serde_json::from_slice(&ran(command(&new, &["doctor"])).await.stdout).unwrap();
    let findings = examined["findings"].as_array().unwrap();
    let missing = json!({ "problem": "missing", "what": "Meta app" });
    assert!(!findings.is_empty() && examined["set_aside"] == 0, "{examined}");
    assert!(findings.iter().all(|one| one["kind"] == "channel" && one["problem"] == missing), "{examined}");
    let settings = settings(&new, &flow.simulator, &[]);
    let vaulted = Vaulted::open(settings, Some(&root_key()), &mut AppParts::default()).unwrap();
    let listed: Vec<_> = vaulted.store.tenants().await.unwrap().iter().map(|tenant| tenant.id).collect();
    assert_eq!(listed, [tenants[0]]);
    let store = vaulted.store.tenant(TenantCtx::platform(tenants[0])).await.unwrap();
    let conversation = store.conversations(None, 10).await.unwrap()[0].id;
    let said = store.messages(conversation, None, 10).await.unwrap();
    assert_eq!(said.len(), 2, "what was said, and its answer");
    let other = vaulted.store.tenant(TenantCtx::platform(tenants[1])).await;
    assert!(matches!(other.err(), Some(StorageError::NoSuchTenant(_))));
    vaulted.store.close().await;
}

#[actix::test]
async fn a_running_server_examines_its_store_to_the_end() {
    let flow = Flow::start().await;
    flow.simulator.say("ana", "hello").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;
    let platform = flow.platform_key().await;
    let asked = json!({ "repair": true, "put_back": true });
    let (status, begun) = flow.api_with_key(&platform, "POST", "/checks", Some(asked)).await;
    assert_eq!(status.as_u16(), 201, "{begun}");
    let path = format!("/checks/{}", begun["id"].as_str().unwrap());
    let ended = within("the examination", async {
        loop {
            let (status, check) = flow.api_with_key(&platform, "GET", &path, None).await;
            assert_eq!(status.as_u16(), 200, "{check}");
            if check["state"] != "running" {
                break check;
            }
        }
    })
    .await;
    // That somebody asked is written on the record meanwhile, so that there may be more by now.
    let (records, _) = flow.app.store.check(&|_, _| {}).await.unwrap();
    let examined = ended["records"].as_u64().unwrap();
    assert!(examined > 0 && examined <= records, "{examined} of {records}");
    let wanted = json!({
        "id": begun["id"], "state": "ended", "repair": true, "put_back": true,
        "started_at": begun["started_at"], "ended_at": ended["ended_at"], "tenant": 2, "tenants": 2,
        "records": examined, "set_aside": 0, "restored": 0, "findings_total": 0, "unmended": 0, "findings": [],
        "problem": null,
    });
    assert_eq!(ended, wanted);
    assert!(ended["ended_at"].as_i64() >= ended["started_at"].as_i64());
    let unknown = "/checks/chk_0199a8a2c4007b3e8f5d6c1b2a390817";
    assert_eq!(flow.api_with_key(&platform, "GET", unknown, None).await.0.as_u16(), 404);
    assert_eq!(flow.api("GET", &path, None).await.0.as_u16(), 403, "a tenant's key is not the platform's");

    // The same by the command, which waits for it.
    let server = format!("http://{}", flow.address);
    let folder = flow.folder.as_ref().unwrap().path.clone();
    let mut doctor = command(&folder, &["doctor", "--server", &server]);
    doctor.env("IASSISTANCE_API_KEY", &platform);
    let output = ran(doctor).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["findings"], &found["unmended"]), (&json!([]), &json!(0)));
    flow.finish().await;
}
