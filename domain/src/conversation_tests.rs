use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::delivery::DeliveryStatus;
use crate::{Entropy, Pii, SeededEntropy};

const START: Timestamp = Timestamp::from_secs(1_790_000_000);

fn policy(quiet_ms: u64, cap_ms: u64) -> TurnPolicy {
    TurnPolicy { enabled: true, quiet_ms, cap_ms, ..TurnPolicy::default() }
}

fn conversation(policy: TurnPolicy) -> Conversation {
    let entropy = SeededEntropy::new(3);
    let mut conversation = Conversation::open(
        ConversationId::new(START, &entropy),
        ChannelId::new(START, &entropy),
        ContactId::new(START, &entropy),
        START,
    );
    conversation.apply(Input::PolicyChanged(policy), START);
    conversation
}

/// Message number `n`, written `n` seconds after the start.
fn message(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

fn received(n: u8) -> Input {
    arrived(message(n), START.plus_millis(u64::from(n) * 1_000))
}

fn arrived(message: MessageId, sent_at: Timestamp) -> Input {
    Input::MessageReceived { message, sent_at, answer: true, fragment: false, opens: Opening::Ordinary }
}

fn started(effects: &[Effect]) -> Option<&RunningTurn> {
    effects.iter().find_map(|effect| match effect {
        Effect::StartTurn(turn) => Some(turn),
        _ => None,
    })
}

fn sends(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Send { .. })).count()
}

/// Whether nothing is asked for but to be woken some time.
fn nothing(effects: &[Effect]) -> bool {
    effects.iter().all(|effect| matches!(effect, Effect::WakeAt(_)))
}

fn reply(turn: TurnId) -> Input {
    Input::TurnFinished {
        turn,
        outcome: TurnOutcome::Reply { content: Content::text("yes"), follow_up: None },
    }
}

#[test]
fn several_messages_in_the_window_get_one_turn_in_the_order_of_their_writing() {
    let mut conversation = conversation(policy(1_000, 5_000));
    assert!(conversation.apply(received(2), START) == [Effect::WakeAt(START.plus_millis(1_000))]);
    let later = START.plus_millis(900);
    assert!(conversation.apply(received(1), later) == [Effect::WakeAt(START.plus_millis(1_900))]);
    assert!(started(&conversation.apply(Input::TimePassed, START.plus_millis(1_899))).is_none());
    let effects = conversation.apply(Input::TimePassed, START.plus_millis(1_900));
    assert_eq!(started(&effects).unwrap().covers, [message(1), message(2)]);
}

#[test]
fn the_cap_ends_a_window_that_is_prolonged_for_ever() {
    let mut conversation = conversation(policy(1_000, 2_500));
    for n in 0..4 {
        let now = START.plus_millis(u64::from(n) * 800);
        let effects = conversation.apply(received(n), now);
        assert!(started(&effects).is_none());
    }
    let effects = conversation.apply(Input::TimePassed, START.plus_millis(2_500));
    assert_eq!(started(&effects).unwrap().covers.len(), 4);
}

#[test]
fn a_newer_message_cancels_the_turn_and_is_answered_with_what_that_covered() {
    let mut conversation = conversation(policy(0, 0));
    let first = started(&conversation.apply(received(1), START)).unwrap().clone();
    let effects = conversation.apply(received(2), START);
    assert!(effects[0] == Effect::CancelTurn { turn: first.id, end: TurnEnd::Superseded });
    let second = started(&effects).unwrap().clone();
    assert_eq!(second.covers, [message(1), message(2)]);
    assert!(second.epoch > first.epoch);
    assert!(nothing(&conversation.apply(reply(first.id), START)), "a stale reply is refused");
    assert_eq!(sends(&conversation.apply(reply(second.id), START)), 1);
}

