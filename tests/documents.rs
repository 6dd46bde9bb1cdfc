//! What the documents say about the code, held against the code.
#![expect(clippy::panic, reason = "a test that fails has to say so")]

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of every table row of a document, without backticks.
fn rows(document: &str) -> Vec<Vec<String>> {
    let cell = |cell: &str| cell.trim().replace('`', "");
    let row = |line: &str| line.trim_matches('|').split('|').map(cell).collect();
    document.lines().filter(|line| line.starts_with('|')).map(row).collect()
}

/// Everything between backticks.
fn quoted(document: &str) -> impl Iterator<Item = &str> {
    document.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn the_readme_names_every_limit_with_its_default() {
    // Numbers that bound nothing.
    let no_limits = ["server.port", "server.workers", "actors.arbiters", "mail.smtp_port"];
    let settings: Table = read("config/default.toml").parse().unwrap();
    let mut limits = BTreeMap::new();
    for (section, keys) in &settings {
        for (key, value) in keys.as_table().unwrap() {
            let name = format!("{section}.{key}");
            if let Value::Integer(number) = value
                && !no_limits.contains(&name.as_str())
            {
                limits.insert(name, number.to_string());
            }
        }
    }
    let is_setting =
        |name: &str| name.split_once('.').is_some_and(|(section, _)| settings.contains_key(section));
    let said: BTreeMap<_, _> = rows(&read("README.md"))
        .into_iter()
        .filter(|row| row.len() == 3 && is_setting(&row[0]))
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    assert_eq!(said, limits);
}

#[test]
fn the_rooms_of_the_architecture_are_those_that_the_test_holds() {
    let test = read("tests/architecture.rs");
    // `("room", &["import", …])`, as the constants of that test are written.
    let entries = test.lines().filter_map(|line| {
        let (name, list) = line.trim().strip_prefix("(\"")?.split_once("\", &[")?;
        let list = list.split(']').next()?.replace(['"', ' '], "");
        Some((name.to_owned(), list))
    });
    let held: BTreeMap<String, String> = entries.collect();
    assert!(held.len() > 20, "the constants are written as this test reads them");
    let said: BTreeMap<String, String> = rows(&read("ARCHITECTURE.md"))
        .into_iter()
        .filter_map(|row| {
            let name = row[0].split(' ').next()?.to_owned();
            let list = row.last()?.replace(['–', ' '], "");
            held.contains_key(&name).then_some((name, list))
        })
        .collect();
    assert_eq!(said, held);
}

#[test]
fn what_the_documents_point_at_is_there() {
    let decisions = std::fs::read_dir("docs/adr").unwrap().map(|entry| entry.unwrap().path());
    let decisions: Vec<_> = decisions.map(|path| path.to_str().unwrap().to_owned()).collect();
    assert!(decisions.len() >= 7);
    let all = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"].map(str::to_owned);
    let mut checked = 0;
    for document in all.iter().chain(&decisions) {
        let text = read(document);
        let is_path = |word: &&str| {
            word.contains('/') && word.split('.').next_back().is_some_and(|end| ["rs", "toml"].contains(&end))
        };
        for path in quoted(&text).filter(is_path) {
            assert!(Path::new(path).exists(), "{document} names {path}, which is not there");
            checked += 1;
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.starts_with("https://") && !link.starts_with('#') {
                let beside = Path::new(document).parent().unwrap_or(Path::new("")).join(link);
                assert!(beside.exists(), "{document} links to {link}, which is not there");
                checked += 1;
            }
        }
    }
    assert!(checked > 40, "the documents point at the code");
    let architecture = read("ARCHITECTURE.md");
    for decision in decisions {
        assert!(read(&decision).contains("## Status"), "{decision} says where it stands");
        assert!(architecture.contains(&decision), "{decision} is named in ARCHITECTURE.md");
    }
}
