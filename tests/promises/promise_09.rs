//! Every provider is on a public register with purpose, region and transfer mechanism, or the server does not start.

use std::path::Path;
use std::process::{Command, Output};

use iassistance_config::SUBPROCESSORS;
use serde_json::Value;

use crate::book::Proof;
use crate::harness::{Flow, Options, within};

/// Runs the program itself.
fn run(folder: &Path, arguments: &[&str], settings: &[String]) -> Output {
    // A server that starts all the same would run for ever.
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_iassistance")]);
    command.current_dir(folder).args(arguments).arg("--json");
    for name in ["store", "media", "mail"] {
        let section = if name == "store" { "storage.path" } else { &format!("{name}.folder") };
        command.arg("--set").arg(format!("{section}={}", folder.join(name).display()));
    }
    command.arg("--set").arg(format!("vault.keyring_file={}", folder.join("keyring.json").display()));
    command.arg("--set").arg(format!("vault.root_key_file={}", folder.join("root.key").display()));
    for setting in settings {
        command.arg("--set").arg(setting);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[actix::test]
async fn promise_09() {
    let proof = Proof::of(9);
    let folder = tempfile::tempdir().unwrap();
    let register = folder.path().join("register.toml");
    let whole = SUBPROCESSORS
        .replace("region = \"\"", "region = \"us-east-1\"")
        .replace("transfer = \"\"", "transfer = \"Res. AAIP 198/2023\"")
        .replace("agreement = \"\"", "agreement = \"2026-03-01\"");
    let told: Vec<String> = [
        "privacy.operator=Ejemplo S.A.",
        "privacy.address=Calle 1, Rosario",
        "privacy.contact=mailto:datos@example.org",
        "privacy.hosted_by=Railway Corporation",
        "server.public_url=https://chat.example.org",
        "server.port=0",
    ]
    .map(str::to_owned)
    .to_vec();
    let named = format!("privacy.subprocessors_file={}", register.display());
    let with = |text: &str, change: Option<(usize, &str)>| {
        std::fs::write(&register, text).unwrap();
        let mut settings = told.clone();
        settings.push(named.clone());
        if let Some((place, other)) = change {
            other.clone_into(&mut settings[place]);
        }
        settings
    };
    let complete = run(folder.path(), &["subprocessors", "check"], &with(&whole, None));
    assert!(complete.status.success(), "{}", said(&complete));

    // Each blank by itself: the server does not start, and says which.
    let mut blanks = 0;
    let fields =
        ["region = \"us-east-1\"", "transfer = \"Res. AAIP 198/2023\"", "agreement = \"2026-03-01\""];
    for field in fields {
        let name = field.split(' ').next().unwrap().to_owned();
        let text = whole.replacen(field, &format!("{name} = \"\""), 1);
        let refused = run(folder.path(), &["serve"], &with(&text, None));
        assert!(
            !refused.status.success() && said(&refused).contains(&format!("`{name}` is blank")),
            "{}",
            said(&refused)
        );
        blanks += 1;
    }
    for (place, key) in ["operator", "address", "contact", "hosted_by"].into_iter().enumerate() {
        let settings = with(&whole, Some((place, &format!("privacy.{key}="))));
        let refused = run(folder.path(), &["serve"], &settings);
        assert!(
            !refused.status.success() && said(&refused).contains(&format!("privacy.{key}")),
            "{}",
            said(&refused)
        );
        blanks += 1;
    }
    let mut settings = with(&whole, None);
    settings.push("model.base_url=https://llm.example.net/v1".to_owned());
    let refused = run(folder.path(), &["serve"], &settings);
    assert!(!refused.status.success() && said(&refused).contains("llm.example.net"), "{}", said(&refused));

    let pages = shown_to_everybody().await;
    proof.kept(format!(
        "{blanks} blanks and a host off the register: no start; the register in {pages} languages and as JSON"
    ));
}

async fn shown_to_everybody() -> usize {
    let flow =
        Flow::with(Options { settings: vec!["privacy.hosted_by=Railway Corporation"], ..Options::default() })
            .await;
    let at = |path: &str| format!("http://{}{path}", flow.address);
    let json = within("the register", flow.http.get(at("/v1/privacy/subprocessors")).send()).await.unwrap();
    let json: Value = json.json().await.unwrap();
    let providers = json["providers"].as_array().unwrap();
    assert!(providers.iter().any(|provider| provider["name"] == "Railway Corporation"), "{json}");
    let languages = [("es", "Finalidad"), ("pt", "Finalidade"), ("en", "Purpose")];
    for (language, word) in languages {
        let page = flow.http.get(at(&format!("/privacy/subprocessors?lang={language}"))).send();
        let page = within("the page", page).await.unwrap();
        assert!(
            page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'")
        );
        let page = page.text().await.unwrap();
        assert!(page.contains(word) && page.contains(&format!("<html lang=\"{language}\">")), "{page}");
        for provider in providers {
            let name = provider["name"].as_str().unwrap();
            let purpose = provider["purpose"][language].as_str().unwrap().replace('\'', "&#39;");
            assert!(page.contains(name) && page.contains(&purpose), "{name}");
        }
    }
    flow.finish().await;
    languages.len()
}