#[test]
fn a_takeover_silences_the_running_turn_and_what_it_had_committed() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().clone();
    conversation.apply(Input::TakenOver { operator: "Ada".into() }, START);
    assert!(conversation.floor() > turn.epoch, "words of the turn's epoch may no longer leave");
    assert!(nothing(&conversation.apply(reply(turn.id), START)));
    assert!(conversation.apply(received(2), START).is_empty(), "a person has control");
    let effects = conversation.apply(Input::HandedBack, START);
    assert_eq!(started(&effects).unwrap().covers, [message(1), message(2)]);
}

#[test]
fn what_a_person_answered_is_not_answered_again_after_handback() {
    let mut conversation = conversation(policy(0, 0));
    conversation.apply(Input::TakenOver { operator: "Ada".into() }, START);
    conversation.apply(received(1), START);
    let effects = conversation.apply(Input::OperatorWrote { draft: Content::text("mine").into() }, START);
    assert!(effects == [Effect::Send { draft: Content::text("mine").into(), turn: None, disclose: false }]);
    assert!(started(&conversation.apply(Input::HandedBack, START)).is_none());
    assert!(started(&conversation.apply(received(1), START)).is_none());
}

#[test]
fn no_reply_leaves_after_the_window() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().id;
    let late = START.plus_millis(1_001 + 24 * 60 * 60 * 1_000);
    let effects = conversation.apply(reply(turn), late);
    assert!(effects == [Effect::EndTurn { turn, end: TurnEnd::WindowClosed }]);
}

#[test]
fn what_comes_too_late_to_be_answered_is_told_of_by_a_turn_that_ends_as_it_begins() {
    let mut conversation = conversation(policy(0, 0));
    let late = START.plus_millis(1_001 + 24 * 60 * 60 * 1_000);
    let effects = conversation.apply(received(0), late);
    assert_eq!(started(&effects).unwrap().covers, [message(0)]);
    assert_eq!(ended(&effects), Some(TurnEnd::WindowClosed));
    assert!(conversation.running_turn().is_none());
    assert!(conversation.apply(received(0), late).is_empty(), "once");
}

#[test]
fn a_failed_turn_says_the_fallback_once_and_can_be_answered_again() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().id;
    let outcome = TurnOutcome::Failed { fallback: Some(Content::text("sorry")) };
    let effects = conversation.apply(Input::TurnFinished { turn, outcome }, START);
    assert_eq!(sends(&effects), 1);
    let again = Input::AnswerAgain { messages: vec![(message(1), START)] };
    assert_eq!(started(&conversation.apply(again, START)).unwrap().covers, [message(1)]);
}

#[test]
fn after_a_restart_the_same_turn_begins_again() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().clone();
    let text = serde_json::to_string(&conversation).unwrap();
    let mut loaded: Conversation = serde_json::from_str(&text).unwrap();
    assert!(loaded.is_busy());
    loaded.apply(Input::PolicyChanged(policy(0, 0)), START);
    let effects = loaded.apply(Input::Resumed, START.plus_millis(5));
    assert!(effects[0] == Effect::StartTurn(turn));
}

fn ended(effects: &[Effect]) -> Option<TurnEnd> {
    effects.iter().find_map(|effect| match effect {
        Effect::EndTurn { end, .. } | Effect::CancelTurn { end, .. } => Some(*end),
        _ => None,
    })
}

fn discloses(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Send { disclose: true, .. }))
}

fn fragment(n: u8) -> Input {
    let sent_at = START.plus_millis(u64::from(n) * 1_000);
    let opens = Opening::Ordinary;
    Input::MessageReceived { message: message(n), sent_at, answer: true, fragment: true, opens }
}

#[test]
fn a_fragment_is_waited_for_longer_and_what_is_finished_shorter() {
    let mut conversation = conversation(policy(1_000, 9_000));
    assert!(conversation.apply(fragment(1), START) == [Effect::WakeAt(START.plus_millis(3_000))]);
    let effects = conversation.apply(received(2), START.plus_millis(100));
    assert!(effects == [Effect::WakeAt(START.plus_millis(1_100))]);
    let effects = conversation.apply(Input::TimePassed, START.plus_millis(1_100));
    assert_eq!(started(&effects).unwrap().window_end, WindowEnd::Quiet);
}

