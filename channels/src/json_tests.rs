use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Walks through everything that can be walked through, and builds what `serde_json` builds.
fn rebuild(cursor: &mut Cursor<'_>) -> Value {
    let mut members = serde_json::Map::new();
    let mut elements = Vec::new();
    match cursor.peek() {
        b'{' => {
            let mut last = Value::Null;
            cursor.members(|name, cursor| {
                last = rebuild(cursor);
                members.insert(name.to_owned(), last.clone());
            });
            Value::Object(members)
        }
        b'[' => {
            cursor.elements(|cursor| elements.push(rebuild(cursor)));
            Value::Array(elements)
        }
        _ => serde_json::from_str(cursor.value().get()).unwrap(),
    }
}

fn json() -> impl Strategy<Value = Value> {
    let text = "[a-z\"\\\\{}\\[\\],: é😀\n]{0,6}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((text, inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_reads_what_is_written(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        let mut cursor = Cursor::new(&text);
        prop_assert_eq!(rebuild(&mut cursor), value);
        prop_assert!(cursor.is_through());
        let mut whole = Cursor::new(&text);
        prop_assert_eq!(whole.value().get(), &*text);
    }

    #[test]
    fn on_any_text_it_comes_to_an_end(text in "[\\[\\]{}\",:0-9a-z\\\\ é]{0,40}") {
        let mut cursor = Cursor::new(&text);
        cursor.elements(|cursor| { cursor.members(|_, _| ()); });
        let mut cursor = Cursor::new(&text);
        cursor.members(|_, cursor| { cursor.elements(|_| ()); });
        prop_assert!(Scalar(&text).member("a").get().len() <= text.len());
    }
}

#[test]
fn what_is_cut_off_or_does_not_fit_is_noticed() {
    let json = r#" [{"a":"b\\","c":[[1],{}]},null] "#;
    let through = |json: &str| {
        let mut cursor = Cursor::new(json);
        cursor.elements(|cursor| {
            cursor.members(|_, _| ());
        });
        cursor.is_through()
    };
    assert!(through(json));
    let end = json.trim_end().len();
    assert!((0..end).all(|end| !through(&json[..end]) || json[..end].trim().is_empty()));
    for odd in ["[} ", "[{]]", "[{\"a\":1}}", "[]]", "[] x", "[{1:2}]", "[\"\\\"]"] {
        assert!(!through(odd), "{odd}");
    }
}

#[test]
fn quotes_and_escapes_are_found_wherever_they_are() {
    for length in 0..200 {
        for mark in ["\"", "\\"] {
            let text = format!(
                "{}{mark}\"\u{e9}",
                "\u{a2}x#!]".repeat(length)[..].chars().take(length).collect::<String>()
            );
            let expected = text.find(['"', '\\']).unwrap();
            assert_eq!(quote_or_escape(text.as_bytes()), expected);
        }
        assert_eq!(quote_or_escape("x".repeat(length).as_bytes()), length);
    }
}

shape! {
    struct Sample<'a> { a: Scalar<'a>, list as "b": List<'a>, of: List<'a, Element<'a, Inner<'a>>> }
}

shape! {
    struct Inner<'a> { x: Scalar<'a> }
}

#[test]
fn what_has_another_type_reads_as_absent() {
    let sample: Sample<'_> = object(r#"{"a":7,"a":8,"b":{"c":[]},"of":[1,{"x":"y"},null]}"#).unwrap();
    assert_eq!(sample.a.integer(), Some(8));
    assert!(sample.list.len() == 0 && sample.list.is_other());
    let read: Vec<_> =
        sample.of.iter().map(|element| (element.raw.get(), element.object().is_some())).collect();
    assert_eq!(read, [("1", false), (r#"{"x":"y"}"#, true), ("null", false)]);
    let inner = sample.of.iter().find_map(Element::object).unwrap();
    assert_eq!(inner.x.text().as_deref(), Some("y"));
    for odd in ["[]", "7", "\"a\"", "null", "{} {}", "{", ""] {
        assert!(object::<Sample<'_>>(odd).is_none(), "{odd}");
    }
}

#[test]
fn a_long_list_is_cut() {
    let list = format!("[{}]", vec!["0"; ELEMENTS_MAX + 1].join(","));
    let list: List<'_> = Cursor::new(&list).value().list();
    assert!(list.len() == ELEMENTS_MAX && list.cut);
}
