//! Shows contacts that they are read and that an answer is on its way. It is a courtesy: what becomes
//! of it changes nothing, so it is not waited for.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use iassistance_domain::Pii;
use iassistance_domain::id::{ChannelId, ContactId};
use iassistance_storage::TenantStore;

use crate::engine::Shared;

/// How long products show that somebody writes before it has to be said again, milliseconds; WhatsApp
/// shows it for 25 seconds, the others for 20 (Meta: Cloud API, "Typing indicators"; Messenger
/// Platform, "Sender actions").
const TYPING_MS: u64 = 19_000;
/// How often it is said again: for as long as a turn may take, and then some.
const TIMES_MAX: u32 = 30;

/// Who is shown what.
pub(crate) struct Reading {
    pub(crate) store: Arc<dyn TenantStore>,
    pub(crate) channel: ChannelId,
    pub(crate) contact: ContactId,
    /// Meta's id of the last message that was read.
    pub(crate) message: Pii<String>,
}

impl Reading {
    /// Marks the message as read, and shows that somebody writes until what is returned is dropped.
    pub(crate) fn show(self, shared: &Arc<Shared>) -> DropGuard {
        let done = CancellationToken::new();
        let (weak, ended, stopping) = (Arc::downgrade(shared), done.clone(), shared.dispatcher.stopping());
        let clock = Arc::clone(&shared.parts.clock);
        shared.tasks.spawn("turn.reading", async move {
            for _ in 0..TIMES_MAX {
                let Some(shared) = weak.upgrade() else { return };
                // An answer that was made at once is not followed by the sign that it is being written.
                let typing = !ended.is_cancelled();
                if stopping.run_until_cancelled(self.show_once(&shared, typing)).await != Some(true) {
                    return;
                }
                drop(shared);
                let pause = ended.run_until_cancelled(clock.sleep_millis(TYPING_MS));
                if !matches!(stopping.run_until_cancelled(pause).await, Some(Some(()))) {
                    return;
                }
            }
        });
        done.drop_guard()
    }

    /// Says whether there is any sense in saying it again.
    async fn show_once(&self, shared: &Shared, typing: bool) -> bool {
        let Ok(Some(channel)) = self.store.channel(self.channel).await else { return false };
        let Ok(Some(contact)) = self.store.contact(self.contact).await else { return false };
        if !channel.health.state.sends() {
            return false;
        }
        let shown = shared.parts.sender.mark_read(&channel, &contact.identity, &self.message, typing).await;
        if let Err(error) = &shown {
            tracing::debug!(%error, "a message could not be marked as read");
        }
        shown.is_ok()
    }
}