#[test]
fn files_are_waited_for_within_their_own_cap() {
    let with_media = || {
        let policy = TurnPolicy { media_cap_ms: 20_000, ..policy(1_000, 5_000) };
        let mut conversation = conversation(policy);
        conversation.set_pending_media(message(1), true);
        conversation.apply(received(1), START);
        conversation
    };
    let mut settled = with_media();
    let at = START.plus_millis(12_000);
    assert!(started(&settled.apply(Input::TimePassed, at)).is_none());
    assert!(started(&settled.apply(Input::MediaSettled { message: message(1) }, at)).is_some());
    let mut soon = with_media();
    let at = START.plus_millis(2_000);
    let effects = soon.apply(Input::MediaSettled { message: message(1) }, at);
    assert!(effects == [Effect::WakeAt(START.plus_millis(3_000))]);
    let mut late = with_media();
    let effects = late.apply(Input::TimePassed, START.plus_millis(20_000));
    assert_eq!(started(&effects).unwrap().window_end, WindowEnd::Cap);
}

#[test]
fn a_machine_is_named_at_the_start_after_a_lapse_and_after_a_person_and_not_otherwise() {
    const HOUR_MS: u64 = 3_600_000;
    let mut conversation =
        conversation(TurnPolicy { disclose: true, disclosure_lapse_ms: Some(2 * HOUR_MS), ..policy(0, 0) });
    let mut answer = |n: u8, now: Timestamp, person: bool| {
        if person {
            conversation.apply(Input::TakenOver { operator: "Ada".into() }, now);
            conversation.apply(Input::HandedBack, now);
        }
        let turn = started(&conversation.apply(arrived(message(n), now), now)).unwrap().id;
        discloses(&conversation.apply(reply(turn), now))
    };
    assert!(answer(1, START, false));
    assert!(!answer(2, START.plus_millis(HOUR_MS), false));
    assert!(!answer(3, START.plus_millis(2 * HOUR_MS), false));
    assert!(answer(4, START.plus_millis(4 * HOUR_MS), false));
    assert!(!answer(5, START.plus_millis(4 * HOUR_MS), false));
    assert!(answer(6, START.plus_millis(4 * HOUR_MS), true));
}

#[test]
fn a_disclosure_that_never_left_was_never_made() {
    let mut conversation = conversation(TurnPolicy { disclose: true, ..policy(0, 0) });
    let turn = started(&conversation.apply(received(1), START)).unwrap().id;
    assert!(discloses(&conversation.apply(reply(turn), START)));
    conversation.set_disclosed_in(message(200));
    let reported = Delivery::new(DeliveryStatus::Withdrawn, START);
    let input = Input::DeliveryReported { message: message(200), known: Delivery::queued(START), reported };
    conversation.apply(input, START);
    let turn = started(&conversation.apply(received(2), START)).unwrap().id;
    assert!(discloses(&conversation.apply(reply(turn), START)));
}

#[test]
fn who_asks_for_a_person_waits_for_one_and_the_assistant_is_silent() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().clone();
    let notice = Some(Content::text("Somebody comes."));
    let outcome = TurnOutcome::HandOver { reason: HandoverReason::Asked, notice };
    let effects = conversation.apply(Input::TurnFinished { turn: turn.id, outcome }, START);
    assert_eq!((sends(&effects), ended(&effects)), (1, Some(TurnEnd::HandedOver)));
    assert!(conversation.floor() <= turn.epoch, "the notice may leave");
    assert!(matches!(conversation.control(), Control::Waiting { reason: HandoverReason::Asked, .. }));
    assert!(started(&conversation.apply(received(2), START)).is_none());
    conversation.apply(Input::TakenOver { operator: "Ada".into() }, START);
    assert!(matches!(conversation.control(), Control::Operator { .. }));
}

