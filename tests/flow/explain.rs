//! The command that says what a webhook means.

use std::process::Command;

use serde_json::Value;

use crate::products::fixtures;

#[test]
fn every_sample_is_explained_as_json_and_none_is_refused() {
    for product in ["whatsapp", "messenger", "instagram"] {
        let names: Vec<String> = fixtures(product)
            .into_iter()
            .map(|(name, _)| format!("{}/{name}.json", crate::products::FIXTURES))
            .collect();
        let output = Command::new(env!("CARGO_BIN_EXE_iassistance"))
            .args(["webhook", "explain"])
            .args(&names)
            .output()
            .unwrap();
        assert!(output.status.success(), "{product}: {}", String::from_utf8_lossy(&output.stderr));
        let explained: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(explained.len(), names.len(), "{product}");
        for (one, name) in explained.iter().zip(&names) {
            assert_eq!(one["file"], **name);
            let events = one["events"].as_array().unwrap();
            assert!(events.iter().all(|event| event["kind"]["type"].is_string()), "{one}");
            assert!(!events.is_empty() || name.contains("entry_empty"), "{name} says nothing");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let output = Command::new(env!("CARGO_BIN_EXE_iassistance"))
        .args(["webhook", "explain", "/no/such/file.json"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/file.json"));
}
