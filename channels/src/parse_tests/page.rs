//! What the samples of Messenger and Instagram do not show.

use super::*;

/// An entry of the page or account 9.
fn entry(object: &str, inside: &str) -> Vec<String> {
    lines(
        format!(r#"{{"object":"{object}","entry":[{{"id":"9","time":1790000000,{inside}}}]}}"#).into_bytes(),
    )
}

/// What the contact 3 does.
fn does(object: &str, inside: &str) -> Vec<String> {
    entry(
        object,
        &format!(
            r#""messaging":[{{"sender":{{"id":3}},"recipient":{{"id":"9"}},"timestamp":1790000000100,{inside}}}]"#
        ),
    )
}

/// What a message of the contact 3 says.
fn says(inside: &str) -> String {
    let said = does("page", &format!(r#""message":{{"mid":"m",{inside}}}"#));
    assert_eq!(said.len(), 1, "{said:?}");
    let said = said[0].strip_prefix("messenger/9 m:m 1790000000100 message_received: ").unwrap();
    said.strip_suffix(" by scoped_id=3 Live").unwrap().to_owned()
}

#[test]
fn attachments_become_what_they_are() {
    for (inside, said) in [
        (r#""attachments":[{"type":"image","payload":{"attachment_id":7}}]"#, r#"media [image id="7"]"#),
        (
            r#""attachments":[{"type":"audio","payload":{"url":"https://a"}},{"type":"share","url":"https://s"}],"text":"x""#,
            r#"media [audio url="https://a"] caption="x""#,
        ),
        (
            r#""attachments":[{"type":"image","payload":{"url":"https://s"}},{"type":"sticker","payload":{"url":"https://s"}}]"#,
            r#"media [sticker url="https://s"]"#,
        ),
        (
            r#""attachments":[{"type":"image","payload":{"url":"https://a"}},{"type":"image","payload":{"url":"https://a"}}]"#,
            r#"media [image url="https://a"; image url="https://a"]"#,
        ),
        (
            r#""attachments":[{"type":"story_mention","payload":{"url":"https://s"}}],"text":"look""#,
            r#"{"type":"shared","kind":"story_mention","url":"https://s","text":"look"}"#,
        ),
        (
            r#""attachments":[{"type":"appointment_booking","payload":{"title":"Cut"}}]"#,
            r#"{"type":"shared","kind":"appointment_booking","title":"Cut"}"#,
        ),
        (
            r#""attachments":[{"type":"location","title":"Home","payload":{"coordinates":{"lat":1.50,"long":"2"}}}]"#,
            r#"{"type":"location","latitude":"1.50","longitude":"2","name":"Home"}"#,
        ),
        (
            r#""attachments":[{"type":"location","payload":{"coordinates":{"lat":"x"}}}]"#,
            r#"{"type":"unsupported","what":"location"}"#,
        ),
        (r#""attachments":[{"type":"New Kind"}],"text":"x""#, r#"text "x""#),
        (r#""attachments":[{"type":"New Kind"}]"#, r#"{"type":"unsupported","what":"new_kind"}"#),
        (r#""attachments":[7,{}]"#, r#"{"type":"unsupported","what":"attachment"}"#),
        (r#""attachments":{"type":"image"}"#, r#"{"type":"unsupported","what":"attachment"}"#),
        (r#""attachments":null,"text":" ""#, r#"{"type":"empty"}"#),
        (r#""is_unsupported":"true""#, r#"{"type":"unsupported","what":"unsupported"}"#),
        (
            r#""quick_reply":{"payload":"RED"}"#,
            r#"{"type":"selection","of":"quick_reply","title":"RED","id":"RED"}"#,
        ),
        (r#""text":"x","reply_to":{"story":{"url":"https://s"}}"#, r#"text "x" story="https://s""#),
        (
            r#""text":"x","referral":{"ad_id":"5","ads_context_data":{"ad_title":"T","product_id":"p"}}"#,
            r#"text "x" came {"source":"ADS","source_id":"5","headline":"T","product":"p"}"#,
        ),
    ] {
        assert_eq!(says(inside), said, "{inside}");
    }
}

#[test]
fn what_comes_from_the_business_is_never_a_contacts() {
    let own = |object: &str, sender: &str, recipient: &str, inside: &str| {
        entry(
            object,
            &format!(r#""messaging":[{{"sender":{{"id":"{sender}"}},"recipient":{{"id":"{recipient}"}},"message":{{"mid":"m",{inside}}}}}]"#),
        )
        .join("|")
    };
    let ours = "msg_0199a1b2c3d4e5f60718293a4b5c6d7e";
    for (object, sender, recipient, inside, said) in [
        ("page", "9", "3", r#""text":"x""#, "echo_received: text \"x\" to scoped_id=3 through app - Live"),
        (
            "page",
            "9",
            "3",
            r#""is_echo":true,"app_id":5,"text":"x""#,
            "echo_received: text \"x\" to scoped_id=3 through app 5 Live",
        ),
        (
            "page",
            "9",
            "3",
            r#""is_echo":"true","app_id":"26390203743090","text":"x""#,
            "echo_received: text \"x\" to scoped_id=3 through Meta's inbox Live",
        ),
        (
            "instagram",
            "8",
            "3",
            r#""is_echo":true,"text":"x""#,
            "echo_received: text \"x\" to scoped_id=3 through the business Live",
        ),
        ("instagram", "9", "9", r#""text":"x""#, "kept: message.self of nobody"),
        (
            "instagram",
            "9",
            "3",
            r#""is_self":true,"text":"x""#,
            "echo_received: text \"x\" to scoped_id=3 through the business Live",
        ),
        ("page", "9", "3", r#""is_echo":true,"is_deleted":"true""#, "message_removed: m of scoped_id=3"),
    ] {
        let product = if object == "page" { "messenger" } else { "instagram" };
        let key = if said.starts_with("kept") {
            "k:message.self now"
        } else if said.starts_with("message_removed") {
            "d:m 1790000000000"
        } else {
            "m:m 1790000000000"
        };
        assert_eq!(own(object, sender, recipient, inside), format!("{product}/9 {key} {said}"), "{inside}");
    }
    let confirmed =
        own("page", "9", "3", &format!(r#""is_echo":true,"app_id":5,"metadata":"{ours}","text":"x""#));
    assert!(confirmed.ends_with(&format!("through app 5 ours={ours} Live")), "{confirmed}");
    let postback = r#""messaging":[{"sender":{"id":"9"},"recipient":{"id":"3"},"postback":{"title":"x"},"read":{"mid":"m"}}]"#;
    assert_eq!(
        entry("page", postback),
        [
            "messenger/9 k:postback.self now kept: postback.self of scoped_id=3",
            "messenger/9 k:read.self now kept: read.self of scoped_id=3",
        ]
    );
    let reaction = r#""messaging":[{"sender":{"id":"9"},"recipient":{"id":"3"},"reaction":{"mid":"m","action":"react","reaction":"love"}}]"#;
    assert_eq!(
        entry("instagram", reaction),
        [r#"instagram/9 x 1790000000000 reacted: m emoji="love" of scoped_id=3 by the business"#]
    );
}

#[test]
fn every_other_kind_is_read() {
    for (inside, said) in [
        (
            r#""message_edit":{"mid":"m","text":"new","num_edit":"2"}"#,
            r#"e:m:2 1790000000100 message_edited: m is text "new" of scoped_id=3"#,
        ),
        (
            r#""read":{"mid":"m","watermark":1790000000000}"#,
            "r 1790000000100 seen_up_to: Read up to m by scoped_id=3",
        ),
        (r#""reaction":{"mid":"m","emoji":"x"}"#, r#"x 1790000000100 reacted: m emoji="x" of scoped_id=3"#),
        (
            r#""referral":{"ref":"r","source":"ADS","ad_id":5}"#,
            r#"referral 1790000000100 contact_acted: referral came {"source":"ADS","source_id":"5","reference":"r"} by scoped_id=3 opens"#,
        ),
        (r#""optin":{"ref":"r"}"#, "optin 1790000000100 contact_acted: optin by scoped_id=3 opens raw"),
        (
            r#""optin":{"type":"notification_messages","payload":"p"}"#,
            "optin 1790000000100 contact_acted: optin.notification_messages by scoped_id=3 raw",
        ),
        (
            r#""response_feedback":{"feedback":"Good","mid":"m"}"#,
            "response_feedback 1790000000100 contact_acted: feedback by scoped_id=3 raw",
        ),
        (
            r#""game_play":{"game_id":1}"#,
            "game_play 1790000000100 contact_acted: game_play by scoped_id=3 raw",
        ),
        (
            r#""take_thread_control":{"previous_owner_app_id":null,"new_owner_app_id":null}"#,
            "take_thread_control 1790000000100 thread_control_changed: Taken of scoped_id=3",
        ),
        (r#""app_roles":{"1":["primary_receiver"]}"#, "k:app_roles now kept: app_roles of scoped_id=3"),
        (
            r#""policy_enforcement":{"action":"unblock"}"#,
            r#"n:policy 1790000000100 noticed: {"notice":"policy","action":"unblock","reason":null}"#,
        ),
        (
            r#""checkout_update":{}"#,
            "k:messenger.checkout_update now kept: messenger.checkout_update of scoped_id=3",
        ),
        (r#""zzz":null,"message":null"#, "k:messenger.zzz now kept: messenger.zzz of scoped_id=3"),
        (
            r#""message":{"text":"no mid"}"#,
            "k:message.unreadable now kept: message.unreadable of scoped_id=3",
        ),
        (
            r#""reaction":{"mid":"m","action":"react"}"#,
            "k:reaction.unreadable now kept: reaction.unreadable of scoped_id=3",
        ),
        (r#""read":{}"#, "k:read.unreadable now kept: read.unreadable of scoped_id=3"),
        (r#""postback":{"mid":"m"}"#, "k:postback.unreadable now kept: postback.unreadable of scoped_id=3"),
        (r#""delivery":[]"#, "k:delivery.unreadable now kept: delivery.unreadable of scoped_id=3"),
        (
            r#""pass_thread_control":"x""#,
            "k:pass_thread_control.unreadable now kept: pass_thread_control.unreadable of scoped_id=3",
        ),
        (r#""order":{"products":[]}"#, "k:order.unreadable now kept: order.unreadable of scoped_id=3"),
        (
            r#""policy_enforcement":{}"#,
            "k:policy_enforcement.unreadable now kept: policy_enforcement.unreadable of scoped_id=3",
        ),
    ] {
        assert_eq!(does("page", inside), [format!("messenger/9 {said}")], "{inside}");
    }
    assert_eq!(
        does("page", r#""delivery":{"mids":["a",null,"b"],"watermark":1790000000050},"zzz":1"#),
        [
            "messenger/9 s:a:delivered 1790000000100 status_changed: a Delivered for scoped_id=3",
            "messenger/9 s:b:delivered 1790000000100 status_changed: b Delivered for scoped_id=3",
            "messenger/9 d 1790000000100 seen_up_to: Delivered up to 1790000000050 by scoped_id=3",
        ]
    );
}

#[test]
fn an_odd_event_costs_itself_alone() {
    let good = r#"{"sender":{"id":"3"},"recipient":{"id":"9"},"message":{"mid":"m","text":"hi"}}"#;
    for odd in [
        "null",
        "7",
        "[]",
        "{}",
        r#"{"sender":7,"message":[]}"#,
        r#"{"\ud83d":1}"#,
        r#"{"message":{"mid":"\ud83d"}}"#,
    ] {
        let said =
            entry("instagram", &format!(r#""messaging":[{good},{odd},{good}],"standby":[{odd},{good}]"#));
        assert_eq!(said.len(), 5, "{odd}: {said:?}");
        let live = r#"instagram/9 m:m 1790000000000 message_received: text "hi" by scoped_id=3 Live"#;
        assert!(
            said[0] == live && said[2] == live && said[4] == live.replace("Live", "Standby"),
            "{odd}: {said:?}"
        );
        assert!(said[1].contains(" kept: ") && said[3].contains(" kept: "), "{odd}: {said:?}");
    }
}

#[test]
fn events_may_come_as_changes() {
    let event = r#"{"sender":{"id":"3"},"recipient":{"id":"9"},"timestamp":"1790000000","message":{"mid":"m","text":"hi"}}"#;
    let change = |field: &str, value: &str| {
        entry("instagram", &format!(r#""changes":[{{"field":"{field}","value":{value}}}]"#)).join("|")
    };
    let live = r#"instagram/9 m:m 1790000000000 message_received: text "hi" by scoped_id=3 Live"#;
    assert_eq!(change("messages", event), live);
    assert_eq!(change("standby", event), live.replace("Live", "Standby"));
    assert_eq!(
        change("message_edit", r#"{"message_edit":{"mid":"m","num_edit":0}}"#),
        "instagram/9 e:m:0 1790000000000 message_edited: m is ? of nobody"
    );
    for (field, value) in
        [("mentions", r#"{"media_id":"1","comment_id":"2"}"#), ("messages", "7"), ("story_insights", "{}")]
    {
        assert_eq!(
            change(field, value),
            format!("instagram/9 k:instagram.{field} now kept: instagram.{field} of nobody")
        );
    }
    assert_eq!(
        entry("page", r#""changes":[{"value":{}}]"#),
        ["messenger/9 k:messenger.change now kept: messenger.change of nobody"]
    );
}

#[test]
fn comments_are_messages_that_nobody_answers_by_itself() {
    let comment = |inside: &str| {
        entry("instagram", &format!(r#""field":"live_comments","value":{{"id":"c",{inside}}}"#))
    };
    let bare = comment(r#""from":{"id":"3","username":"ada"},"media":{"id":"p"},"text":"hi""#);
    assert_eq!(
        bare,
        [
            r#"instagram/9 m:comment:c 1790000000000 message_received: {"type":"comment","id":"c","text":"hi","post":"p"} by scoped_id=3 named="ada" Live"#
        ]
    );
    assert!(read(&br#"{"object":"instagram","entry":[{"id":"9","field":"comments","value":{"id":"c","from":{"id":"3"}}}]}"#[..])
        .iter()
        .all(|parsed| matches!(&parsed.event.kind, InboundKind::MessageReceived { content, .. } if !content.is_answerable())));
    assert_eq!(
        comment(r#""from":{"id":9},"text":"hi""#),
        ["instagram/9 k:comment.self now kept: comment.self of nobody"]
    );
    assert_eq!(
        comment(r#""text":"hi""#),
        ["instagram/9 k:comment.no_sender now kept: comment.no_sender of nobody"]
    );
    let feed = |inside: &str| {
        entry(
            "page",
            &format!(
                r#""changes":[{{"field":"feed","value":{{"comment_id":"c","from":{{"id":"3"}},{inside}}}}}]"#
            ),
        )
        .join("|")
    };
    assert_eq!(
        feed(r#""item":"comment","verb":"remove""#),
        "messenger/9 d:comment:c 1790000000000 message_removed: comment:c of scoped_id=3"
    );
    assert_eq!(
        feed(r#""item":"comment","verb":"edited","message":"new""#),
        r#"messenger/9 e 1790000000000 message_edited: comment:c is {"type":"comment","id":"c","text":"new","post":null} of scoped_id=3"#
    );
    assert_eq!(
        feed(r#""item":"comment","verb":"hide""#),
        "messenger/9 k:comment.hide now kept: comment.hide of scoped_id=3"
    );
    assert_eq!(
        feed(r#""item":"post","verb":"add""#),
        "messenger/9 k:messenger.feed now kept: messenger.feed of nobody"
    );
}

#[test]
fn a_postback_without_an_id_is_the_same_again_and_another_at_another_time() {
    let at = |time: u64| {
        let event = format!(
            r#"{{"sender":{{"id":"3"}},"recipient":{{"id":"9"}},"timestamp":{time},"postback":{{"title":"x"}}}}"#
        );
        read(format!(r#"{{"object":"page","entry":[{{"id":"9","messaging":[{event}]}}]}}"#)).remove(0).event
    };
    assert!(at(1_790_000_000) == at(1_790_000_000));
    assert!(at(1_790_000_000).dedup != at(1_790_000_001).dedup);
}