#[test]
fn a_person_who_falls_silent_hands_back_without_knowing() {
    let mut conversation = conversation(TurnPolicy { handback_ms: Some(60_000), ..policy(0, 0) });
    conversation.apply(Input::TakenOver { operator: "Ada".into() }, START);
    conversation.apply(received(1), START);
    assert!(conversation.is_busy(), "it is woken after a restart");
    let at = START.plus_millis(30_000);
    let effects = conversation.apply(Input::OperatorWrote { draft: Content::text("mine").into() }, at);
    assert!(effects.last() == Some(&Effect::WakeAt(START.plus_millis(90_000))));
    conversation.apply(received(2), at);
    assert!(started(&conversation.apply(Input::TimePassed, START.plus_millis(60_000))).is_none());
    let effects = conversation.apply(Input::TimePassed, START.plus_millis(90_000));
    assert_eq!(started(&effects).unwrap().covers, [message(2)]);
}

#[test]
fn who_asks_for_silence_has_it_until_they_write_again() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().clone();
    let effects = conversation.apply(Input::OptedOut, START);
    assert_eq!(ended(&effects), Some(TurnEnd::OptedOut));
    assert!(effects.contains(&Effect::OptOut));
    assert!(conversation.floor() > turn.epoch);
    assert!(nothing(&conversation.apply(reply(turn.id), START)));
    assert!(started(&conversation.apply(Input::TimePassed, START.plus_millis(5_000))).is_none());
    assert!(started(&conversation.apply(received(2), START)).is_some());
    assert!(!conversation.opted_out());
}

#[test]
fn a_turn_is_ended_when_its_words_could_not_leave_any_more() {
    let mut conversation = conversation(policy(0, 0));
    conversation.apply(received(1), START);
    let end = conversation.window().free_until.plus_millis(1);
    assert!(ended(&conversation.apply(Input::TimePassed, conversation.window().free_until)).is_none());
    let effects = conversation.apply(Input::TimePassed, end);
    assert_eq!(ended(&effects), Some(TurnEnd::WindowClosed));
    assert!(started(&effects).is_none());
}

#[test]
fn the_assistant_comes_back_once_unless_somebody_writes_before() {
    let planned = |conversation: &mut Conversation| {
        let turn = started(&conversation.apply(received(1), START)).unwrap().id;
        let follow_up = FollowUp { at: START.plus_millis(60_000), about: Pii::new("the offer".into()) };
        let outcome = TurnOutcome::Reply { content: Content::text("later"), follow_up: Some(follow_up) };
        conversation.apply(Input::TurnFinished { turn, outcome }, START)
    };
    let mut alone = conversation(policy(0, 0));
    assert!(planned(&mut alone).contains(&Effect::PlanFollowUp(Some(START.plus_millis(60_000)))));
    assert!(started(&alone.apply(Input::TimePassed, START.plus_millis(59_999))).is_none());
    let turn = started(&alone.apply(Input::TimePassed, START.plus_millis(60_000))).unwrap().clone();
    assert!(turn.covers.is_empty() && turn.follow_up.is_some());
    assert_eq!(sends(&alone.apply(reply(turn.id), START.plus_millis(60_000))), 1);
    assert!(started(&alone.apply(Input::TimePassed, START.plus_millis(90_000))).is_none());

    let mut wrote = conversation(policy(0, 0));
    planned(&mut wrote);
    let turn = started(&wrote.apply(received(2), START.plus_millis(10_000))).unwrap().id;
    wrote.apply(reply(turn), START.plus_millis(10_000));
    assert!(started(&wrote.apply(Input::TimePassed, START.plus_millis(60_000))).is_none());
}

#[test]
fn that_nobody_is_there_is_said_once_for_each_time() {
    let mut conversation = conversation(policy(0, 0));
    let mut closed = |n: u8, since: Timestamp, now: Timestamp| {
        let turn = started(&conversation.apply(arrived(message(n), now), now)).unwrap().id;
        let outcome = TurnOutcome::Closed { since, notice: Some(Content::text("closed")) };
        sends(&conversation.apply(Input::TurnFinished { turn, outcome }, now))
    };
    assert_eq!(closed(1, START, START.plus_millis(5)), 1);
    assert_eq!(closed(2, START, START.plus_millis(10)), 0);
    assert_eq!(closed(3, START.plus_millis(50), START.plus_millis(60)), 1);
}

