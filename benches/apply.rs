//! What a conversation takes to decide.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use iassistance_domain::conversation::{Conversation, Effect, Input, TurnOutcome, TurnPolicy};
use iassistance_domain::delivery::{Delivery, DeliveryStatus};
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MessageId};
use iassistance_domain::message::Content;
use iassistance_domain::window::Opening;
use iassistance_domain::{SeededEntropy, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fn conversation(enabled: bool) -> Conversation {
    let entropy = SeededEntropy::new(1);
    let (id, channel) = (ConversationId::new(NOW, &entropy), ChannelId::new(NOW, &entropy));
    let mut conversation = Conversation::open(id, channel, ContactId::new(NOW, &entropy), NOW);
    conversation.set_policy(TurnPolicy { enabled, ..TurnPolicy::default() });
    conversation
}

fn received(message: MessageId) -> Input {
    Input::MessageReceived { message, sent_at: NOW, answer: true, fragment: false, opens: Opening::Ordinary }
}

/// A message comes, the turn begins, the model answers.
fn turn(conversation: &mut Conversation, message: MessageId) -> usize {
    let effects = conversation.apply(received(message), NOW);
    let Some(Effect::StartTurn(turn)) = effects.first() else { return 0 };
    let outcome = TurnOutcome::Reply { content: Content::text("Yes, in blue too."), follow_up: None };
    conversation.apply(Input::TurnFinished { turn: turn.id, outcome }, NOW).len()
}

fn apply(criterion: &mut Criterion) {
    let entropy = SeededEntropy::new(2);
    let message = MessageId::new(NOW, &entropy);
    let mut group = criterion.benchmark_group("apply");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    let (quiet, answering) = (conversation(false), conversation(true));
    group.bench_function("message", |bencher| {
        let setup = || (quiet.clone(), received(message));
        bencher.iter_batched(
            setup,
            |(mut conversation, input)| (conversation.apply(black_box(input), NOW), conversation),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("status", |bencher| {
        let reported = Delivery { status: DeliveryStatus::Delivered, ..Delivery::queued(NOW) };
        let input = Input::DeliveryReported { message, known: Delivery::queued(NOW), reported };
        bencher.iter_batched(
            || (quiet.clone(), input.clone()),
            |(mut conversation, input)| (conversation.apply(black_box(input), NOW), conversation),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("turn", |bencher| {
        bencher.iter_batched(
            || answering.clone(),
            |mut conversation| {
                assert_eq!(turn(&mut conversation, message), 2, "what is sent, and the end of the turn");
                conversation
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
