//! A tenant's data is replaced while the server runs: its actors stand aside meanwhile.

use std::sync::Arc;

use iassistance_domain::id::{ConversationId, TenantId};

use crate::conversation::{ConversationKey, Leave};
use crate::engine::{Engine, Shared};
use crate::tenant::Forget;

/// A tenant none of whose conversations runs. Dropping it lets them run again, on what is stored then.
pub struct HeldTenant {
    shared: Arc<Shared>,
    tenant: TenantId,
}

impl Engine {
    /// Puts all conversations of a tenant away, whatever they are at, and lets none run until the answer
    /// is dropped: webhooks are still accepted, and wait. Nothing when they did not end within `limit_ms`
    /// or the tenant is held already.
    pub async fn hold_tenant(&self, tenant: TenantId, limit_ms: u64) -> Option<HeldTenant> {
        if !self.shared.held.insert(tenant) {
            return None;
        }
        let held = HeldTenant { shared: Arc::clone(&self.shared), tenant };
        let limit = self.clock().sleep_millis(limit_ms);
        let emptied = async {
            loop {
                let mut keys = self.shared.conversations.keys();
                keys.retain(|key| key.tenant == tenant);
                if keys.is_empty() {
                    return;
                }
                for key in keys {
                    if let Some(mailbox) = self.shared.live_conversation(key) {
                        // Unanswered: it has just ended. The next round tells.
                        let _ended = mailbox.ask(Leave).await;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = emptied => Some(held),
            () = limit => None,
        }
    }
}

impl Drop for HeldTenant {
    fn drop(&mut self) {
        let (shared, tenant) = (&self.shared, self.tenant);
        // What was held in memory of the tenant is read again: settings, documents, who waits for a person.
        shared.assistants.remove(&tenant);
        drop(shared.library.change(tenant));
        shared.doorbells.remove(&tenant);
        // Its log may be another from here on: who watches begins anew.
        shared.hub.end(tenant);
        shared.tell_tenant(tenant, Forget);
        shared.held.remove(&tenant);
        shared.hooks.begin_anew(shared, tenant);
        shared.doorbell(tenant).ring_all();
        shared.wake_tenant(tenant);
    }
}

/// Conversations that do not run, for their contact is being erased. Dropping it lets them run again.
pub struct HeldConversations {
    shared: Arc<Shared>,
    keys: Vec<ConversationKey>,
}

impl Engine {
    /// Puts these conversations away, whatever they are at, and lets none of them run until the answer is dropped.
    /// Nothing when they did not end within `limit_ms`, or one is held already.
    pub async fn hold_conversations(
        &self,
        tenant: TenantId,
        conversations: &[ConversationId],
        limit_ms: u64,
    ) -> Option<HeldConversations> {
        let mut held = HeldConversations { shared: Arc::clone(&self.shared), keys: Vec::new() };
        for conversation in conversations {
            let key = ConversationKey { tenant, conversation: *conversation };
            if !self.shared.held_conversations.insert(key) {
                return None;
            }
            held.keys.push(key);
        }
        let limit = self.clock().sleep_millis(limit_ms);
        let emptied = async {
            for key in &held.keys {
                while let Some(mailbox) = self.shared.live_conversation(*key) {
                    // Unanswered: it has just ended.
                    let _ended = mailbox.ask(Leave).await;
                    tokio::task::yield_now().await;
                }
            }
        };
        let emptied = tokio::select! {
            () = emptied => true,
            () = limit => false,
        };
        emptied.then_some(held)
    }
}

impl HeldConversations {
    /// Takes what they said out of what watchers may still be shown from memory.
    pub fn forget_what_is_shown(&self) {
        for key in &self.keys {
            self.shared.hub.erase(key.tenant, key.conversation, self.shared.parts.clock.now());
        }
    }
}

impl Drop for HeldConversations {
    fn drop(&mut self) {
        for key in &self.keys {
            self.shared.held_conversations.remove(key);
        }
    }
}