#[test]
fn who_did_not_write_is_not_told_that_nobody_is_there_and_hears_it_later() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().id;
    let silent = TurnOutcome::Closed { since: START, notice: None };
    let effects = conversation.apply(Input::TurnFinished { turn, outcome: silent }, START);
    assert_eq!((sends(&effects), ended(&effects)), (0, Some(TurnEnd::Closed)));
    let turn = started(&conversation.apply(received(2), START)).unwrap().id;
    let outcome = TurnOutcome::Closed { since: START, notice: Some(Content::text("closed")) };
    assert_eq!(sends(&conversation.apply(Input::TurnFinished { turn, outcome }, START)), 1);
}

#[test]
fn a_message_while_the_assistant_comes_back_opens_a_window_of_its_own() {
    let mut conversation = conversation(policy(1_000, 2_000));
    conversation.apply(received(1), START);
    let at = START.plus_millis(1_000);
    let turn = started(&conversation.apply(Input::TimePassed, at)).unwrap().id;
    let follow_up = FollowUp { at: START.plus_millis(60_000), about: Pii::new("it".into()) };
    let outcome = TurnOutcome::Reply { content: Content::text("later"), follow_up: Some(follow_up) };
    conversation.apply(Input::TurnFinished { turn, outcome }, at);
    let at = START.plus_millis(60_000);
    assert!(started(&conversation.apply(Input::TimePassed, at)).is_some());
    let at = START.plus_millis(90_000);
    let effects = conversation.apply(received(2), at);
    assert_eq!(ended(&effects), Some(TurnEnd::Superseded));
    assert!(started(&effects).is_none(), "more may follow");
    let effects = conversation.apply(Input::TimePassed, at.plus_millis(1_000));
    assert_eq!(started(&effects).unwrap().covers, [message(2)]);
}

#[test]
fn who_is_given_to_a_person_is_not_come_back_to_by_the_assistant() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().id;
    let follow_up = FollowUp { at: START.plus_millis(60_000), about: Pii::new("it".into()) };
    let outcome = TurnOutcome::Reply { content: Content::text("later"), follow_up: Some(follow_up) };
    conversation.apply(Input::TurnFinished { turn, outcome }, START);
    let assigned = Input::Assigned { operator: Some("Ada".into()) };
    assert!(
        conversation
            .apply(assigned.clone(), START)
            .contains(&Effect::Assign { operator: Some("Ada".into()) })
    );
    assert!(nothing(&conversation.apply(assigned, START)), "it is theirs already");
    assert!(conversation.follow_up_at().is_some(), "who answers stays as it is");
    conversation.apply(Input::TakenOver { operator: "Ada".into() }, START);
    assert!(conversation.follow_up_at().is_none());
}

#[test]
fn unanswered_messages_are_bounded() {
    let mut conversation = conversation(TurnPolicy { enabled: false, ..policy(0, 0) });
    for n in 0..2 * WAITING_MAX {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        let message = MessageId::from_bytes(bytes);
        conversation.apply(arrived(message, START), START);
    }
    assert_eq!(conversation.waiting.len(), WAITING_MAX);
}

#[test]
fn what_was_taken_back_is_not_answered_whether_it_waits_runs_or_has_not_left() {
    let mut waiting = conversation(policy(1_000, 5_000));
    waiting.apply(received(1), START);
    waiting.apply(Input::MessageRemoved { message: message(1) }, START);
    assert!(started(&waiting.apply(Input::TimePassed, START.plus_millis(9_000))).is_none());
    assert!(!waiting.is_busy());
    assert!(waiting.apply(received(1), START).is_empty(), "it came again");

    let mut running = conversation(policy(0, 0));
    let turn = started(&running.apply(received(1), START)).unwrap().clone();
    running.apply(received(2), START);
    let effects = running.apply(Input::MessageRemoved { message: message(1) }, START);
    assert_eq!(started(&effects).unwrap().covers, [message(2)]);
    assert!(nothing(&running.apply(reply(turn.id), START)));

    let mut committed = conversation(policy(0, 0));
    let turn = started(&committed.apply(received(1), START)).unwrap().clone();
    assert_eq!(sends(&committed.apply(reply(turn.id), START)), 1);
    committed.apply(Input::MessageRemoved { message: message(1) }, START);
    assert!(committed.floor() > turn.epoch, "its answer has not left yet and stays here");
}

