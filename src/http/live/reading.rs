//! Whose events a socket was sent: in the access log before it has them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::HttpRequest;

use iassistance_actors::hub::Batch;
use iassistance_domain::access::{AccessRecord, READ_MAX};
use iassistance_domain::id::{AccessId, ConversationId, TenantId};
use iassistance_domain::{Clock, Entropy};

use crate::access_log::AccessLog;
use crate::http::principal::Principal;
use crate::http::{State, seen};

/// Conversations that are remembered as noted; beyond it one may be noted again.
const NOTED_MAX: usize = 10_000;

/// What one socket was sent of whom.
pub(super) struct Reading {
    record: AccessRecord,
    log: AccessLog,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    noted: RefCell<BTreeSet<(TenantId, ConversationId)>>,
}

impl Reading {
    pub(super) fn new(state: &State, request: &HttpRequest, principal: &Principal) -> Self {
        Self {
            record: seen::of_live(state, request, principal),
            log: state.app.access.clone(),
            clock: Arc::clone(state.clock()),
            entropy: Arc::clone(state.app.engine.entropy()),
            noted: RefCell::default(),
        }
    }

    /// Notes the conversations of what is about to be sent, each once.
    pub(super) async fn note(&self, (tenant, only): (TenantId, Option<ConversationId>), batch: &Batch) {
        let of: Vec<_> = match batch {
            Batch::Events(frames) => frames.iter().filter_map(|frame| frame.conversation).collect(),
            Batch::Whisper(whisper) => vec![whisper.conversation],
            _ => return,
        };
        let wanted = of.into_iter().filter(|id| only.is_none_or(|only| only == *id));
        let new: Vec<_> = {
            let mut noted = self.noted.borrow_mut();
            if noted.len() >= NOTED_MAX {
                noted.clear();
            }
            wanted.filter(|id| noted.insert((tenant, *id))).collect()
        };
        let at = self.clock.now();
        for conversations in new.chunks(READ_MAX) {
            let record = AccessRecord {
                id: AccessId::new(at, &*self.entropy),
                at,
                tenant: Some(tenant),
                conversations: conversations.to_vec(),
                part_of: Some(self.record.id),
                ..self.record.clone()
            };
            self.log.note(record).await;
        }
    }
}
