//! Messages are used for service delivery alone: personal data opens for a purpose that is a type, the list of
//! purposes is closed (the examples of `domain/src/pii.rs` that must not compile), and the one that is not about
//! messages is named nowhere near them.

use std::path::{Path, PathBuf};

use crate::book::Proof;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn promise_05() {
    let proof = Proof::of(5);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pii = std::fs::read_to_string(root.join("domain/src/pii.rs")).unwrap();
    let listed = pii.split_once("purposes! {").unwrap().1;
    let purposes: Vec<_> = listed
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'))
        .filter(|line| line.chars().all(char::is_alphanumeric))
        .collect();
    assert_eq!(purposes, ["Deliver", "Reply", "TenantView", "SignIn", "Rights"], "the list is closed");
    assert!(pii.contains("struct Advertising;") && pii.contains("compile_fail"));
    // Rooms in which messages are handled: nothing there is read for signing in.
    let mut looked = 0;
    for room in
        ["channels/src", "assistant/src", "actors/src", "hooks/src", "storage/src/memory", "storage/src/sled"]
    {
        let mut found = Vec::new();
        sources(&root.join(room), &mut found);
        for path in found {
            let people = ["people.rs", "invitations.rs", "sessions.rs", "access.rs"]
                .iter()
                .any(|of| path.ends_with(of));
            let text = std::fs::read_to_string(&path).unwrap();
            let signs_in = text.contains("pii::SignIn") || text.contains("(SignIn)");
            assert!(people || !signs_in, "{} reads what is not its own", path.display());
            looked += 1;
        }
    }
    assert!(looked > 100, "{looked}");
    proof.kept(format!(
        "{} purposes, closed; {looked} files that handle messages name no other",
        purposes.len()
    ));
}
