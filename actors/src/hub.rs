//! The hub tails the event log: an event is serialised once, packed as it is sent once, and shared by all who watch.
//!
//! Nothing upstream knows the hub. A subscriber has a place in its tenant's log and is handed what
//! comes after it: from the shared tail while it keeps up, from the log itself when it does not.
//!
//! Besides there are whispers: what a turn says while it is being written. They are in no log, go to
//! those alone who asked for them, and who is too slow for them misses some.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use dashmap::DashMap;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};

use iassistance_domain::Timestamp;
use iassistance_domain::event::{Event, EventKind, EventSeq};
use iassistance_domain::id::{ConversationId, TenantId};
use iassistance_storage::{StorageError, TenantStore};

use crate::kernel::Tasks;
use crate::stage::Stage;

/// How many events are read from the log at once.
const PAGE: usize = 256;
/// How many events a subscriber that catches up reads from the log at once.
const CAUGHT_UP: usize = 64;
/// Bytes of a page of the tail, and so of a batch from there; one frame may have more. It is in memory as long as somebody has yet to be sent a
/// part of it. The HTTP server keeps a connection's buffer for writing while it has no more than twice as many bytes, and
/// makes a new one for each larger batch.
const PAGE_BYTES_MAX: usize = 64 << 10;
/// How many whispers wait for the slowest who listens; older ones are lost to them.
const WHISPERS_MAX: usize = 256;
/// How many whispers come before events that are there: those of a turn come before its end.
const WHISPERS_FIRST: usize = 64;

/// An event, serialised once.
#[derive(Clone)]
pub struct Frame {
    /// Its place.
    pub seq: EventSeq,
    /// The conversation that it is about.
    pub conversation: Option<ConversationId>,
    /// To whom the conversation was given and from whom it was taken, where the event is that.
    pub assigned: Option<Arc<Assigned>>,
    /// `{"type":"event","seq":…,"tenant":…,"event":{…}}`.
    pub json: ByteString,
}

/// Events in their order: a part of what came together, shared by all who are handed it.
#[derive(Clone, Default)]
pub struct Frames {
    page: Arc<Page>,
    part: Range<usize>,
}

/// Frames that came together, and as they are sent once somebody was sent some of them.
#[derive(Default)]
struct Page {
    frames: Box<[Frame]>,
    packed: OnceLock<Packed>,
}

/// Frames as bytes, one behind the other, and where each of them ends.
struct Packed {
    bytes: Bytes,
    ends: Box<[usize]>,
}

impl Deref for Frames {
    type Target = [Frame];

    fn deref(&self) -> &[Frame] {
        &self.page.frames[self.part.clone()]
    }
}

impl From<Vec<Frame>> for Frames {
    fn from(frames: Vec<Frame>) -> Self {
        Self { part: 0..frames.len(), page: Page::of(frames) }
    }
}

impl Page {
    fn of(frames: impl IntoIterator<Item = Frame>) -> Arc<Self> {
        Arc::new(Self { frames: frames.into_iter().collect(), packed: OnceLock::new() })
    }
}

impl Frames {
    /// These frames as they are sent, one behind the other. `pack` puts one behind what is there; it is asked for
    /// each frame once, for all who are handed these events, so it must always do the same.
    pub fn packed(&self, pack: impl Fn(&mut BytesMut, &str)) -> Bytes {
        let Packed { bytes, ends } = self.page.packed.get_or_init(|| {
            let json: usize = self.page.frames.iter().map(|frame| frame.json.len()).sum();
            let (mut bytes, mut ends) = (BytesMut::with_capacity(json + json / 8), Vec::new());
            for frame in &self.page.frames {
                pack(&mut bytes, &frame.json);
                ends.push(bytes.len());
            }
            Packed { bytes: bytes.freeze(), ends: ends.into() }
        });
        let end = |count: usize| count.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        bytes.slice(end(self.part.start)..end(self.part.end))
    }
}

/// A conversation changed hands.
pub struct Assigned {
    /// Whose it is now.
    pub to: Option<String>,
    /// Whose it was.
    pub from: Option<String>,
}

/// What is said while it is being written, and kept nowhere.
#[derive(Clone)]
pub struct Whisper {
    /// The conversation that it is about.
    pub conversation: ConversationId,
    /// `{"type":"turn.token",…}` or `{"type":"turn.tool",…}`.
    pub json: ByteString,
}

/// What a subscriber gets.
pub enum Batch {
    /// The next events, in order and without a gap.
    Events(Frames),
    /// The next whisper, for who listens to them.
    Whisper(Whisper),
    /// The subscriber was too slow for the shared tail: these follow from the log, none is skipped.
    Lagged {
        /// The first of them.
        from: EventSeq,
        /// The last of them, as of now.
        to: EventSeq,
    },
    /// The hub has closed.
    Closed,
}

