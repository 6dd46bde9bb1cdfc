//! Deletion: of a thousand people nothing can be read any more, wherever its bytes are: in the files of the store,
//! with all keys that live, and in every older backup that is restored; and nobody else lost anything. Who had asked
//! for silence is not written to first, also after a restore of what was before they asked.

use std::collections::BTreeSet;
use std::path::Path;

use iassistance::app::Vaulted;
use iassistance::copies::backups;
use iassistance_config::BackupSettings;
use iassistance_domain::Pii;
use iassistance_domain::audit::Actor;
use iassistance_domain::content::Content;
use iassistance_domain::conversation::Input;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::SubscriptionId;
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::message::Elsewhere;
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::{ErasureGround, ErasureState, Place as Where, Remainder};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::backup::{Identity, Place as BackupPlace, Source, Target, Which, new_identity};

use crate::book::Proof;
use crate::folder::{Place, close, copy, files, keeper};
use crate::people::{Somebody, channel_of, first, of, readable, tenant_of, tenants, writes};
use crate::size;
use crate::support::{identity, step};

const NEIGHBOURS: usize = 40;
/// Of so many one asked for silence, after the backups were made.
const SILENT_EVERY: usize = 50;

struct Scene {
    place: Place,
    erased: Vec<Somebody>,
    kept: Vec<(u8, Somebody)>,
    identity: Identity,
    backup: BackupSettings,
}

impl Scene {
    async fn set(subjects: usize) -> (Self, Vaulted) {
        let mut place = Place::new();
        let vaulted = place.open();
        tenants(&vaulted, 2).await;
        let (secret, recipient) = new_identity();
        let identity = Identity::read(&format!("{}\n", secret.expose())).unwrap();
        let backup =
            BackupSettings { recipients: vec![recipient], keep: 20, ..vaulted.settings.backup.clone() };
        let mut scene = Self { place, erased: Vec::new(), kept: Vec::new(), identity, backup };
        for number in 0..NEIGHBOURS {
            for tenant in [1, 2] {
                scene.kept.push((tenant, writes(&vaulted, tenant, 5_000_000 + number).await));
            }
        }
        for number in 0..subjects {
            scene.erased.push(writes(&vaulted, 1, number).await);
            if number == subjects / 2 {
                scene.back_up(&vaulted).await;
            }
        }
        scene.back_up(&vaulted).await;
        (scene, vaulted)
    }

    fn backups(&self) -> BackupPlace {
        let folder = self
            .place
            .folder
            .with_file_name(format!("{}-backups", self.place.folder.file_name().unwrap().to_str().unwrap()));
        BackupPlace::folder(folder.to_str().unwrap()).unwrap()
    }

    async fn back_up(&self, vaulted: &Vaulted) {
        let store = vaulted.sled.clone().unwrap();
        backups(vaulted, self.backups(), &store, &self.backup).unwrap().make().await.unwrap();
    }