#[test]
fn what_was_taken_back_does_not_silence_the_answer_to_another() {
    let mut conversation = conversation(policy(0, 0));
    let first = started(&conversation.apply(received(1), START)).unwrap().clone();
    conversation.apply(reply(first.id), START);
    conversation.apply(received(2), START);
    let effects = conversation.apply(Input::MessageRemoved { message: message(1) }, START);
    let again = started(&effects).unwrap().clone();
    assert_eq!(again.covers, [message(2)]);
    assert!(again.epoch >= conversation.floor(), "what it says may leave");
    assert_eq!(sends(&conversation.apply(reply(again.id), START)), 1);
}

#[test]
fn a_changed_message_is_answered_anew_while_its_answer_is_being_written() {
    let mut conversation = conversation(policy(0, 0));
    let first = started(&conversation.apply(received(1), START)).unwrap().clone();
    let effects = conversation.apply(Input::MessageEdited { message: message(1) }, START);
    assert!(effects[0] == Effect::CancelTurn { turn: first.id, end: TurnEnd::Superseded });
    let second = started(&effects).unwrap().clone();
    conversation.apply(reply(second.id), START);
    assert!(conversation.apply(Input::MessageEdited { message: message(1) }, START).is_empty());
}

#[test]
fn what_the_business_writes_elsewhere_takes_over() {
    let mut conversation = conversation(policy(0, 0));
    let turn = started(&conversation.apply(received(1), START)).unwrap().clone();
    conversation.apply(Input::BusinessWrote { through: "the owner's phone".into() }, START);
    assert!(matches!(conversation.control(), Control::Operator { .. }));
    assert!(nothing(&conversation.apply(reply(turn.id), START)));
    assert!(started(&conversation.apply(Input::HandedBack, START)).is_none(), "it is answered");
    assert!(started(&conversation.apply(received(2), START)).is_some());
}

#[test]
fn while_another_app_has_the_thread_nothing_is_said_until_somebody_writes_to_us_again() {
    let mut conversation = conversation(policy(0, 0));
    conversation.apply(Input::ThreadLost, START);
    let overheard = Input::MessageReceived {
        message: message(1),
        sent_at: START,
        answer: false,
        fragment: false,
        opens: Opening::Ordinary,
    };
    assert!(conversation.apply(overheard, START).is_empty());
    let effects = conversation.apply(received(2), START);
    assert_eq!(started(&effects).unwrap().covers, [message(2)]);
    assert_eq!(conversation.control(), &Control::Assistant);
}

#[test]
fn an_operator_keeps_the_conversation_whatever_other_apps_do() {
    let mut conversation = conversation(policy(0, 0));
    conversation.apply(Input::TakenOver { operator: "Ada".into() }, START);
    for input in [Input::ThreadLost, Input::ThreadRegained, Input::BusinessWrote { through: "x".into() }] {
        conversation.apply(input, START);
        assert!(matches!(conversation.control(), Control::Operator { name, .. } if name == "Ada"));
    }
}

