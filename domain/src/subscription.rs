//! Outgoing webhooks: what a tenant subscribes to, and each event on its way there.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::channel::StoredSecret;
use crate::event::EventSeq;
use crate::id::{ConversationId, DeliveryId, SubscriptionId};
use crate::{Pii, Timestamp};

/// Stands for events of every kind.
pub const EVERY_KIND: &str = "*";
/// Secrets that sign at the same time, while one takes the other's place.
pub const SECRETS_MAX: usize = 2;

/// A tenant's subscription to its own events.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "tenant_view", basis = "contract", keep = "setting")]
pub struct Subscription {
    /// Its identifier.
    #[data(id)]
    pub id: SubscriptionId,
    /// Where events go: https. It may hold a secret of the receiver's.
    #[data(setting)]
    pub url: Pii<String>,
    /// Kinds of events, as their `type` says; [`EVERY_KIND`] for all.
    #[data(setting)]
    pub kinds: Vec<String>,
    /// What signs them (`whsec_…`), newest first; one, or two while they are rotated.
    #[data(operational)]
    pub secrets: Vec<StoredSecret>,
    /// Whether it is served.
    #[serde(default)]
    #[data(parts)]
    pub state: SubscriptionState,
    /// When it was made.
    #[data(operational)]
    pub created_at: Timestamp,
    /// What people call it.
    #[serde(default)]
    #[data(setting)]
    pub description: String,
}

impl Delivery {
    /// An event on its way, taken up at `now`.
    pub fn new(
        subscription: SubscriptionId,
        event: EventSeq,
        conversation: Option<ConversationId>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: DeliveryId::of(subscription, event.0),
            subscription,
            event,
            conversation,
            attempts: 0,
            created_at: now,
            next_at: now,
            first_tried_at: None,
            last_problem: None,
            state: DeliveryState::Waiting,
        }
    }

    /// What the receiver knows it by, the same at every try. The moment tells it from one of the same place
    /// in a log that was restored from a copy and went on otherwise.
    pub fn webhook_id(&self) -> String {
        format!("{}_{:x}", self.id, self.created_at.as_millis())
    }
}

impl Subscription {
    /// Whether it is for events of this kind.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.iter().any(|wanted| wanted == EVERY_KIND || wanted == kind)
    }
}

/// Whether a subscription is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum SubscriptionState {
    /// It is.
    #[default]
    Active,
    /// Its owner stopped it, or its receiver took nothing for too long; events wait.
    Paused,
    /// Its receiver takes nothing; tries go on.
    Failing {
        /// Since when.
        #[data(operational)]
        since: Timestamp,
    },
}

/// One event on its way to one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "tenant_view", basis = "contract", keep = "webhook")]
pub struct Delivery {
    /// Its identifier, the same for the same event: receivers know a repetition by it.
    #[data(id)]
    pub id: DeliveryId,
    /// To which subscription.
    #[data(id)]
    pub subscription: SubscriptionId,
    /// Which event.
    #[data(operational)]
    pub event: EventSeq,
    /// The conversation that the event is about: its events go in order.
    #[serde(default)]
    #[data(id)]
    pub conversation: Option<ConversationId>,
    /// How often it was tried.
    #[serde(default)]
    #[data(operational)]
    pub attempts: u32,
    /// When it was taken up.
    #[data(operational)]
    pub created_at: Timestamp,
    /// When it is tried next.
    #[data(operational)]
    pub next_at: Timestamp,
    /// When it was first tried since it was taken up or replayed: it is given up so long after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub first_tried_at: Option<Timestamp>,
    /// Why the last try failed: what can be shown, nothing of what the receiver said.
    #[serde(default)]
    #[data(operational)]
    pub last_problem: Option<String>,
    /// How far it is.
    #[data(operational)]
    pub state: DeliveryState,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It waits for its next try.
    Waiting,
    /// The receiver has it.
    Delivered,
    /// It was given up; it can be tried again.
    Dead,
}

impl DeliveryState {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}
