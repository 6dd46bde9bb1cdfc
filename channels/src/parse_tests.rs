use std::collections::BTreeMap;
use std::fs;

use bytes::Bytes;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::message::Content;
use iassistance_domain::pii::TenantView;
use proptest::prelude::*;

use super::*;
use crate::signature::{sign, verify};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_100);
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/whatsapp");
const EXPECTED: &str = include_str!("parse_expected.txt");

fn read(body: impl Into<Bytes>) -> Vec<Parsed> {
    let body = body.into();
    let header = sign(b"secret", &body);
    let verified = verify(&[StoredSecret::new("secret")], Some(header.as_bytes()), body);
    parse(verified.ok().unwrap(), NOW)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{FIXTURES}/{name}.json")).unwrap()
}

fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(FIXTURES).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}

fn whom(contact: Option<&ContactIdentity>) -> String {
    let parts: Vec<String> = contact
        .into_iter()
        .flat_map(ContactIdentity::parts)
        .map(|(name, id)| format!("{name}={}", id.reveal(TenantView)))
        .collect();
    if parts.is_empty() { "nobody".to_owned() } else { parts.join(",") }
}

/// One event in one line: where it belongs, its dedup key (hashes cut short), when, and what.
fn line(parsed: &Parsed) -> String {
    let address = parsed.address.as_ref().map_or("-", |address| &address.external_id);
    let mut dedup = parsed.event.dedup.reveal(TenantView).clone();
    assert!(!dedup.is_empty());
    if dedup.starts_with("k:") {
        assert_eq!(dedup.rsplit(':').next().unwrap().len(), 64);
        dedup.truncate(dedup.rfind(':').unwrap());
    }
    if dedup.len() > 80 {
        dedup = format!("{}...({})", &dedup[..20], dedup.len());
    }
    let at = match parsed.event.occurred_at {
        NOW => "now".to_owned(),
        at => at.as_millis().to_string(),
    };
    let what = match &parsed.event.kind {
        InboundKind::MessageReceived { provider_id, from, profile_name, content: Content::Text { body } } => {
            assert!(dedup.starts_with("m:") && !provider_id.reveal(TenantView).is_empty());
            let name = profile_name.as_ref().map_or("-", |name| name.reveal(TenantView));
            format!("text {:?} by {} named {name}", body.reveal(TenantView), whom(Some(from)))
        }
        InboundKind::StatusChanged { provider_id, message, recipient, delivery } => {
            assert!(dedup.starts_with(&format!("s:{}:", provider_id.reveal(TenantView))));
            let problem =
                delivery.problem.as_ref().map_or(String::new(), |problem| format!(" {}", problem.code));
            let message = message.map_or(String::new(), |message| format!(" of {message}"));
            format!("{:?}{problem}{message} for {}", delivery.status, whom(recipient.as_ref()))
        }
        InboundKind::Kept { kind, contact, raw } => {
            assert!(!raw.reveal(TenantView).is_empty());
            format!("kept {kind} of {}", whom(contact.as_ref()))
        }
        _ => "unexpected".to_owned(),
    };
    format!("{address} {dedup} {at} {what}")
}

fn lines(body: Vec<u8>) -> Vec<String> {
    read(body).iter().map(line).collect()
}

#[test]
fn every_fixture_says_what_is_expected_of_it() {
    let mut said = Vec::new();
    for (name, body) in fixtures() {
        said.push(name);
        said.extend(lines(body).into_iter().map(|line| format!("    {line}")));
    }
    let expected: Vec<&str> = EXPECTED.lines().collect();
    for (said, expected) in said.iter().zip(&expected) {
        assert_eq!(said, expected);
    }
    assert_eq!(said.len(), expected.len());
}

/// A change of `messages` for the number 2, with this inside.
fn change(inside: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":"2"}},{inside}}}}}]}}]}}"#
    )
}