/// The live feed of all tenants.
#[derive(Clone)]
pub struct Hub {
    tails: Arc<DashMap<TenantId, Arc<Tail>>>,
    tail_events: usize,
    tasks: Tasks,
    closing: watch::Sender<bool>,
}

/// The latest events of one tenant, while somebody watches it.
struct Tail {
    tenant: TenantId,
    kept: Mutex<Kept>,
    latest: watch::Sender<EventSeq>,
    whispers: broadcast::Sender<Whisper>,
    /// Whether the log that it tails is not the tenant's any more.
    ended: AtomicBool,
}

/// Frames as they came together, oldest first, and how many there are. Those that are forgotten of the first stay
/// in memory until all of it is.
#[derive(Default)]
struct Kept {
    pages: VecDeque<Arc<Page>>,
    forgotten: usize,
    count: usize,
}

impl Kept {
    fn add(&mut self, frames: Vec<Frame>, most: usize) {
        self.count += frames.len();
        let (mut page, mut bytes) = (Vec::new(), 0);
        for frame in frames {
            bytes += frame.json.len();
            if bytes > PAGE_BYTES_MAX && !page.is_empty() {
                bytes = frame.json.len();
                self.pages.push_back(Page::of(std::mem::take(&mut page)));
            }
            page.push(frame);
        }
        if !page.is_empty() {
            self.pages.push_back(Page::of(page));
        }
        while self.count > most
            && let Some(page) = self.pages.front()
        {
            let goes = (self.count - most).min(page.frames.len().saturating_sub(self.forgotten));
            self.count -= goes;
            self.forgotten += goes;
            if self.forgotten >= page.frames.len() {
                self.pages.pop_front();
                self.forgotten = 0;
            }
        }
    }

    fn first(&self) -> Option<EventSeq> {
        self.pages.front()?.frames.get(self.forgotten).map(|frame| frame.seq)
    }
}

/// One who watches a tenant.
pub struct Subscription {
    tail: Arc<Tail>,
    store: Arc<dyn TenantStore>,
    latest: watch::Receiver<EventSeq>,
    closing: watch::Receiver<bool>,
    after: EventSeq,
    catching_up_to: Option<EventSeq>,
    whispers: Option<broadcast::Receiver<Whisper>>,
    heard: usize,
}

impl Hub {
    pub(crate) fn new(tail_events: usize, tasks: Tasks) -> Self {
        Self { tails: Arc::default(), tail_events, tasks, closing: watch::Sender::new(false) }
    }

    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Resolves when the hub has closed: nothing follows any more.
    pub async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // An error means that the hub has gone, which is as much.
        drop(closing.wait_for(|closing| *closing).await);
    }

    /// Tells all who watch a tenant that its log was replaced: they are closed.
    pub(crate) fn end(&self, tenant: TenantId) {
        if let Some((_, tail)) = self.tails.remove(&tenant) {
            tail.ended.store(true, Ordering::Release);
            tail.latest.send_modify(|_| {});
        }
    }

    /// Takes out of memory what was said in a conversation whose contact was erased.
    pub(crate) fn erase(&self, tenant: TenantId, conversation: ConversationId, at: Timestamp) {
        let Some(tail) = self.tails.get(&tenant).map(|tail| Arc::clone(&tail)) else { return };
        let is_of = |frame: &Frame| frame.conversation == Some(conversation);
        for page in tail.lock().pages.iter_mut().filter(|page| page.frames.iter().any(is_of)) {
            let left = page.frames.iter().filter_map(|kept| {
                let (seq, kind) = (kept.seq, EventKind::EventErased);
                let erased = Event { seq, at, conversation: None, contact: None, kind };
                if is_of(kept) { frame(tenant, &erased) } else { Some(kept.clone()) }
            });
            *page = Page::of(left);
        }
    }

    /// Watches a tenant from after `after`; from now on when that is `None`.
    pub fn subscribe(
        &self,
        tenant: TenantId,
        store: Arc<dyn TenantStore>,
        after: Option<EventSeq>,
    ) -> Subscription {
        let now = *store.latest_event().borrow();
        let (tail, latest) = self.tail(tenant, &store, now);
        // A number from the future (another log's) would wait for ever.
        let after = after.map_or(now, |after| after.min(now));
        Subscription {
            latest,
            tail,
            store,
            closing: self.closing.subscribe(),
            after,
            // What is behind from the start was asked for: nobody has to be told.
            catching_up_to: (after < now).then_some(now),
            whispers: None,
            heard: 0,
        }
    }

    /// Tells those who listen what is not in the log. What it says is only made where anybody does;
    /// nothing comes of it where it makes nothing.
    pub fn whisper(
        &self,
        tenant: TenantId,
        conversation: ConversationId,
        json: impl FnOnce() -> Option<String>,
    ) {
        let Some(whispers) = self.tails.get(&tenant).map(|tail| tail.whispers.clone()) else { return };
        if whispers.receiver_count() > 0
            && let Some(json) = json()
        {
            // An error says that the last one has just gone.
            drop(whispers.send(Whisper { conversation, json: json.into() }));
        }
    }

    /// The tail of a tenant, followed from now on if it was not, and news of it.
    fn tail(
        &self,
        tenant: TenantId,
        store: &Arc<dyn TenantStore>,
        now: EventSeq,
    ) -> (Arc<Tail>, watch::Receiver<EventSeq>) {
        let entry = self.tails.entry(tenant).or_insert_with(|| {
            let (whispers, _) = broadcast::channel(WHISPERS_MAX);
            let latest = watch::Sender::new(now);
            let tail = Arc::new(Tail {
                tenant,
                kept: Mutex::default(),
                latest,
                whispers,
                ended: AtomicBool::new(false),
            });
            let (follower, store, tails) = (Arc::clone(&tail), Arc::clone(store), Arc::clone(&self.tails));
            let (mut closing, keep) = (self.closing.subscribe(), self.tail_events);
            self.tasks.spawn("hub.tail", async move {
                let unwatched = || {
                    let mine = |_: &TenantId, tail: &Arc<Tail>| {
                        Arc::ptr_eq(tail, &follower) && tail.latest.receiver_count() == 0
                    };
                    tails.remove_if(&tenant, mine).is_some()
                };
                tokio::select! {
                    () = follower.follow(&*store, now, keep, unwatched) => {}
                    _ = closing.wait_for(|closing| *closing) => {}
                }
                tails.remove_if(&tenant, |_, tail| Arc::ptr_eq(tail, &follower));
                // Whoever waits for news looks whether the hub has closed.
                follower.latest.send_modify(|_| {});
            });
            tail
        });
        // Still under the map's lock, so that the tail is not taken off as unwatched in between.
        let latest = entry.latest.subscribe();
        (Arc::clone(&entry), latest)
    }
}

