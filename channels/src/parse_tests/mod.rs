use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use bytes::Bytes;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::pii::TenantView;
use proptest::prelude::*;

use super::*;
use crate::signature::{sign, verify};
use line::line;

mod line;
mod page;
mod whatsapp;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_100);
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
const EXPECTED: &str = include_str!("expected.txt");

fn read(body: impl Into<Bytes>) -> Vec<Parsed> {
    let body = body.into();
    let header = sign(b"secret", &body);
    let verified = verify(&[StoredSecret::new("secret")], Some(header.as_bytes()), body);
    parse(verified.ok().unwrap(), NOW)
}

/// Meta's sample payloads, by product and name.
fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let products = ["whatsapp", "messenger", "instagram"];
    let files = products.iter().flat_map(|product| fs::read_dir(format!("{FIXTURES}/{product}")).unwrap());
    files
        .map(|file| {
            let path = file.unwrap().path();
            let product = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
            let name = format!("{product}/{}", path.file_stem().unwrap().to_str().unwrap());
            (name, fs::read(path).unwrap())
        })
        .collect()
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

const HI: &str = r#"1790000000000 message_received: text "hi" by wa_id=3 Live"#;

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
        assert_eq!(said[0], format!("whatsapp/2 m:m1 {HI}"));
        assert!(said[1].contains("kept: message.unreadable"), "{odd:.40}: {}", said[1]);
        assert_eq!(said[2], format!("whatsapp/2 m:m2 {HI}"));
    }
    for odd in ["null", "7", "[]", r#"{"changes":7}"#, "{}", r#"{"changes":[7,"x",{"value":7},[{}]]}"#] {
        let good = change(&format!(r#""messages":[{}]"#, message("m1")));
        let body = good.replacen(r#""entry":["#, &format!(r#""entry":[{odd},"#), 1);
        let said = lines(body.into_bytes());
        assert!(said.len() >= 2, "{odd}");
        assert_eq!(said.last().unwrap(), &format!("whatsapp/2 m:m1 {HI}"));
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
        assert_eq!(said, [format!("whatsapp/2 m:m1 {HI}")], "{odd}");
    }
}

#[test]
fn ids_are_taken_as_they_are_written() {
    let body = change(
        r#""contacts":[{"wa_id":3,"user_id":"US.1","profile":{"name":"Ada"}}],
           "messages":[{"id":100000000000000020000,"from":3,"timestamp":1790000000,"type":"text","text":{"body":"hi"}}]"#,
    );
    let said = r#"whatsapp/2 m:100000000000000020000 1790000000000 message_received: text "hi" by wa_id=3,user_id=US.1 named="Ada" Live"#;
    assert_eq!(lines(body.into_bytes()), [said]);
    let escaped = change(
        r#""mess\u0061ges":[{"id":"m\u0031","fr\u006fm":"","from_user_id":"U","type":"te\u0078t","text":{"body":"\ud83d\ude00"}}]"#,
    );
    assert_eq!(
        lines(escaped.into_bytes()),
        [r#"whatsapp/2 m:m1 now message_received: text "😀" by user_id=U Live"#]
    );
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
            "whatsapp/2 m:a now kept: message.group of wa_id=3",
            "whatsapp/2 m:b now kept: message.new_kind__ of wa_id=3",
            "whatsapp/2 m:c now kept: message.text.unreadable of wa_id=3",
        ]
    );
    let long = change(&format!(r#""messages":[{{"id":"d","from":"3","type":"{}"}}]"#, "x".repeat(1_000)));
    assert!(matches!(&read(long)[0].event.kind, InboundKind::Kept { kind, .. } if kind.len() == KIND_MAX));
}

#[test]
fn envelopes_may_come_in_a_list_and_products_may_be_new() {
    let good = change(&format!(r#""messages":[{}]"#, message("m1")));
    let said =
        lines(format!(r#" [{good},7,{{"object":"threads","entry":[{{"id":"5"}}]}},{good}]"#).into_bytes());
    let good = format!("whatsapp/2 m:m1 {HI}");
    let unreadable = "- k:unreadable now kept: unreadable of nobody";
    assert_eq!(said, [&*good, unreadable, "- k:threads.entry now kept: threads.entry of nobody", &*good]);
    assert!(read(&br#"{"object":"page","entry":[]}"#[..]).is_empty());
}

#[test]
fn what_the_parts_of_an_envelope_say_does_not_depend_on_their_order() {
    let said = lines(
        br#"{"entry":[{"changes":[{"value":{"messages":[{"text":{"body":"hi"},"type":"text","timestamp":1790000000,
           "from":"3","id":"m1"}],"metadata":{"phone_number_id":"2"}},"field":"messages"}],"id":"1"}],
           "object":"whatsapp_business_account"}"#
            .to_vec(),
    );
    assert_eq!(said, [format!("whatsapp/2 m:m1 {HI}")]);
}

#[test]
fn the_same_bytes_are_the_same_event_again() {
    for (name, body) in fixtures() {
        let (first, again) = (read(body.clone()), read(body));
        assert!(
            first.len() == again.len()
                && first.iter().zip(&again).all(|(a, b)| a.event == b.event && a.address == b.address),
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
    assert_eq!(said[0], "whatsapp/2 m:m1 1790000000000 message_received: text \"\u{fffd}i\" by wa_id=3 Live");
    assert_eq!(said[1], format!("whatsapp/2 m:m2 {HI}"));
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
        if read(body.clone()).is_empty() {
            continue;
        }
        let step = 1 + body.len() / 40;
        for end in (0..body.len()).step_by(step) {
            assert!(!read(body[..end].to_vec()).is_empty(), "{name} cut at {end}");
        }
    }
}

static ALL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| fixtures().into_values().collect());

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(body).iter().all(|parsed| parsed.address.is_none()));
    }

    #[test]
    fn any_damage_is_taken(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bytes in "[\\[\\]{}\",:0-9a-z\\\\]{0,4}") {
        let mut body = which.get(&ALL).clone();
        let at = at.index(body.len());
        body.splice(at..=at, bytes.into_bytes());
        let (first, again) = (read(body.clone()), read(body));
        prop_assert!(first.iter().map(|parsed| &parsed.event.dedup).eq(again.iter().map(|parsed| &parsed.event.dedup)));
        for parsed in first {
            prop_assert!(parsed.event.occurred_at <= NOW);
            prop_assert!(parsed.address.is_none_or(|address| !address.external_id.is_empty()));
        }
    }
}