fn message(id: &str) -> String {
    format!(r#"{{"id":"{id}","from":"3","timestamp":"1790000000","type":"text","text":{{"body":"hi"}}}}"#)
}

const HI: &str = r#"1790000000000 text "hi" by wa_id=3 named -"#;

#[test]
fn an_odd_element_costs_itself_alone() {
    for odd in [
        "null",
        "7",
        "1e999",
        "\"x\"",
        "[]",
        "{}",
        r#""\ud83d""#,
        r#"{"id":{},"type":[]}"#,
        r#"{"\ud83d":1}"#,
        r#"{"id":null,"id":"","type":"\ud83d"}"#,
        r#"{"id":"\ud83d","from":"3"}"#,
        r#"{"id":" ","text":1e999}"#,
        &format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)),
        &format!(r#"{{"text":{}1{}}}"#, r#"{"a":"#.repeat(5_000), "}".repeat(5_000)),
    ] {
        let body = change(&format!(r#""messages":[{},{odd},{}]"#, message("m1"), message("m2")));
        let said = lines(body.into_bytes());
        assert_eq!(said.len(), 3, "{odd:.40}");
        assert_eq!(said[0], format!("2 m:m1 {HI}"));
        assert!(said[1].contains("kept message.unreadable"), "{odd:.40}: {}", said[1]);
        assert_eq!(said[2], format!("2 m:m2 {HI}"));
    }
    for odd in ["null", "7", "[]", r#"{"changes":7}"#, "{}", r#"{"changes":[7,"x",{"value":7},[{}]]}"#] {
        let good = change(&format!(r#""messages":[{}]"#, message("m1")));
        let body = good.replacen(r#""entry":["#, &format!(r#""entry":[{odd},"#), 1);
        let said = lines(body.into_bytes());
        assert!(said.len() >= 2, "{odd}");
        assert_eq!(said.last().unwrap(), &format!("2 m:m1 {HI}"));
    }
}

#[test]
fn odd_surroundings_cost_no_message() {
    for odd in [
        r#""contacts":null"#,
        r#""contacts":"x""#,
        r#""contacts":[7,null,{"wa_id":{}},{"wa_id":""},{"profile":"x","wa_id":"9"}]"#,
        r#""contacts":[{"wa_id":"3","profile":{"name":"\ud83d"}}]"#,
        r#""statuses":7"#,
        r#""zzz":{"\ud83d":[1]}"#,
        r#""metadata":{"phone_number_id":2}"#,
        r#""messages":7"#,
    ] {
        let said = lines(change(&format!(r#"{odd},"messages":[{}]"#, message("m1"))).into_bytes());
        assert_eq!(said, [format!("2 m:m1 {HI}")], "{odd}");
    }
}

#[test]
fn ids_are_taken_as_they_are_written() {
    let body = change(
        r#""contacts":[{"wa_id":3,"user_id":"US.1","profile":{"name":"Ada"}}],
           "messages":[{"id":100000000000000020000,"from":3,"timestamp":1790000000,"type":"text","text":{"body":"hi"}}]"#,
    );
    let said = r#"2 m:100000000000000020000 1790000000000 text "hi" by wa_id=3,user_id=US.1 named Ada"#;
    assert_eq!(lines(body.into_bytes()), [said]);
    let escaped = change(
        r#""mess\u0061ges":[{"id":"m\u0031","fr\u006fm":"","from_user_id":"U","type":"te\u0078t","text":{"body":"\ud83d\ude00"}}]"#,
    );
    assert_eq!(lines(escaped.into_bytes()), [r#"2 m:m1 now text "😀" by user_id=U named -"#]);
}

#[test]
fn groups_and_strange_types_are_kept_under_a_plain_name() {
    let body = change(
        r#""messages":[
            {"id":"a","from":"3","group_id":"G","type":"text","text":{"body":"hi"}},
            {"id":"b","from":"3","type":"New Kind/é","text":{"body":"hi"}},
            {"id":"c","from":"3","type":"text","text":{"body":null}}]"#,
    );
    let said: Vec<String> = lines(body.into_bytes());
    assert_eq!(
        said,
        [
            "2 m:a now kept message.group of wa_id=3",
            "2 m:b now kept message.new_kind__ of wa_id=3",
            "2 m:c now kept message.text.unreadable of wa_id=3",
        ]
    );
    let long = change(&format!(r#""messages":[{{"id":"d","from":"3","type":"{}"}}]"#, "x".repeat(1_000)));
    assert!(matches!(&read(long)[0].event.kind, InboundKind::Kept { kind, .. } if kind.len() == KIND_MAX));
}

#[test]
fn a_status_brings_our_own_id_back_if_it_is_one() {
    let ours = "msg_0199a1b2c3d4e5f60718293a4b5c6d7e";
    let body = |data: &str| {
        change(&format!(
            r#""statuses":[{{"id":"w","status":"sent","timestamp":1790000000,"biz_opaque_callback_data":{data}}}]"#
        ))
    };
    assert_eq!(
        lines(body(&format!("\"{ours}\"")).into_bytes()),
        [format!("2 s:w:sent: 1790000000000 Sent of {ours} for nobody")]
    );
    for foreign in ["\"t1:42\"", "null", "{}", "7", "\"\""] {
        assert_eq!(lines(body(foreign).into_bytes()), ["2 s:w:sent: 1790000000000 Sent for nobody"]);
    }
}

#[test]
fn the_problem_of_a_failed_message_is_in_our_words() {
    let parsed = read(fixture("own_status_failed_after_sent"));
    let InboundKind::StatusChanged { delivery, .. } = &parsed[0].event.kind else { panic!("not a status") };
    let title = &delivery.problem.as_ref().unwrap().title;
    assert!(title.starts_with("the contact cannot be reached"), "{title}");
}

#[test]
fn other_products_are_kept_element_by_element() {
    let body = r#"{"object":"page","entry":[{"id":"9","messaging":[{"a":1},{"b":2}],"standby":[{"c":3}]},{"id":"8"},7]}"#;
    let said = lines(body.as_bytes().to_vec());
    assert_eq!(
        said,
        [
            "- k:page.messaging now kept page.messaging of nobody",
            "- k:page.messaging now kept page.messaging of nobody",
            "- k:page.standby now kept page.standby of nobody",
            "- k:page.entry now kept page.entry of nobody",
            "- k:page.entry now kept page.entry of nobody",
        ]
    );
    assert!(read(&br#"{"object":"page","entry":[]}"#[..]).is_empty());
}

/// The quick way and the careful way say the same, or the quick way says nothing.
fn both_ways_agree(body: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(body) else { return true };
    let reading = || Reading { now: NOW, events: Vec::new(), overflowed: false };
    let (mut quick, mut careful) = (reading(), reading());
    if !crate::whatsapp::parse::regular(&mut quick, text) {
        return quick.events.is_empty();
    }
    envelope(&mut careful, text);
    let (quick, careful) = (quick.finish(text), careful.finish(text));
    quick.len() == careful.len()
        && quick.iter().zip(&careful).all(|(a, b)| a.event == b.event && a.address == b.address)
}

#[test]
fn the_quick_way_is_taken_and_agrees_with_the_careful_one() {
    let mut reading = Reading { now: NOW, events: Vec::new(), overflowed: false };
    let ordinary = String::from_utf8(fixture("own_two_contacts_two_messages")).unwrap();
    assert!(crate::whatsapp::parse::regular(&mut reading, &ordinary));
    assert_eq!(reading.events.len(), 2);
    for (name, body) in fixtures() {
        assert!(both_ways_agree(&body), "{name}");
    }
}

#[test]
fn the_same_bytes_are_the_same_event_again() {
    for (name, body) in fixtures() {
        let (first, again) = (read(body.clone()), read(body));
        assert!(
            first.iter().zip(&again).all(|(a, b)| a.event == b.event && a.address == b.address),
            "{name}"
        );
    }
}

#[test]
fn what_is_not_utf8_costs_only_its_own_text() {
    let mut body = change(&format!(r#""messages":[{},{}]"#, message("m1"), message("m2"))).into_bytes();
    let at = body.windows(2).position(|two| two == b"hi").unwrap();
    body[at] = 0xff;
    let said = lines(body);
    assert_eq!(said[0], "2 m:m1 1790000000000 text \"\u{fffd}i\" by wa_id=3 named -");
    assert_eq!(said[1], format!("2 m:m2 {HI}"));
}

#[test]
fn more_events_than_there_is_room_for_are_kept_whole() {
    let many = vec!["0"; EVENTS_MAX + 1].join(",");
    let body = change(&format!(r#""messages":[{many}]"#));
    let parsed = read(body.clone());
    assert_eq!(parsed.len(), EVENTS_MAX);
    let InboundKind::Kept { kind, raw, .. } = &parsed.last().unwrap().event.kind else { panic!("not kept") };
    assert!(kind == "overflow" && *raw.reveal(TenantView) == body);
    let fit = vec!["0"; EVENTS_MAX].join(",");
    let fit = read(change(&format!(r#""messages":[{fit}]"#)));
    assert!(
        fit.iter()
            .all(|parsed| matches!(&parsed.event.kind, InboundKind::Kept { kind, .. } if kind != "overflow"))
    );
}

#[test]
fn cut_off_anywhere_it_is_kept() {
    for (name, body) in fixtures() {
        let step = 1 + body.len() / 40;
        for end in (0..body.len()).step_by(step) {
            assert!(!read(body[..end].to_vec()).is_empty(), "{name} cut at {end}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(body).iter().all(|parsed| parsed.address.is_none()));
    }

    #[test]
    fn any_damage_is_taken(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bytes in "[\\[\\]{}\",:0-9a-z\\\\]{0,4}") {
        let all: Vec<Vec<u8>> = fixtures().into_values().collect();
        let mut body = which.get(&all).clone();
        let at = at.index(body.len());
        body.splice(at..=at, bytes.into_bytes());
        prop_assert!(both_ways_agree(&body));
        for parsed in read(body) {
            prop_assert!(parsed.event.occurred_at <= NOW);
            prop_assert!(parsed.address.is_none_or(|address| !address.external_id.is_empty()));
        }
    }
}
