//! What those see of a tenant's events who see but the conversations that are assigned to them.
//!
//! An event is shown if its conversation is theirs when it is shown: as with all else that they read, what was
//! said before they had it is theirs to read, and nothing once it was taken from them. That it was given to them
//! or taken from them is told too, and not whose it was or is.

use std::collections::HashMap;

use serde_json::Value;

use iassistance_actors::hub::{Assigned, Batch, Frame};
use iassistance_domain::event::{Event, EventKind, EventSeq};
use iassistance_domain::id::ConversationId;
use iassistance_storage::{StorageError, TenantStore};

use super::access::Access;

/// Looks which conversations somebody sees, each once.
struct Look<'a> {
    access: &'a Access,
    store: &'a dyn TenantStore,
    known: HashMap<ConversationId, bool>,
}

impl<'a> Look<'a> {
    fn new(access: &'a Access, store: &'a dyn TenantStore) -> Self {
        Self { access, store, known: HashMap::new() }
    }

    /// Whether they see what is about this conversation; what is about none, only who sees all does.
    async fn sees(&mut self, conversation: Option<ConversationId>) -> Result<bool, StorageError> {
        let Some(id) = conversation else { return Ok(!self.access.is_limited()) };
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let found = self.store.conversation(id).await?;
        let sees = found.is_some_and(|(conversation, _)| self.access.sees(&conversation));
        self.known.insert(id, sees);
        Ok(sees)
    }
}

/// These events as somebody sees them, each with its place in the log; nothing in place of one that they do not see.
///
/// # Errors
/// [`StorageError`]
pub async fn events(
    access: &Access,
    store: &dyn TenantStore,
    events: Vec<Event>,
) -> Result<Vec<(EventSeq, Option<Event>)>, StorageError> {
    let (mut look, mut shown) = (Look::new(access, store), Vec::with_capacity(events.len()));
    for mut event in events {
        let sees = match &mut event.kind {
            _ if !access.is_limited() => true,
            EventKind::ConversationAssigned { operator, before } => {
                let concerns = access.is(operator.as_deref()) || access.is(before.as_deref());
                for named in [operator, before] {
                    named.take_if(|name| !access.is(Some(name)));
                }
                concerns
            }
            _ => look.sees(event.conversation).await?,
        };
        shown.push((event.seq, sees.then_some(event)));
    }
    Ok(shown)
}

/// As much of what comes live as somebody sees; nothing for a whisper that is not for them.
///
/// # Errors
/// [`StorageError`]
pub async fn seen(
    access: &Access,
    store: &dyn TenantStore,
    batch: Batch,
) -> Result<Option<Batch>, StorageError> {
    if !access.is_limited() {
        return Ok(Some(batch));
    }
    let mut look = Look::new(access, store);
    Ok(match batch {
        Batch::Events(frames) => {
            let mut seen = Vec::new();
            for frame in frames.iter() {
                match &frame.assigned {
                    Some(assigned) => seen.extend(own(access, frame, assigned)),
                    None if look.sees(frame.conversation).await? => seen.push(frame.clone()),
                    None => {}
                }
            }
            Some(Batch::Events(seen.into()))
        }
        Batch::Whisper(whisper) => {
            look.sees(Some(whisper.conversation)).await?.then_some(Batch::Whisper(whisper))
        }
        other => Some(other),
    })
}

/// That a conversation was given to them or taken from them, without whose else it was or is.
fn own(access: &Access, frame: &Frame, assigned: &Assigned) -> Option<Frame> {
    let (to, from) = (access.is(assigned.to.as_deref()), access.is(assigned.from.as_deref()));
    if !to && !from {
        return None;
    }
    let mut json: Value = serde_json::from_str(&frame.json).ok()?;
    let event = json.get_mut("event")?.as_object_mut()?;
    if !to {
        event.insert("operator".to_owned(), Value::Null);
    }
    if !from {
        event.remove("before");
    }
    Some(Frame { json: json.to_string().into(), ..frame.clone() })
}
