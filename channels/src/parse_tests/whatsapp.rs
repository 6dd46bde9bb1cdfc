//! What the samples of `WhatsApp` do not show.

use super::*;

/// What a message of the contact 3 says; `inside` names its type and what it says.
fn of(inside: &str) -> String {
    let said = lines(
        change(&format!(r#""messages":[{{"id":"m","from":"3","timestamp":1790000000,{inside}}}]"#))
            .into_bytes(),
    );
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].strip_prefix("whatsapp/2 m:m 1790000000000 ").unwrap().to_owned()
}

/// A change of another field, for the number 2 of the account 1.
fn field(field: &str, inside: &str) -> Vec<String> {
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","time":1790000000,"changes":[{{"field":"{field}","value":{{
        "metadata":{{"phone_number_id":"2","display_phone_number":"+1 555 01"}},{inside}}}}}]}}]}}"#
    );
    lines(body.into_bytes())
}

#[test]
fn what_is_not_as_it_should_be_is_kept() {
    for (inside, kept) in [
        (r#""type":"image","image":{"mime_type":"image/png"}"#, "image.unreadable"),
        (r#""type":"image","image":[]"#, "image.unreadable"),
        (r#""type":"location","location":{"latitude":"here","longitude":1}"#, "location.unreadable"),
        (r#""type":"location","location":{"latitude":1e999,"longitude":1}"#, "location.unreadable"),
        (r#""type":"contacts","contacts":{}"#, "contacts.unreadable"),
        (r#""type":"contacts","contacts":[7]"#, "contacts.unreadable"),
        (r#""type":"interactive""#, "interactive.unreadable"),
        (r#""type":"interactive","interactive":{"type":"button_reply"}"#, "interactive.unreadable"),
        (
            r#""type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"x"}}"#,
            "interactive.unreadable",
        ),
        (r#""type":"interactive","interactive":{"type":"new","new":{}}"#, "interactive.new"),
        (r#""type":"button","button":{}"#, "button.unreadable"),
        (r#""type":"order","order":{"product_items":[{"quantity":1}]}"#, "order.unreadable"),
        (r#""type":"reaction","reaction":{"emoji":"x"}"#, "reaction.unreadable"),
        (r#""type":"edit","edit":{"message":{}}"#, "edit.unreadable"),
        (r#""type":"revoke""#, "revoke.unreadable"),
        (r#""type":"system","system":7"#, "system.unreadable"),
        (
            r#""type":"system","system":{"type":"user_changed_number","wa_id":"3"}"#,
            "system.user_changed_number",
        ),
        (r#""type":"hologram""#, "hologram"),
        (r#""hologram":{}"#, "untyped"),
    ] {
        assert_eq!(of(inside), format!("kept: message.{kept} of wa_id=3"), "{inside}");
    }
}

#[test]
fn forms_that_no_sample_shows_are_read() {
    for (inside, said) in [
        (
            r#""type":"document","document":{"id":7,"filename":"../a.pdf","mime_type":"application/pdf","caption":"x"}"#,
            r#"media [document mime=application/pdf named="../a.pdf" id="7"] caption="x""#,
        ),
        (r#""type":"video","video":{"url":"https://v"}"#, r#"media [video url="https://v"]"#),
        (r#""type":"audio","audio":{"id":"1","voice":"true"}"#, r#"media [voice id="1"]"#),
        (
            r#""type":"location","location":{"latitude":52.20,"longitude":"-0.10"}"#,
            r#"{"type":"location","latitude":"52.20","longitude":"-0.10"}"#,
        ),
        (
            r#""type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","body":"Sent","response_json":"{\"a\":1}"}}"#,
            r#"{"type":"flow_response","name":"flow","body":"Sent","answers":"{\"a\":1}"}"#,
        ),
        (
            r#""type":"interactive","interactive":{"type":"call_permission_reply","call_permission_reply":{"response":"reject"}}"#,
            r#"{"type":"call_permission","granted":false}"#,
        ),
        (
            r#""type":"interactive","interactive":{"type":"call_permission_reply","call_permission_reply":{"response":"accept","is_permanent":true}}"#,
            r#"{"type":"call_permission","granted":true}"#,
        ),
        (
            r#""type":"button","button":{"payload":"P","text":"Yes"}"#,
            r#"{"type":"selection","of":"template_button","title":"Yes","id":"P"}"#,
        ),
        (
            r#""type":"order","order":{"catalog_id":"c","text":"soon","product_items":[7,{"product_retailer_id":"s","quantity":2,"item_price":9.50,"currency":"EUR"}]}"#,
            r#"{"type":"order","catalog":"c","note":"soon","items":[{"id":"s","quantity":"2","price":"9.50","currency":"EUR"}]}"#,
        ),
        (
            r#""type":"contacts","contacts":[{"name":{"first_name":"A","last_name":"B"},"phones":[{"wa_id":"4"}],"addresses":[{"street":"S 1","zip":"2","country":"DE"}]}]"#,
            r#"{"type":"contacts","cards":[{"name":"A B","first_name":"A","last_name":"B","phones":[{"phone":"4","wa_id":"4"}],"addresses":["S 1, 2, DE"]}]}"#,
        ),
        (r#""type":"unsupported""#, r#"{"type":"unsupported","what":"unsupported"}"#),
        (r#""type":"text","text":{"body":" \n"}"#, r#"{"type":"empty"}"#),
    ] {
        assert_eq!(of(inside), format!("message_received: {said} by wa_id=3 Live"), "{inside}");
    }
}

#[test]
fn messages_about_messages_are_read() {
    assert_eq!(
        of(
            r#""type":"edit","edit":{"original_message_id":"o","message":{"type":"image","image":{"id":"1","caption":"new"}}}"#
        ),
        r#"message_edited: o is media [image id="1"] caption="new" of wa_id=3"#
    );
    assert_eq!(
        of(r#""type":"edit","edit":{"original_message_id":"o","message":{"type":"hologram"}}"#),
        r#"message_edited: o is {"type":"unsupported","what":"hologram"} of wa_id=3"#
    );
    assert_eq!(
        of(r#""type":"edit","edit":{"original_message_id":"o"}"#),
        "message_edited: o is ? of wa_id=3"
    );
    let nobodys = change(r#""messages":[{"id":"m","type":"revoke","revoke":{"original_message_id":"o"}}]"#);
    assert_eq!(lines(nobodys.into_bytes()), ["whatsapp/2 m:m now message_removed: o of nobody"]);
    assert_eq!(of(r#""type":"reaction","reaction":{"message_id":"o"}"#), "reacted: o of wa_id=3");
}

#[test]
fn somebody_with_a_new_number_has_a_new_id_too() {
    assert_eq!(
        of(
            r#""from_user_id":"U1","type":"system","system":{"type":"user_changed_number","wa_id":"4","user_id":"U2","previous_user_id":"U0"}"#
        ),
        "identity_changed: wa_id=3,user_id=U0 is wa_id=4,user_id=U2"
    );
    let told = field(
        "user_id_update",
        r#""user_id_update":[{"wa_id":"3","user_id":{"previous":"U1","current":"U2"},"timestamp":1790000000},
            {"previous_user_id":"U3","user_id":"U4"},{"user_id":"U5"},7]"#,
    );
    assert_eq!(
        told,
        [
            "whatsapp/2 i 1790000000000 identity_changed: wa_id=3,user_id=U1 is wa_id=3,user_id=U2",
            "whatsapp/2 i now identity_changed: user_id=U3 is user_id=U4",
            "whatsapp/2 k:user_id_update now kept: user_id_update of user_id=U5",
            "whatsapp/2 k:user_id_update now kept: user_id_update of nobody",
        ]
    );
}

#[test]
fn what_the_owner_does_by_phone_is_read() {
    let echo = |inside: &str| {
        field(
            "smb_message_echoes",
            &format!(r#""message_echoes":[{{"id":"e","from":"155501","to":"3",{inside}}}]"#),
        )
    };
    for (inside, said) in [
        (
            r#""type":"text","text":{"body":"hi"}"#,
            r#"echo_received: text "hi" to wa_id=3 through the owner's phone Live"#,
        ),
        (
            r#""type":"hologram""#,
            r#"echo_received: {"type":"unsupported","what":"hologram"} to wa_id=3 through the owner's phone Live"#,
        ),
        (
            r#""type":"edit","edit":{"original_message_id":"o","message":{"type":"text","text":{"body":"new"}}}"#,
            r#"message_edited: o is text "new" of wa_id=3"#,
        ),
        (
            r#""type":"reaction","reaction":{"message_id":"o","emoji":"x"}"#,
            r#"reacted: o emoji="x" of wa_id=3 by the business"#,
        ),
        (r#""type":"revoke""#, "kept: echo.revoke of wa_id=3"),
        (r#""to":"","type":"text""#, "kept: echo.no_recipient of nobody"),
    ] {
        assert_eq!(echo(inside), [format!("whatsapp/2 m:e now {said}")], "{inside}");
    }
}

#[test]
fn another_senders_conversation_is_listened_to() {
    let said = field(
        "standby",
        r#""messages":[{"id":"m","from":"3","type":"text","text":{"body":"hi"}}],
            "message_echoes":[{"id":"e","from":"155501","to":"3","type":"text","text":{"body":"yes?"}}]"#,
    );
    assert_eq!(
        said,
        [
            r#"whatsapp/2 m:m now message_received: text "hi" by wa_id=3 Standby"#,
            r#"whatsapp/2 m:e now echo_received: text "yes?" to wa_id=3 through app - Standby"#,
        ]
    );
}

#[test]
fn old_conversations_are_imported() {
    let said = field(
        "history",
        r#""history":[7,{"metadata":{"progress":"155"},"threads":[7,{"id":"3","messages":[7,
            {"id":"a","from":"155501","type":"text","text":{"body":"mine"}},
            {"id":"b","from":"3","type":"text","text":{"body":"theirs"}},
            {"id":"c","type":"text","text":{"body":"whose"}}]}]},{"errors":[{"code":7}]}],
            "messages":[{"id":"b","from":"3","type":"image","image":{"id":"1"}}]"#,
    );
    let notice =
        |inside: &str| format!(r#"whatsapp/2 n:history now noticed: {{"notice":"history",{inside}}}"#);
    assert_eq!(
        said,
        [
            notice(r#""progress":null,"problem":null"#),
            "whatsapp/2 k:message.unreadable now kept: message.unreadable of wa_id=3".to_owned(),
            r#"whatsapp/2 m:a now echo_received: text "mine" to wa_id=3 through the owner's phone Imported"#
                .to_owned(),
            r#"whatsapp/2 m:b now message_received: text "theirs" by wa_id=3 Imported"#.to_owned(),
            r#"whatsapp/2 m:c now message_received: text "whose" by wa_id=3 Imported"#.to_owned(),
            notice(r#""progress":100,"problem":null"#),
            notice(
                r#""progress":null,"problem":"WhatsApp does not hand the old conversations over (code 7)""#
            ),
            r#"whatsapp/2 h:b now message_received: media [image id="1"] by wa_id=3 Imported"#.to_owned(),
        ]
    );
}

#[test]
fn calls_open_the_window_when_they_are_theirs() {
    let call =
        |inside: &str| field("calls", &format!(r#""calls":[{{"id":"c","event":"connect",{inside}}}]"#));
    for (inside, said) in [
        (r#""direction":"USER_INITIATED","from":"3","to":"155501""#, "call by wa_id=3 opens raw"),
        (r#""from":"3","to":"155501""#, "call by wa_id=3 opens raw"),
        (r#""direction":"BUSINESS_INITIATED","from":"155501","to":"3""#, "call by wa_id=3 raw"),
        (r#""from":"155501","to":"3""#, "call by wa_id=3 raw"),
    ] {
        assert_eq!(call(inside), [format!("whatsapp/2 c:c:connect now contact_acted: {said}")], "{inside}");
    }
    let kept = field(
        "calls",
        r#""statuses":[{"id":"c","type":"call","status":"RINGING","recipient_id":"3"}],"calls":[7]"#,
    );
    assert_eq!(
        kept,
        [
            "whatsapp/2 k:calls now kept: calls of nobody",
            "whatsapp/2 k:calls.status now kept: calls.status of wa_id=3",
        ]
    );
}

#[test]
fn preferences_are_about_advertising_or_kept() {
    let said = field(
        "user_preferences",
        r#""user_preferences":[{"user_id":"U","value":"resume"},{"wa_id":"3","value":"later"},
            {"wa_id":"3","value":"stop","category":"news"},{"value":"stop"}]"#,
    );
    assert_eq!(
        said,
        [
            "whatsapp/2 p now marketing_changed: true by user_id=U",
            "whatsapp/2 k:user_preferences now kept: user_preferences of wa_id=3",
            "whatsapp/2 k:user_preferences now kept: user_preferences of wa_id=3",
            "whatsapp/2 k:user_preferences now kept: user_preferences of nobody",
        ]
    );
}

#[test]
fn what_concerns_an_account_goes_to_it_and_the_rest_is_kept() {
    let account = |name: &str, value: &str| {
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","time":1790000000,"changes":[{{"field":"{name}","value":{value}}}]}}]}}"#
        );
        lines(body.into_bytes()).join("|")
    };
    let at = "whatsapp/account:1 n 1790000000000 noticed:";
    assert_eq!(
        account(
            "template_category_update",
            r#"{"message_template_name":"t","message_template_language":"de","new_category":"MARKETING","reason":"NONE"}"#
        ),
        format!(
            r#"{at} {{"notice":"template","name":"t","language":"de","what":"category","value":"MARKETING","reason":null}}"#
        )
    );
    let kept = |kind: &str| format!("whatsapp/account:1 k:{kind} now kept: {kind} of nobody");
    assert_eq!(account("account_update", r#"{"event":""}"#), kept("account_update"));
    assert_eq!(
        account("message_template_status_update", r#"{"event":"PAUSED"}"#),
        kept("message_template_status_update")
    );
    assert_eq!(account("flows", "{}"), kept("flows"));
    assert_eq!(account("group_lifecycle_update", r#"{"groups":[]}"#), kept("group_lifecycle_update"));
    let book = field(
        "smb_app_state_sync",
        r#""state_sync":[{"type":"contact","contact":{"phone_number":"3"},"action":"add"}]"#,
    );
    assert_eq!(book, ["whatsapp/2 k:smb_app_state_sync now kept: smb_app_state_sync of wa_id=3"]);
}

#[test]
fn the_same_notice_at_another_time_is_another_one() {
    let at = |time: u64| {
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","time":{time},"changes":[{{"field":"account_update","value":{{"event":"X"}}}}]}}]}}"#
        );
        read(body).remove(0).event
    };
    assert!(at(1_790_000_000) == at(1_790_000_000));
    assert!(at(1_790_000_000).dedup != at(1_790_000_001).dedup);
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
        [format!("whatsapp/2 s:w:sent: 1790000000000 status_changed: w Sent ours={ours} for nobody")]
    );
    for foreign in ["\"t1:42\"", "null", "{}", "7", "\"\""] {
        assert_eq!(
            lines(body(foreign).into_bytes()),
            ["whatsapp/2 s:w:sent: 1790000000000 status_changed: w Sent for nobody"]
        );
    }
}

#[test]
fn the_problem_of_a_failed_message_is_in_our_words() {
    let parsed = read(fixtures().remove("whatsapp/own_status_failed_after_sent").unwrap());
    let InboundKind::StatusChanged { delivery, .. } = &parsed[0].event.kind else { panic!("not a status") };
    let title = &delivery.problem.as_ref().unwrap().title;
    assert!(title.starts_with("the contact cannot be reached"), "{title}");
}