    /// Of those who were erased, how many can be read; of the others, how many cannot.
    async fn found(&self, vaulted: &Vaulted) -> (usize, usize) {
        let (mut recovered, mut harmed) = (0, 0);
        let store = of(vaulted, 1).await;
        for somebody in &self.erased {
            recovered += usize::from(readable(&*store, somebody).await.contains(&somebody.secret));
        }
        for (tenant, somebody) in &self.kept {
            let store = of(vaulted, *tenant).await;
            let text = readable(&*store, somebody).await;
            let whole = ["name", "words", "sum", "town", "wants"]
                .iter()
                .all(|word| text.contains(&format!("{word} {}", somebody.secret)));
            let file = match somebody.file {
                Some(id) => match vaulted.content.get(tenant_of(*tenant), id).await {
                    Ok(Some(opened)) => opened.read().await.is_ok_and(|bytes| !bytes.is_empty()),
                    _ => false,
                },
                None => true,
            };
            harmed += usize::from(!whole || !file);
        }
        (recovered, harmed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_22() {
    let proof = Proof::of(22);
    let subjects = size("IASSISTANCE_SUBJECTS", 1_000);
    let (mut scene, vaulted) = Scene::set(subjects).await;
    assert_eq!(scene.found(&vaulted).await, (subjects, 0), "what is looked for can be found before");
    close(vaulted).await;
    let image = scene.place.folder.with_extension("image");
    copy(&scene.place.folder, &image);
    let vaulted = scene.place.open();

    ask_for_silence(&scene, &vaulted).await;
    events_are_on_their_way(&scene, &vaulted).await;
    erase_all(&scene, &vaulted).await;
    let vaulted = interrupted(&mut scene, vaulted).await;
    scene.back_up(&vaulted).await;
    let receipts = finish(&scene, &vaulted, subjects).await;

    assert_eq!(scene.found(&vaulted).await, (0, 0), "recovered, harmed");
    repeated_webhooks_bring_nobody_back(&scene, &vaulted).await;
    the_log_says_nothing(&scene, &vaulted).await;
    let silent = who_asked_for_silence_has_it(&scene, &vaulted).await;
    nothing_is_left_that_does_not_open(&vaulted).await;
    let findings = vaulted.store.check(&|_, _| ()).await.unwrap().1;
    assert_eq!(findings, Vec::<String>::new(), "the store is whole");
    close(vaulted).await;

    let bytes = nothing_in(&scene, &scene.place.folder);
    let opened = live_keys_open_nothing_of_before(&scene, &image).await;
    let restored = backups_bring_nobody_back(&scene).await;
    std::fs::remove_dir_all(&image).unwrap();
    former_keys_are_given_up(&mut scene).await;
    proof.kept(format!(
        "{subjects} erased with {receipts} receipts, {NEIGHBOURS}x2 neighbours whole; {bytes} bytes of files searched; {opened} tried with the keys that live; {restored} backups restored; {silent} silent, each time"
    ));
}

impl Scene {
    fn silent(&self) -> impl Iterator<Item = &Somebody> {
        self.erased[..self.erased.len() / 2].iter().step_by(SILENT_EVERY)
    }
}

async fn ask_for_silence(scene: &Scene, vaulted: &Vaulted) {
    let store = of(vaulted, 1).await;
    for somebody in scene.silent() {
        let mut commit = step(&*store, somebody.conversation).await;
        commit.conversation.apply(Input::OptedOut, vaulted.clock.now());
        store.commit(commit).await.unwrap();
    }
}

/// Of each who has a file one event waits to be sent to a system of the tenant's, and one was.
async fn events_are_on_their_way(scene: &Scene, vaulted: &Vaulted) {
    let (store, now) = (of(vaulted, 1).await, vaulted.clock.now());
    let id = SubscriptionId::from_bytes([5; 16]);
    let subscription = Subscription {
        id,
        url: Pii::new("https://example.org/hook".to_owned()),
        kinds: vec!["*".to_owned()],
        secrets: Vec::new(),
        state: SubscriptionState::Active,
        created_at: now,
        description: String::new(),
    };
    store.hooks().put_subscription(subscription).await.unwrap();
    let theirs = scene.erased.iter().filter(|it| it.file.is_some());
    for (somebody, number) in theirs.zip(1..) {
        let of = |seq| Delivery::new(id, EventSeq(seq), Some(somebody.conversation), now);
        let arrived = Delivery { state: DeliveryState::Delivered, ..of(2 * number) };
        let deliveries = vec![of(2 * number - 1), arrived];
        store.hooks().take_up(id, deliveries, EventSeq(2 * number)).await.unwrap();
    }
}

/// The business writes to them on its own phone: a conversation comes of it, in which nobody else writes. How many.
async fn who_asked_for_silence_has_it(scene: &Scene, vaulted: &Vaulted) -> usize {
    let store = of(vaulted, 1).await;
    let mut silent = 0;
    for somebody in scene.silent() {
        let provider_id = format!("wamid.echo to {}", somebody.number);
        let echo = InboundEvent {
            dedup: Pii::new(format!("m:{provider_id}")),
            occurred_at: vaulted.clock.now(),
            kind: InboundKind::EchoReceived {
                provider_id: Pii::new(provider_id),
                to: identity(&somebody.number),
                message: None,
                content: Content::text("we have news"),
                context: None,
                through: Elsewhere::Phone,
                arrival: Arrival::Live,
            },
        };
        let accepted = store.accept(channel_of(1), &[echo]).await.unwrap();
        let (conversation, _) = store.conversation(accepted.conversations[0]).await.unwrap().unwrap();
        assert!(conversation.contact != somebody.contact && conversation.opted_out());
        silent += 1;
    }
    silent
}

/// Half of them are erased, then the process ends between two steps.
async fn erase_all(scene: &Scene, vaulted: &Vaulted) {
    let keeper = keeper(vaulted);
    let due = vaulted.clock.now().plus_millis(5 * 24 * 3_600_000);
    let ground = ErasureGround::Asked { by: Actor::CommandLine };
    for somebody in &scene.erased[..scene.erased.len() / 2] {
        let erasure = keeper.erase(tenant_of(1), somebody.contact, ground, due).await.unwrap();
        assert!(matches!(erasure.state, ErasureState::Erased { .. }));
        for place in [Where::SubjectKey, Where::Contacts, Where::Messages, Where::Executions, Where::Outbox] {
            assert!(erasure.receipt.count(place) > 0, "{place:?}");
        }
        for place in [Where::Summaries, Where::Answers, Where::DeadLetters] {
            assert_eq!(erasure.receipt.count(place), 1, "{place:?}");
        }
        // What few have: see `people::writes`.
        let few =
            [Where::Files, Where::Inbox, Where::Parked, Where::Disclosures, Where::Events, Where::Webhooks];
        for place in few {
            assert_eq!(erasure.receipt.count(place), u64::from(somebody.file.is_some()), "{place:?}");
        }
        // What was spent in the conversation, on them, and is set aside; them, who they are, a correction, a consent.
        let (spending, contacts) = if somebody.file.is_some() { (3, 4) } else { (0, 2) };
        assert_eq!(erasure.receipt.count(Where::Spending), spending);
        assert_eq!(erasure.receipt.count(Where::Contacts), contacts);
        assert_eq!(
            erasure.disclosures.lines.len(),
            usize::from(somebody.file.is_some()),
            "who is to be told"
        );
        assert!(erasure.receipt.remains.iter().any(|remains| remains.what == Remainder::KeyEpoch));
    }
}

/// The rest is written down as to be erased, and the process ends before anything is done: the next one does it.
async fn interrupted(scene: &mut Scene, vaulted: Vaulted) -> Vaulted {
    use iassistance::erasures::{Erased, ErasureList};
    let list = ErasureList::beside(&vaulted.settings.vault.keyring_file);
    let rest = &scene.erased[scene.erased.len() / 2..];
    let line = |it: &Somebody| Erased {
        tenant: tenant_of(1),
        contact: Some(it.contact),
        keep: Vec::new(),
        refused: None,
    };
    list.add(&rest.iter().map(line).collect::<Vec<_>>()).unwrap();
    close(vaulted).await;
    let vaulted = scene.place.open();
    assert_eq!(keeper(&vaulted).replay(None).await.unwrap(), rest.len());
    vaulted
}

/// What waits becomes final by the clock, and every receipt says so.
async fn finish(scene: &Scene, vaulted: &Vaulted, subjects: usize) -> usize {
    let before = vaulted.keyring.tenant(tenant_of(1)).unwrap().epochs();
    scene.place.clock.advance_millis(24 * 3_600_000);
    keeper(vaulted).round().await;
    let ctx = TenantCtx::platform(tenant_of(1));
    assert_eq!(vaulted.store.keeping().unfinished_erasures(ctx).await.unwrap(), []);
    let after = vaulted.keyring.tenant(tenant_of(1)).unwrap().epochs();
    assert!(after.len() == 1 && after[0] > before[0], "{before:?} {after:?}");
    let (mut before, mut receipts) = (None, 0);
    loop {
        let page = vaulted.store.keeping().erasures(ctx, before, 500).await.unwrap();
        for erasure in &page {
            assert!(erasure.state.is_final());
            assert!(erasure.receipt.remains.iter().all(|remains| remains.what != Remainder::KeyEpoch));
        }
        receipts += page.len();
        before = page.last().map(|erasure| erasure.id);
        if page.len() < 500 {
            assert_eq!(receipts, subjects);
            return receipts;
        }
    }
}

/// Meta repeats for seven days: nobody is known again by it.
async fn repeated_webhooks_bring_nobody_back(scene: &Scene, vaulted: &Vaulted) {
    let store = of(vaulted, 1).await;
    let events: Vec<_> = (0..scene.erased.len().min(200)).map(|number| first(1, number)).collect();
    let accepted = store.accept(channel_of(1), &events).await.unwrap();
    assert!(accepted.new.iter().all(|new| !new) && accepted.conversations.is_empty());
}

async fn the_log_says_nothing(scene: &Scene, vaulted: &Vaulted) {
    let store = of(vaulted, 1).await;
    let contacts: BTreeSet<_> = scene.erased.iter().map(|it| it.contact).collect();
    let mut after = EventSeq::default();
    loop {
        let events = store.events(after, 500).await.unwrap();
        let Some(last) = events.last() else { return };
        after = last.seq;
        for mut event in events {
            if let EventKind::WebhookKept { raw, .. } = &event.kind {
                let raw = raw.reveal(Rights);
                assert!(scene.erased.iter().all(|it| !raw.contains(&it.secret) && !raw.contains(&it.number)));
            }
            assert!(event.contact.is_none_or(|contact| !contacts.contains(&contact)));
            if let Some(message) = event.kind.message_mut()
                && let Content::Text { body, .. } = &message.content
            {
                assert!(scene.erased.iter().all(|it| !body.reveal(Rights).contains(&it.secret)));
            }
        }
    }
}

/// What the erased had left in the log was put out by the turn of the keys: each number of it opens.
async fn nothing_is_left_that_does_not_open(vaulted: &Vaulted) {
    let scanned = vaulted.store.keeping().scan_map().await.unwrap();
    let mut numbers = 0;
    for tenant in [1, 2] {
        let log = of(vaulted, tenant).await.events(EventSeq::default(), usize::MAX).await.unwrap();
        numbers += log.len() as u64;
    }
    assert_eq!((scanned.kinds["event"], scanned.unreadable), (numbers, 0), "events that open, of so many");
    let left = scanned.kinds.get("delivery").copied().unwrap_or_default();
    assert_eq!(left, 0, "what arrived at the tenant's systems goes with the turn of the keys");
}

/// No file holds a word or a number of theirs in the clear. How many bytes were searched.
fn nothing_in(scene: &Scene, folder: &Path) -> usize {
    let sample: Vec<&Somebody> = scene.erased.iter().step_by(scene.erased.len().div_ceil(100)).collect();
    let mut searched = 0;
    files(folder, |path, bytes| {
        searched += bytes.len();
        for somebody in &sample {
            for needle in [&somebody.secret, &somebody.number] {
                assert!(memchr::memmem::find(bytes, needle.as_bytes()).is_none(), "{}", path.display());
            }
        }
    });
    searched
}

/// The store as it was before, which has every byte that a disk may still hold: the keys that live now open
/// nothing in it.
async fn live_keys_open_nothing_of_before(scene: &Scene, image: &Path) -> usize {
    std::fs::copy(scene.place.folder.join("keyring.json"), image.join("keyring.json")).unwrap();
    let mut place = scene.place.at(image.to_owned());
    let vaulted = place.open();
    let store = of(&vaulted, 1).await;
    for somebody in &scene.erased {
        assert!(!readable(&*store, somebody).await.contains(&somebody.secret), "a key that lives opens it");
        if let Some(file) = somebody.file {
            let opened = vaulted.content.get(tenant_of(1), file).await;
            assert!(!matches!(opened, Ok(Some(_))), "a key that lives opens a file");
        }
    }
    close(vaulted).await;
    scene.erased.len()
}

/// Every backup that there is, restored and started: nobody is back, and nobody else lost anything.
async fn backups_bring_nobody_back(scene: &Scene) -> usize {
    let source = Source::new(scene.backups());
    let (all, _) = source.list().await.unwrap();
    for manifest in &all {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("restored");
        copy(&scene.place.folder, &to);
        std::fs::remove_dir_all(to.join("store")).unwrap();
        std::fs::remove_dir_all(to.join("media")).unwrap();
        let chain = source.chain(Which::Id(manifest.id), None).await.unwrap();
        let target = Target { store: to.join("store"), media: Some(to.join("media")) };
        source.restore(&chain, &scene.identity, &target, None, &|_| ()).await.unwrap();
        let vaulted = scene.place.at(to).open();
        keeper(&vaulted).replay(None).await.unwrap();
        vaulted.sled.as_ref().unwrap().settle_restored().await.unwrap();
        assert_eq!(
            scene.found(&vaulted).await,
            (0, 0),
            "recovered, harmed, of a backup of {}",
            manifest.at.to_rfc3339()
        );
        keeper(&vaulted).make_final(tenant_of(1)).await.unwrap();
        assert_eq!(scene.found(&vaulted).await, (0, 0), "and once it is final");
        who_asked_for_silence_has_it(scene, &vaulted).await;
        close(vaulted).await;
    }
    assert!(all.len() >= 3, "{}", all.len());
    all.len()
}

/// When their days are over there is no copy of the former keys: nothing opens what was erased.
async fn former_keys_are_given_up(scene: &mut Scene) {
    let folder = scene.place.folder.join("keyring-copies");
    let copies = || std::fs::read_dir(&folder).unwrap().count();
    assert!(copies() > 0, "a backup from before can be restored until then");
    let vaulted = scene.place.open();
    let days = u64::from(vaulted.settings.vault.copies_days);
    scene.place.clock.advance_millis((days + 1) * 24 * 3_600_000);
    keeper(&vaulted).round().await;
    assert_eq!(copies(), 0, "copies of former keys");
    close(vaulted).await;
}
