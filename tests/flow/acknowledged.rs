//! Invariant 1: acknowledged means on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use iassistance_assistant::scripted::Behaviour;
use iassistance_channels::read;
use iassistance_domain::Clock;
use iassistance_storage::StorageError;

use crate::harness::{Flow, NUMBERS, Options, messages, within};

#[actix::test]
async fn what_was_acknowledged_is_in_a_copy_of_the_disk_taken_at_that_moment() {
    // The model hangs, so nothing but the acknowledged message can have led to a reply.
    let mut flow = Flow::with(Options { model: Some(vec![Behaviour::Hang]), ..Options::default() }).await;
    let answer =
        flow.post(messages(NUMBERS[0], "15550199001", &[("wamid.1", 1_790_000_000, "am I safe?")])).await;
    assert_eq!(answer.status(), 200);
    let after_power_cut = flow.folder.as_ref().unwrap().copy();
    flow.end().await;
    let flow = Flow::with(Options { folder: Some(after_power_cut), ..Options::default() }).await;
    flow.sends(1).await;
    assert!(flow.simulator.all_sends()[0].text.contains("am I safe?"));
    flow.finish().await;
}

#[actix::test]
async fn what_cannot_be_written_is_not_acknowledged_and_comes_in_when_it_can() {
    let failing = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&failing);
    let flow = Flow::with(Options::failing(move |act| {
        if act.name == "accept" && switch.load(Ordering::Relaxed) {
            return Err(StorageError::Disk { doing: "syncing", reason: "no space left on device".into() });
        }
        Ok(())
    }))
    .await;
    flow.simulator.say("ana", "hello").unwrap();
    within("a try", flow.simulator.until(|state| state.webhooks.attempts >= 1)).await;
    let body = messages(NUMBERS[0], "15550199001", &[("wamid.2", 1_790_000_000, "and me?")]);
    let answer = flow.post(body.clone()).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(flow.simulator.state().webhooks.acknowledged, 0);
    assert!(flow.store(0).await.conversations(None, 1).await.unwrap().is_empty());
    failing.store(false, Ordering::Relaxed);
    flow.simulator.retry_now();
    assert_eq!(flow.post(body).await.status(), 200);
    flow.sends(2).await;
    flow.finish().await;
}

#[actix::test]
async fn what_was_written_down_is_worked_off_also_when_its_sender_has_gone() {
    let flow = Flow::start().await;
    for (number, text) in ["first", "second"].into_iter().enumerate() {
        let id = format!("wamid.{number}");
        let body = messages(NUMBERS[0], "15550199001", &[(&id, 1_790_000_000, text)]);
        let mut accept = Box::pin(flow.app.engine.accept(flow.meta_app, read(&body, flow.clock.now())));
        // The first one is waited for, so that everything is open; the second one's connection goes.
        if number == 0 {
            accept.await.unwrap();
            flow.sends(1).await;
            flow.quiet(0).await;
        } else {
            assert!(futures::poll!(&mut accept).is_pending());
            drop(accept);
        }
    }
    flow.sends(2).await;
    flow.finish().await;
}
