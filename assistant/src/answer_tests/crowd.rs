use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::join_all;
use iassistance_domain::SeededEntropy;

use super::super::*;
use super::scene::*;
use crate::scripted::Behaviour;

/// The money of a tenant, out of which every turn has a purse.
#[derive(Default)]
struct Pot {
    left: u64,
    spent: u64,
    reserved: u64,
}

struct Share {
    pot: Arc<Mutex<Pot>>,
    reserved: Mutex<Option<u64>>,
}

#[async_trait]
impl Purse for Share {
    async fn reserve(&self, least: Cost, most: Cost) -> Option<Cost> {
        let mut pot = self.pot.lock().unwrap();
        let granted = most.0.min(pot.left);
        if granted < least.0 {
            return None;
        }
        (pot.left, pot.reserved) = (pot.left - granted, pot.reserved + granted);
        assert!(self.reserved.lock().unwrap().replace(granted).is_none());
        Some(Cost(granted))
    }

    async fn settle(&self, spent: Cost) {
        let mut pot = self.pot.lock().unwrap();
        let granted = self.reserved.lock().unwrap().take().expect("it was reserved");
        (pot.left, pot.reserved) = (pot.left + granted.saturating_sub(spent.0), pot.reserved - granted);
        pot.spent += spent.0;
    }
}

#[test]
fn a_thousand_turns_at_once_spend_no_more_than_there_is() {
    const BUDGET: u64 = 20_000;
    // It says three times as much as it may, word by word.
    let words = Behaviour::SaySlowly { ms: 10, text: "word ".repeat(300) };
    let scene = Scene::new([words]);
    let pot = Arc::new(Mutex::new(Pot { left: BUDGET, ..Pot::default() }));
    let (server, prices, entropy) = (server(), prices(), SeededEntropy::new(1));
    let turns = (0..1_000).map(|_| {
        let scene = &scene;
        let (server, prices, entropy) = (&server, &prices, &entropy);
        let purse = Share { pot: Arc::clone(&pot), reserved: Mutex::default() };
        async move {
            let mut tools = Scene::new([]).tools;
            answer(
                Asking {
                    generator: &scene.model,
                    services: &scene.model,
                    server,
                    moderation_model: "moderator",
                    fallback_models: &[],
                    policy: POLICY,
                    breakers: &scene.breakers,
                    tenant: TenantId::from_bytes([1; 16]),
                    purse: &purse,
                    prices,
                    tools: &mut tools,
                    clock: &scene.clock,
                    entropy,
                    cancel: &scene.cancel,
                    on_progress: &mut |_| {},
                },
                prompt(),
            )
            .await
        }
    });
    let mut turns = Box::pin(join_all(turns));
    let answers = loop {
        if let Some(answers) = turns.as_mut().now_or_never() {
            break answers;
        }
        scene.clock.advance_to(scene.clock.next_due().expect("they hang"));
        let pot = pot.lock().unwrap();
        assert!(pot.spent + pot.reserved <= BUDGET);
    };
    let (answered, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| matches!(answer.end, AnswerEnd::Said(_)));
    assert!(answered.len() > 80, "{}", answered.len());
    assert!(refused.iter().all(|answer| answer.end == AnswerEnd::OverBudget));
    let pot = pot.lock().unwrap();
    assert_eq!(pot.reserved, 0);
    assert!(pot.spent <= BUDGET, "{}", pot.spent);
    assert_eq!(pot.spent, answers.iter().map(|answer| answer.work.cost().0).sum::<u64>());
}
