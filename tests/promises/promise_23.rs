//! Time: what is due when is what an independent calendar says, and who is responsible hears of it before.

use std::io::Write;
use std::process::{Command, Stdio};

use iassistance::rights::{Act, Registrar, law};
use iassistance_domain::audit::Actor;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::privacy::rights::{CaseState, Opened, RightKind};
use iassistance_domain::{Clock, Entropy, SeededEntropy, Timestamp};

use crate::book::Proof;
use crate::folder::{Place, close, keeper};
use crate::people::{of, tenant_of, tenants, writes};
use crate::size;

const BY: Actor = Actor::CommandLine;
/// Moments are of these years.
const FROM: &str = "2024-01-01T00:00:00Z";
const UNTIL: &str = "2045-01-01T00:00:00Z";

/// What the reference says of each: by Ley 25.326 and by the GDPR.
fn reference(asked: &[(i64, &str)]) -> Vec<(i64, i64)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/promises/deadlines.py");
    let started = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut python = started.expect("python3 is needed for the reference: install it");
    let lines: Vec<_> = asked.iter().map(|(at, kind)| format!("{at} {kind}\n")).collect();
    let mut input = python.stdin.take().unwrap();
    // It reads all before it writes anything.
    input.write_all(lines.concat().as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the reference failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let read = |line: &str| {
        let (argentina, europe) = line.split_once(' ').unwrap();
        (argentina.parse().unwrap(), europe.parse().unwrap())
    };
    text.lines().map(read).collect()
}

fn compared(dates: usize) -> usize {
    let settings = Place::new().settings().rights;
    let (law, entropy) = (law(&settings).unwrap(), SeededEntropy::new(23));
    let at = |text: &str| Timestamp::from_rfc3339(text).unwrap().as_millis();
    let span = (at(UNTIL) - at(FROM)).cast_unsigned();
    let kinds = ["access", "other", "tell"];
    let asked: Vec<_> = (0..dates)
        .map(|number| (at(FROM) + entropy.up_to(span).cast_signed(), kinds[number % kinds.len()]))
        .collect();
    let expected = reference(&asked);
    assert_eq!(expected.len(), asked.len());
    let (ar, gdpr) = ([String::from("AR")], [String::from("GDPR")]);
    for ((millis, kind), (argentina, europe)) in asked.iter().zip(&expected) {
        let from = Timestamp::from_millis(*millis);
        let due = |profiles: &[String]| match *kind {
            "access" => law.due(profiles, RightKind::Access, from).at,
            "other" => law.due(profiles, RightKind::Delete, from).at,
            _ => law.tell_due(profiles, from).at,
        };
        let said = format!("{kind} of {}", from.to_rfc3339());
        assert_eq!(due(&ar), Timestamp::from_millis(*argentina), "{said} by Ley 25.326");
        assert_eq!(due(&gdpr), Timestamp::from_millis(*europe), "{said} by the GDPR");
        assert_eq!(due(&settings.law).as_millis(), *argentina.min(europe), "{said}: the stricter one counts");
    }
    asked.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_23() {
    let proof = Proof::of(23);
    let dates = compared(size("IASSISTANCE_DATES", 20_000));

    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 1).await;
    let (tenant, somebody) = (tenant_of(1), writes(&vaulted, 1, 1).await);
    let registrar = Registrar::new(&vaulted, &keeper(&vaulted), None, None).unwrap();
    let open =
        async |kind| registrar.open(tenant, somebody.contact, kind, Opened::Staff { by: BY }).await.unwrap();
    let (access, delete) = (open(RightKind::Access).await, open(RightKind::Delete).await);
    assert!(access.due_at > delete.due_at, "10 days, and 5 business days");
    let store = of(&vaulted, 1).await;
    let told = async || {
        let events = store.events(EventSeq::default(), usize::MAX).await.unwrap();
        let due = events.into_iter().filter_map(|event| match event.kind {
            EventKind::RightsDue { case, percent, .. } => Some((case, percent)),
            _ => None,
        });
        due.collect::<Vec<_>>()
    };
    let mut rounds = 0;
    // Every hour, until all is over: also the hours after a restart.
    while place.clock.now() <= access.due_at.plus_millis(3_600_000) {
        registrar.round().await;
        rounds += 1;
        place.clock.advance_millis(3_600_000);
        if rounds == 100 {
            let again = Registrar::new(&vaulted, &keeper(&vaulted), None, None).unwrap();
            again.remember().await;
            again.round().await;
        }
    }
    let told = told().await;
    for case in [access.id, delete.id] {
        let of_case: Vec<_> =
            told.iter().filter(|(of, _)| *of == case).map(|(_, percent)| *percent).collect();
        assert_eq!(of_case, [50, 80, 100], "each once, in order");
    }
    // What is answered in time is not told of.
    let rectify = open(RightKind::Rectify).await;
    registrar.act(tenant, rectify.id, Act::Withdraw, BY).await.unwrap();
    place.clock.advance_millis(400 * 24 * 3_600_000);
    registrar.round().await;
    let lapsed = registrar.case(tenant, access.id).await.unwrap();
    assert!(matches!(lapsed.state, CaseState::Lapsed { .. }), "what nobody proves does not stay for ever");
    close(vaulted).await;
    proof
        .kept(format!("{dates} moments equal to the reference; alerts of 2 cases in {rounds} hourly rounds"));
}
