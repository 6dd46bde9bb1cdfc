use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const BY: Actor = Actor::CommandLine;

fn case(kind: RightKind, opened: Opened) -> RightsCase {
    RightsCase {
        id: CaseId::from_bytes([1; 16]),
        revision: 0,
        kind,
        contact: ContactId::from_bytes([2; 16]),
        conversation: ConversationId::from_bytes([3; 16]),
        opened,
        received_at: START,
        verified_at: None,
        proof: None,
        challenge: None,
        due_at: START.plus_millis(1_000),
        law: "AR".to_owned(),
        state: CaseState::Received,
        repeated: false,
        erasure: None,
        told: Vec::new(),
        alerted: 0,
        steps: Vec::new(),
    }
}

fn asked(kind: RightKind) -> RightsCase {
    case(kind, Opened::Staff { by: BY })
}

fn text(text: &str) -> Pii<String> {
    Pii::new(text.to_owned())
}

fn acts() -> Vec<CaseAct> {
    let challenge = Challenge::new("h".to_owned(), START, 10, 3);
    vec![
        CaseAct::Verify(Proof::Code { on_page: true }),
        CaseAct::Challenge(challenge),
        CaseAct::Amend,
        CaseAct::Erase(ErasureId::from_bytes([4; 16])),
        CaseAct::Answer(None),
        CaseAct::Refuse(RefusalGround::NotWrong, text("it is right")),
        CaseAct::Withdraw,
        CaseAct::Lapse,
        CaseAct::Extend(START.plus_millis(5_000)),
    ]
}

#[test]
fn nothing_is_done_for_who_proved_nothing() {
    for kind in RightKind::ALL {
        for act in [CaseAct::Amend, CaseAct::Erase(ErasureId::from_bytes([4; 16])), CaseAct::Answer(None)] {
            let mut case = asked(kind);
            assert_eq!(case.take(act, BY, START), Err(CaseProblem::NotVerified));
            assert!(case == asked(kind));
        }
    }
}

#[test]
fn what_is_noticed_needs_no_proof_and_what_is_asked_is_done_before_it_is_answered() {
    let mut case = case(RightKind::Rectify, Opened::Noticed { by: BY });
    assert_eq!(
        case.take(CaseAct::Verify(Proof::Code { on_page: false }), BY, START),
        Err(CaseProblem::NobodyAsked)
    );
    assert_eq!(case.take(CaseAct::Answer(None), BY, START), Err(CaseProblem::NotDone));
    case.take(CaseAct::Amend, BY, START).unwrap();
    case.take(CaseAct::Answer(None), BY, START).unwrap();
    assert_eq!(case.take(CaseAct::Withdraw, BY, START), Err(CaseProblem::Over("answered")));
}

#[test]
fn a_refusal_says_why() {
    let mut case = asked(RightKind::Delete);
    for wrong in ["", "  ", &"x".repeat(TEXT_CHARS_MAX + 1)] {
        let refuse = CaseAct::Refuse(RefusalGround::DutyToKeep, text(wrong));
        assert_eq!(case.take(refuse, BY, START), Err(CaseProblem::Text));
    }
    case.take(CaseAct::Refuse(RefusalGround::DutyToKeep, text("a court asked for it")), BY, START).unwrap();
    assert_eq!(case.state.name(), "refused");
}

#[test]
fn a_code_works_once_and_for_so_many_tries() {
    let same = |a: &[u8], b: &[u8]| a == b;
    let mut challenge = Challenge::new("right".to_owned(), START, 100, 3);
    assert_eq!(challenge.take("wrong", START, same), Tried::Wrong);
    assert_eq!(challenge.take("right", START, same), Tried::Right);
    assert_eq!(challenge.take("right", START, same), Tried::Over, "once");
    let mut challenge = Challenge::new("right".to_owned(), START, 100, 2);
    assert_eq!(challenge.take("right", START.plus_millis(100), same), Tried::Over, "its time is over");
    for _ in 0..2 {
        challenge.take("wrong", START, same);
    }
    assert_eq!(challenge.take("right", START, same), Tried::Over, "its tries are over");
}

#[test]
fn alerts_come_once_each_and_in_order() {
    let mut case = asked(RightKind::Access);
    let at = |ms| START.plus_millis(ms);
    assert_eq!(case.alert(at(499)), None);
    for (ms, percent) in [(500, 50), (800, 80), (1_000, 100)] {
        assert_eq!(case.alert(at(ms)), Some(percent));
        case.alerted = percent;
        assert_eq!(case.alert(at(ms)), None);
    }
    let mut late = asked(RightKind::Access);
    assert_eq!(late.alert(at(9_999)), Some(100), "what was missed is not told of one after the other");
    late.state = CaseState::Withdrawn { at: START };
    assert_eq!(late.alert(at(9_999)), None);
}

proptest! {
    #[test]
    fn whatever_is_tried_a_case_goes_forward_and_no_act_is_half_done(
        kind in 0_usize..6, noticed: bool, tried in prop::collection::vec(0_usize..9, 0..30)
    ) {
        let opened = if noticed { Opened::Noticed { by: BY } } else { Opened::Staff { by: BY } };
        let mut case = case(RightKind::ALL[kind], opened);
        for (at, act) in tried.into_iter().enumerate() {
            let before = case.clone();
            let act = acts().swap_remove(act);
            match case.take(act, BY, START.plus_millis(at as u64)) {
                Ok(()) => {
                    prop_assert!(before.state.is_open());
                    prop_assert!(case.due_at >= before.due_at && case.steps.len() == before.steps.len() + 1);
                    prop_assert!(before.verified_at.is_none() || case.verified_at == before.verified_at);
                    if case.state.name() == "answered" {
                        prop_assert!(case.is_verified() && case.is_done());
                    }
                    prop_assert!(case.state.is_open() || case.challenge.is_none());
                }
                Err(_) => prop_assert!(case == before),
            }
        }
    }
}