#[test]
fn windows_are_as_long_as_the_channel_the_act_and_the_writer_allow() {
    use crate::channel::ChannelKind;
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    let page = TurnPolicy { window: WindowPolicy::of(ChannelKind::Messenger), ..policy(0, 0) };
    let mut messenger = conversation(page);
    assert_eq!(messenger.window().human_until, Timestamp::EPOCH);
    messenger.apply(received(0), START);
    assert_eq!(messenger.window().until(false), START.plus_millis(DAY_MS));
    assert_eq!(messenger.window().until(true), START.plus_millis(7 * DAY_MS));
    messenger.apply(Input::ContactActed { at: START, opens: Opening::Ad }, START);
    assert_eq!(messenger.window().until(false), START.plus_millis(7 * DAY_MS));
    let mut whatsapp = conversation(policy(0, 0));
    whatsapp.apply(Input::ContactActed { at: START, opens: Opening::Ordinary }, START);
    assert_eq!(
        whatsapp.window(),
        Window { free_until: START.plus_millis(DAY_MS), human_until: START.plus_millis(DAY_MS) }
    );
    whatsapp.apply(Input::ContactActed { at: START.plus_millis(5), opens: Opening::Nothing }, START);
    assert_eq!(whatsapp.window().free_until, START.plus_millis(DAY_MS), "what is old opens nothing");
}

#[test]
fn a_refusal_of_advertising_is_never_shortened_but_taken_back() {
    let mut conversation = conversation(policy(0, 0));
    let refuse = |until| Input::MarketingRefused { until };
    let (short, long) = (START.plus_millis(5), START.plus_millis(50));
    conversation.apply(refuse(Some(long)), START);
    conversation.apply(refuse(Some(short)), START);
    assert_eq!(conversation.marketing_refused_until(), Some(long));
    conversation.apply(refuse(None), START);
    assert_eq!(conversation.marketing_refused_until(), None);
}

#[test]
fn whoever_does_something_can_be_reached_again() {
    let mut conversation = conversation(policy(0, 0));
    let problem = DeliveryProblem {
        class: crate::delivery::ProblemClass::Recipient,
        code: 131_026,
        title: "gone".into(),
    };
    conversation.apply(Input::Unreachable { problem }, START);
    assert!(conversation.unreachable().is_some());
    conversation.apply(received(1), START);
    assert!(conversation.unreachable().is_none());
}

