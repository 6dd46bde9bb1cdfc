//! The import table of ARCHITECTURE.md, held against what cargo says.
#![expect(clippy::unwrap_used, reason = "a test that fails has to say so")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

const OURS: &str = "iassistance-";

/// Who may import whom.
const IMPORTS: [(&str, &[&str]); 15] = [
    ("mapping", &[]),
    ("domain", &["mapping"]),
    ("config", &[]),
    ("vault", &["domain", "config"]),
    ("egress", &["domain", "config"]),
    ("identity", &["domain", "config", "vault", "egress"]),
    ("hooks", &["domain", "egress"]),
    ("channels", &["domain", "config", "egress"]),
    ("assistant", &["domain", "config", "egress"]),
    ("storage", &["domain", "config", "vault", "egress"]),
    ("actors", &["domain", "config", "hooks", "storage", "channels", "assistant"]),
    ("simulator", &["domain", "config", "channels"]),
    ("dashboard", &[]),
    (
        "root",
        &[
            "domain",
            "config",
            "vault",
            "egress",
            "identity",
            "hooks",
            "channels",
            "assistant",
            "storage",
            "actors",
            "simulator",
            "dashboard",
        ],
    ),
    ("fuzz", &[]),
];

/// Which rooms alone may name which library.
const ALONE: [(&str, &[&str]); 38] = [
    ("chacha20poly1305", &["vault"]),
    ("aws-lc-rs", &["vault"]),
    ("hmac", &["vault", "channels", "hooks"]),
    ("sha2", &["vault", "storage", "channels", "assistant", "identity", "hooks", "simulator", "root"]),
    ("syn", &["mapping"]),
    ("age", &["storage"]),
    ("reqwest", &["egress", "channels", "assistant", "identity", "hooks"]),
    ("async-openai", &["assistant"]),
    ("tiktoken-rs", &["assistant"]),
    ("jsonschema", &["assistant"]),
    ("lopdf", &["assistant"]),
    ("html5gum", &["assistant"]),
    ("text-splitter", &["assistant"]),
    ("bm25", &["assistant"]),
    ("rust-stemmers", &["assistant"]),
    ("jiff", &["domain"]),
    ("sled", &["storage"]),
    ("object_store", &["storage"]),
    ("actix-rt", &["actors"]),
    ("dashmap", &["actors"]),
    ("governor", &["actors", "identity"]),
    ("rustls", &["root"]),
    ("tokio-rustls", &["root"]),
    ("argon2", &["identity"]),
    ("totp-rs", &["identity"]),
    ("webauthn-rs", &["identity"]),
    ("jsonwebtoken", &["identity"]),
    ("lettre", &["identity"]),
    ("zxcvbn", &["identity"]),
    ("woothee", &["identity"]),
    ("actix", &["actors", "root"]),
    ("actix-http", &["root"]),
    ("actix-service", &["root"]),
    ("actix-web", &["root"]),
    ("actix-web-actors", &["root"]),
    ("clap", &["root"]),
    ("utoipa", &["domain", "root"]),
    ("hyper", &["simulator"]),
];

fn room(package: &Package) -> &str {
    package.name.strip_prefix(OURS).unwrap_or("root")
}

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    assert!(metadata.packages.len() >= 10, "the workspace has its rooms");
    metadata.packages
}

#[test]
fn arrows_only_point_down() {
    let allowed: BTreeMap<_, _> = IMPORTS.into_iter().collect();
    for package in packages() {
        let allowed =
            allowed.get(room(&package)).unwrap_or_else(|| panic!("{} is no room of the table", package.name));
        for dependency in &package.dependencies {
            let Some(imported) = dependency.name.strip_prefix(OURS) else { continue };
            // A room's own tests may use another room's fakes; what is shipped may not.
            if dependency.kind == DependencyKind::Normal {
                assert!(allowed.contains(&imported), "{} must not import {imported}", room(&package));
            }
        }
    }
}

#[test]
fn each_library_is_named_only_where_it_belongs() {
    let alone: BTreeMap<_, _> = ALONE.into_iter().collect();
    let mut named = BTreeSet::new();
    for package in packages() {
        for dependency in
            package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal)
        {
            if let Some(rooms) = alone.get(dependency.name.as_str()) {
                assert!(
                    rooms.contains(&room(&package)),
                    "{} must not name {}",
                    room(&package),
                    dependency.name
                );
                named.insert(dependency.name.clone());
            }
        }
    }
    let expected: BTreeSet<_> = alone.keys().map(ToString::to_string).collect();
    assert_eq!(named, expected, "a rule about a library that nobody names checks nothing");
}

#[test]
fn versions_are_pinned_once() {
    for package in packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        for line in manifest.lines().skip_while(|line| !line.starts_with("[dependencies]")) {
            if line.starts_with("[profile") || line.starts_with("[[") {
                break;
            }
            let pinned_here = line.contains("version = \"") || line.contains("= \"");
            assert!(!pinned_here, "{}: `{line}` belongs into [workspace.dependencies]", package.name);
        }
    }
}

#[test]
fn the_websocket_crate_stays_in_one_file() {
    let mut files = vec![std::path::PathBuf::from("src")];
    let mut naming = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if std::fs::read_to_string(&path).is_ok_and(|text| text.contains("actix_web_actors")) {
            naming.push(path);
        }
    }
    assert_eq!(naming, [std::path::PathBuf::from("src/http/live.rs")]);
}

/// Where a connection out of the process may be made: the guarded client, and the one that hands mails over. Each
/// word is one by which a connection could be opened.
const WAYS_OUT: [(&str, Option<&str>); 7] = [
    ("reqwest::Client::builder", Some("egress/src/lib.rs")),
    ("reqwest::Client::new", None),
    ("TcpStream::connect", None),
    ("TcpSocket::", None),
    ("UdpSocket::", None),
    ("SmtpTransport", Some("identity/src/mail/post.rs")),
    ("lookup_host", Some("egress/src/guard.rs")),
];

/// What is shipped, room by room; the simulator is a stand-in for the others.
const SHIPPED: [&str; 11] = [
    "domain/src",
    "config/src",
    "vault/src",
    "egress/src",
    "channels/src",
    "assistant/src",
    "identity/src",
    "hooks/src",
    "storage/src",
    "actors/src",
    "src",
];

#[test]
fn what_leaves_the_process_leaves_by_one_room() {
    let mut files: Vec<_> = SHIPPED.iter().map(std::path::PathBuf::from).collect();
    let (mut looked_at, mut found) = (0, BTreeSet::new());
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.to_string_lossy().into_owned();
        let is_test = name.contains("/tests/") || name.ends_with("tests.rs") || name.contains("_tests/");
        if is_test || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        // Tests stand at the end of their file.
        let text = std::fs::read_to_string(&path).unwrap();
        let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        looked_at += 1;
        for (word, place) in WAYS_OUT {
            if shipped.contains(word) {
                assert!(
                    place == Some(name.as_str()),
                    "{name} opens a way out by `{word}`: ask `egress` for a client"
                );
                found.insert((word, name.clone()));
            }
        }
    }
    assert!(looked_at > 300, "{looked_at} files");
    let listed = WAYS_OUT.iter().filter_map(|(word, place)| Some((*word, (*place)?.to_owned())));
    assert_eq!(found, listed.collect(), "a way out that is listed and not there");
}
