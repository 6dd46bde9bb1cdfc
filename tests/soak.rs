//! What judges a soak is judged itself: a bench runs no tests of its own.
#![allow(dead_code, reason = "the soak uses the rest")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below what a float holds exactly")]

#[path = "../benches/soak/book.rs"]
mod book;
#[path = "../benches/soak/figures.rs"]
mod figures;

use std::time::Instant;

use iassistance_simulator::{Happened, Moment};
use serde_json::json;

use book::Book;
use figures::{Series, percentile_ms};

fn sends(book: &mut Book, text: &str) {
    let what = Happened::SendAccepted { to: "15550000001".into(), text: text.into() };
    book.takes(&Moment { instant: Instant::now(), what });
}

/// A book in which one person said something, which is in the log.
fn said() -> (Book, u64, String) {
    let mut book = Book::default();
    let (number, words) = book.says("15550000001", 2);
    let message = json!({ "id": "m", "author": { "by": "contact" }, "content": { "body": words } });
    book.reads(0, 1, &json!({ "type": "message.received", "conversation": "c", "message": message }));
    (book, number, words)
}

fn ends(book: &mut Book, end: &str) {
    book.reads(0, 2, &json!({ "type": "turn.started", "conversation": "c", "turn": "t", "covers": ["m"] }));
    book.reads(0, 3, &json!({ "type": "turn.ended", "conversation": "c", "turn": "t", "end": end }));
}

#[test]
fn an_answer_is_told_by_its_words() {
    let (mut book, number, words) = said();
    assert_eq!(book.judge().lost, [number]);
    ends(&mut book, "answered");
    assert_eq!(book.judge().lost, [number], "an answer that never left answers nothing");
    sends(&mut book, &format!("[simulated] You said: {words}"));
    assert!(book.judge().is_good());
    sends(&mut book, &words);
    assert_eq!(book.judge().doubled, [number]);
}

#[test]
fn what_is_not_answered_must_be_told() {
    let (mut book, ..) = said();
    ends(&mut book, "failed");
    assert_eq!(book.judge().told, 1);
    let (mut book, number, _) = said();
    ends(&mut book, "superseded");
    assert_eq!(book.judge().lost, [number]);
}

#[test]
fn what_an_operator_answers_is_left_to_people() {
    let (mut book, _, _) = said();
    ends(&mut book, "taken_over");
    let (number, words) = book.operator_says();
    let message = json!({ "id": "o", "author": { "by": "operator" }, "content": { "body": words } });
    book.reads(0, 4, &json!({ "type": "message.queued", "conversation": "c", "message": message }));
    let verdict = book.judge();
    assert_eq!((verdict.by_people, verdict.lost), (1, vec![number]), "the operator's words have not left");
    sends(&mut book, &words);
    assert!(book.judge().is_good());
}

#[test]
fn disorder_and_speaking_over_people_are_seen() {
    let (mut book, number, words) = said();
    let (_, later) = book.says("15550000001", 3);
    sends(&mut book, &later);
    sends(&mut book, &words);
    assert_eq!(book.judge().out_of_order, [number]);
    let control = json!({ "holder": "operator" });
    book.reads(0, 5, &json!({ "type": "control.changed", "conversation": "c", "control": control }));
    let message = json!({ "id": "a", "author": { "by": "assistant", "turn": "t" }, "content": {} });
    book.reads(0, 6, &json!({ "type": "message.queued", "conversation": "c", "message": message }));
    assert_eq!(book.judge().spoken_over, [6]);
}

fn hour(mib: impl Fn(f64) -> f64) -> Series {
    let mut series = Series::default();
    for minute in (1..=60).map(f64::from) {
        series.push(minute, mib(minute) * 1_048_576.0);
    }
    series
}

#[test]
fn what_fills_up_at_first_is_no_growth() {
    let flat = hour(|minute| 100.0 * (minute / 5.0).min(1.0));
    assert!(flat.growth_percent().unwrap().abs() < 1e-9);
    let grows = hour(|minute| 100.0 + minute);
    assert!(grows.growth_percent().unwrap() > 30.0);
    assert_eq!(grows.report()["mib_per_hour"], 60.0);
    assert!(Series::default().growth_percent().is_none());
}

/// Of two real runs: with the allocator of before memory grew by a byte for each that stayed alive, and with the one of
/// now by a quarter of one.
#[test]
fn what_the_store_grows_by_costs_a_quarter_of_it_and_no_more() {
    let alive = hour(|minute| 10.0 + 3.0 * minute);
    let before = hour(|minute| 260.0 + 3.3 * minute);
    let now = hour(|minute| 160.0 + 0.72 * minute);
    let leaks = hour(|minute| 160.0 + 1.2 * minute);
    let beyond = |memory: &Series| memory.without(0.25, &alive).growth_percent().unwrap();
    assert!(beyond(&before) > 30.0 && beyond(&leaks) > 10.0 && beyond(&now).abs() < 2.0);
    assert!((now.growth_per_byte(&alive).unwrap() - 0.24).abs() < 1e-9);
    assert!(alive.growth_per_byte(&hour(|_| 5.0)).is_none());
    // What is known at some moments only counts until the next.
    let mut seldom = Series::default();
    seldom.push(10.0, 4.0);
    assert!(now.without(0.25, &seldom).growth_percent().is_some());
}

#[test]
fn percentiles_are_of_what_is_there() {
    assert!(percentile_ms(99, &[]).abs() < f64::EPSILON);
    let micros: Vec<u32> = (1..=100).map(|millis| millis * 1_000).collect();
    assert!((percentile_ms(50, &micros) - 50.0).abs() < f64::EPSILON);
    assert!((percentile_ms(99, &micros) - 99.0).abs() < f64::EPSILON);
}