/// One step of an arbitrary history: the contact, the clock, the model and the desk.
#[derive(Debug, Clone)]
enum Step {
    Message(u8),
    Wait(u16),
    Finish,
    FinishStale(u8),
    TakeOver,
    HandBack,
    Operator,
    Elsewhere,
    Lost,
    Regained,
    Removed(u8),
    Edited(u8),
    Fragment(u8),
    Settled(u8),
    OptOut,
    HandOver,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..12).prop_map(Step::Message),
        3 => (0_u16..3_000).prop_map(Step::Wait),
        3 => Just(Step::Finish),
        1 => (0_u8..8).prop_map(Step::FinishStale),
        1 => Just(Step::TakeOver),
        1 => Just(Step::HandBack),
        1 => Just(Step::Operator),
        1 => Just(Step::Elsewhere),
        1 => Just(Step::Lost),
        1 => Just(Step::Regained),
        1 => (0_u8..12).prop_map(Step::Removed),
        1 => (0_u8..12).prop_map(Step::Edited),
        1 => (0_u8..12).prop_map(Step::Fragment),
        1 => (0_u8..12).prop_map(Step::Settled),
        1 => Just(Step::OptOut),
        1 => Just(Step::HandOver),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn the_same_messages_in_any_order_and_repetition_end_in_the_same_state(
        order in proptest::collection::vec(0_u8..12, 1..60),
        quiet_ms in prop_oneof![Just(0_u64), Just(1_000)],
    ) {
        let mut distinct: Vec<u8> = order.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let (mut one, mut other) = (conversation(policy(quiet_ms, 5_000)), conversation(policy(quiet_ms, 5_000)));
        for n in &order {
            one.apply(received(*n), START);
        }
        for n in distinct.iter().rev() {
            other.apply(received(*n), START);
        }
        prop_assert!(one == other);
        let later = START.plus_millis(10_000);
        one.apply(Input::TimePassed, later);
        other.apply(Input::TimePassed, later);
        prop_assert!(one == other);
        prop_assert_eq!(one.running_turn().unwrap().covers.len(), distinct.len());
    }

    #[test]
    fn no_sequence_answers_a_message_twice_or_talks_over_a_person(steps in proptest::collection::vec(step(), 1..120)) {
        let mut conversation = conversation(TurnPolicy { handback_ms: Some(9_000), media_cap_ms: 4_000, disclose: true, ..policy(500, 2_000) });
        let (mut now, mut seen): (Timestamp, Vec<RunningTurn>) = (START, Vec::new());
        let mut answered: BTreeMap<MessageId, u32> = BTreeMap::new();
        for step in steps {
            let input = match step {
                Step::Message(n) => received(n),
                Step::Wait(ms) => { now = now.plus_millis(u64::from(ms)); Input::TimePassed }
                Step::Finish => match conversation.running_turn() {
                    Some(turn) => reply(turn.id),
                    None => Input::TimePassed,
                },
                Step::FinishStale(back) => match seen.iter().rev().nth(usize::from(back)) {
                    Some(turn) => reply(turn.id),
                    None => Input::TimePassed,
                },
                Step::TakeOver => Input::TakenOver { operator: "Ada".into() },
                Step::HandBack => Input::HandedBack,
                Step::Operator => Input::OperatorWrote { draft: Content::text("mine").into() },
                Step::Elsewhere => Input::BusinessWrote { through: "phone".into() },
                Step::Lost => Input::ThreadLost,
                Step::Regained => Input::ThreadRegained,
                Step::Removed(n) => Input::MessageRemoved { message: message(n) },
                Step::Edited(n) => Input::MessageEdited { message: message(n) },
                Step::Fragment(n) => { conversation.set_pending_media(message(n), true); fragment(n) }
                Step::Settled(n) => Input::MediaSettled { message: message(n) },
                Step::OptOut => Input::OptedOut,
                Step::HandOver => match conversation.running_turn() {
                    Some(turn) => Input::TurnFinished {
                        turn: turn.id,
                        outcome: TurnOutcome::HandOver { reason: HandoverReason::Asked, notice: Some(Content::text("wait")) },
                    },
                    None => Input::TimePassed,
                },
                Step::Restart => Input::Resumed,
            };
            let before = conversation.clone();
            for effect in conversation.apply(input, now) {
                match effect {
                    Effect::StartTurn(turn) => {
                        prop_assert_eq!(conversation.control(), &Control::Assistant);
                        seen.push(turn);
                    }
                    Effect::Send { turn: Some((id, epoch)), .. } => {
                        let running = before.running_turn().unwrap();
                        prop_assert_eq!((running.id, running.epoch), (id, epoch));
                        prop_assert!(epoch >= conversation.floor());
                        for message in &running.covers {
                            *answered.entry(*message).or_default() += 1;
                        }
                    }
                    _ => {}
                }
            }
            prop_assert!(conversation.epoch() >= before.epoch());
            prop_assert!(conversation.floor() >= before.floor());
        }
        prop_assert!(answered.values().all(|times| *times == 1));
    }

    #[test]
    fn reports_in_any_order_and_repetition_end_at_the_highest_and_never_go_back(seed: u64, length in 1_usize..40) {
        use DeliveryStatus::{Delivered, Failed, Queued, Read, Sent, Unknown, Withdrawn};
        let entropy = SeededEntropy::new(seed);
        let all = [Queued, Unknown, Sent, Withdrawn, Failed, Delivered, Read];
        let reports: Vec<DeliveryStatus> =
            (0..length).map(|_| all[usize::try_from(entropy.up_to(6)).unwrap()]).collect();
        let mut conversation = conversation(policy(0, 0));
        let mut known = Delivery::queued(START);
        for status in &reports {
            let reported = Delivery::new(*status, START);
            let input = Input::DeliveryReported { message: message(1), known: known.clone(), reported };
            for effect in conversation.apply(input, START) {
                let Effect::RecordDelivery { delivery, .. } = effect else { continue };
                prop_assert!(delivery.status > known.status);
                known = delivery;
            }
        }
        prop_assert_eq!(known.status, *reports.iter().max().unwrap());
    }
}