impl Tail {
    /// Follows the log until it ends or nobody watches any more.
    async fn follow(
        &self,
        store: &dyn TenantStore,
        mut after: EventSeq,
        keep: usize,
        unwatched: impl Fn() -> bool,
    ) {
        let mut latest = store.latest_event();
        while !self.ended.load(Ordering::Acquire) && !unwatched() {
            match store.events(after, PAGE).await {
                Ok(events) if events.is_empty() => {
                    if latest.changed().await.is_err() {
                        return;
                    }
                }
                Ok(events) => {
                    after = events.last().map_or(after, |event| event.seq);
                    Stage::Publish.run(|| self.publish(&events, keep));
                }
                Err(error) => {
                    // Subscribers read the log themselves and meet the same error.
                    tracing::warn!(tenant = %self.tenant, %error, "the event log could not be read");
                    if latest.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn publish(&self, events: &[Event], keep: usize) {
        let Some(last) = events.last() else { return };
        let frames: Vec<Frame> = events.iter().filter_map(|event| frame(self.tenant, event)).collect();
        self.lock().add(frames, keep);
        self.latest.send_replace(last.seq);
    }

    /// At most `limit` frames after `after`, of one page; `None` when the tail does not reach back so far.
    fn after(&self, after: EventSeq, limit: usize) -> Option<Frames> {
        let kept = self.lock();
        if kept.first()?.0 > after.0 + 1 {
            return None;
        }
        let is_past = |page: &Arc<Page>| page.frames.last().is_none_or(|last| last.seq <= after);
        let place = kept.pages.partition_point(is_past);
        let Some(page) = kept.pages.get(place) else { return Some(Frames::default()) };
        let start = page.frames.partition_point(|frame| frame.seq <= after);
        let end = page.frames.len().min(start.saturating_add(limit));
        Some(Frames { page: Arc::clone(page), part: start..end })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// The place after which the next batch begins.
    pub fn position(&self) -> EventSeq {
        self.after
    }

    /// Listens to whispers too, or does not any more. What was whispered before is not heard.
    pub fn listen(&mut self, listening: bool) {
        match (listening, &self.whispers) {
            (true, None) => self.whispers = Some(self.tail.whispers.subscribe()),
            (false, _) => self.whispers = None,
            (true, Some(_)) => {}
        }
    }

    /// The next events, at most `limit`, or the next whisper; waits until there is something. Dropping
    /// the future before it resolves loses nothing.
    pub async fn next(&mut self, limit: usize) -> Result<Batch, StorageError> {
        loop {
            // Before it is looked whether the hub has closed: what comes after that look is news.
            let latest = *self.latest.borrow_and_update();
            if *self.closing.borrow() || self.tail.ended.load(Ordering::Acquire) {
                return Ok(Batch::Closed);
            }
            if self.heard < WHISPERS_FIRST
                && let Some(whisper) = self.whispers.as_mut().and_then(heard)
            {
                self.heard += 1;
                return Ok(Batch::Whisper(whisper));
            }
            self.heard = 0;
            if latest > self.after {
                if let Some(frames) = self.tail.after(self.after, limit) {
                    self.catching_up_to = None;
                    if let Some(last) = frames.last() {
                        self.after = last.seq;
                        return Ok(Batch::Events(frames));
                    }
                } else if self.catching_up_to.is_none() {
                    self.catching_up_to = Some(latest);
                    return Ok(Batch::Lagged { from: EventSeq(self.after.0 + 1), to: latest });
                }
                let events = self.store.events(self.after, limit.min(CAUGHT_UP)).await?;
                if let Some(last) = events.last() {
                    self.after = last.seq;
                    let tenant = self.tail.tenant;
                    let frames: Vec<_> = events.iter().filter_map(|event| frame(tenant, event)).collect();
                    return Ok(Batch::Events(frames.into()));
                }
            }
            tokio::select! {
                changed = self.latest.changed() => if changed.is_err() { return Ok(Batch::Closed) },
                whisper = whispered(&mut self.whispers) => return Ok(Batch::Whisper(whisper)),
            }
        }
    }
}

/// A whisper that is there already.
fn heard(whispers: &mut broadcast::Receiver<Whisper>) -> Option<Whisper> {
    loop {
        match whispers.try_recv() {
            Ok(whisper) => return Some(whisper),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
        }
    }
}

/// The next whisper; never, where nobody listens.
async fn whispered(whispers: &mut Option<broadcast::Receiver<Whisper>>) -> Whisper {
    while let Some(listening) = whispers {
        match listening.recv().await {
            Ok(whisper) => return whisper,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => *whispers = None,
        }
    }
    std::future::pending().await
}

/// An event as it goes over the wire. Serialising an event cannot fail: it has no map with keys that
/// are not texts; should it ever, the event is left to the log.
fn frame(tenant: TenantId, event: &Event) -> Option<Frame> {
    #[derive(serde::Serialize)]
    struct Wire<'a> {
        r#type: &'static str,
        seq: EventSeq,
        tenant: TenantId,
        event: &'a Event,
    }
    let wire = Wire { r#type: "event", seq: event.seq, tenant, event };
    let json = serde_json::to_string(&wire)
        .inspect_err(|_| tracing::error!(%tenant, seq = event.seq.0, "an event has no wire form"))
        .ok()?;
    let assigned = match &event.kind {
        EventKind::ConversationAssigned { operator, before } => {
            Some(Arc::new(Assigned { to: operator.clone(), from: before.clone() }))
        }
        _ => None,
    };
    Some(Frame { seq: event.seq, conversation: event.conversation, assigned, json: json.into() })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Frames with so many bytes each, numbered from 1 on.
    fn frames(bytes: &[usize]) -> Vec<Frame> {
        let frame = |(seq, bytes): (u64, &usize)| Frame {
            seq: EventSeq(seq),
            conversation: None,
            assigned: None,
            json: seq.to_string().repeat(*bytes).into(),
        };
        (1..).zip(bytes).map(frame).collect()
    }

    #[test]
    fn a_page_has_no_more_bytes_than_it_may_but_for_one_frame() {
        let mut kept = Kept::default();
        let (half, more) = (PAGE_BYTES_MAX / 2, PAGE_BYTES_MAX + 1);
        kept.add(frames(&[half, half, 1, more, half, half, half]), 5);
        kept.add(Vec::new(), 5);
        let pages: Vec<_> = kept.pages.iter().map(|page| page.frames.len()).collect();
        // The first two are forgotten.
        assert_eq!((pages, kept.first(), kept.count), (vec![1, 1, 2, 1], Some(EventSeq(3)), 5));
    }

    #[test]
    fn events_are_packed_once_for_all_who_are_handed_some_of_them() {
        let whole = Frames::from(frames(&[1, 2, 3, 4]));
        let packed = Cell::new(0);
        let pack = |bytes: &mut BytesMut, text: &str| {
            packed.set(packed.get() + 1);
            bytes.extend_from_slice(text.as_bytes());
            bytes.extend_from_slice(b"|");
        };
        let part = |part| Frames { part, ..whole.clone() }.packed(pack);
        assert_eq!([part(1..3), part(0..1), part(3..4), part(2..2)], ["22|333|", "1|", "4444|", ""]);
        assert_eq!(whole.packed(pack), "1|22|333|4444|");
        assert_eq!(packed.get(), 4);
        assert_eq!(Frames::default().packed(pack), "");
    }
}
