//! Meta apps, and the numbers, pages and accounts that tenants connect through them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::id::{ChannelId, MetaAppId, TenantId};

/// Which of Meta's products a channel speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// `WhatsApp` Cloud API; its address is a phone number id.
    Whatsapp,
    /// Messenger; its address is a Page id.
    Messenger,
    /// Instagram; its address is the id of a professional account.
    Instagram,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Whatsapp, Self::Messenger, Self::Instagram];

    /// Its name in JSON, metrics and storage keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::Messenger => "messenger",
            Self::Instagram => "instagram",
        }
    }
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whatsapp => "WhatsApp",
            Self::Messenger => "Messenger",
            Self::Instagram => "Instagram",
        })
    }
}

/// A secret at rest inside a sealed record: an app secret, a token. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[serde(transparent)]
pub struct StoredSecret(String);

impl StoredSecret {
    /// Marks a text as secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it. An empty secret proves nothing and is never accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A Meta app: what its webhooks are signed with and verified by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "setting")]
pub struct MetaApp {
    /// Our identifier; it stands in the webhook's address.
    #[data(id)]
    pub id: MetaAppId,
    /// What people call it.
    #[data(setting)]
    pub name: String,
    /// Meta's id of it. With it, echoes of this app and changes of thread control are told from
    /// other apps', and tokens are checked to be this app's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(setting)]
    pub app_id: Option<String>,
    /// The secrets that may have signed a webhook, newest first: several, so that one can be
    /// rotated and because Instagram events may be signed with a secret of their own.
    #[data(setting)]
    pub secrets: Vec<StoredSecret>,
    /// What Meta repeats when it verifies the webhook's address.
    #[data(setting)]
    pub verify_token: StoredSecret,
    /// When it was created.
    #[data(operational)]
    pub created_at: Timestamp,
}

/// How a channel reaches Meta: which product, and the ids that belong to it beside its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "via", rename_all = "snake_case")]
pub enum Connection {
    /// `WhatsApp` Cloud API.
    CloudApi {
        /// The `WhatsApp` business account (WABA) that the number belongs to. Needed for what Meta
        /// says about the whole account and for its templates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(setting)]
        account_id: Option<String>,
        /// The number as people dial it, digits only: what Meta calls it by in quality reports.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(setting)]
        number: Option<String>,
    },
    /// A Page's Messenger.
    Page,
    /// An Instagram account through the Page that it is linked to (Facebook Login).
    InstagramPage {
        /// The Page, which sends for it.
        #[data(setting)]
        page_id: String,
    },
    /// An Instagram account by itself (Instagram Login).
    InstagramLogin {
        /// The app-scoped id that sign-in gave, where it is another than the account's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(setting)]
        user_id: Option<String>,
    },
}

impl Connection {
    /// The product.
    pub const fn kind(&self) -> ChannelKind {
        match self {
            Self::CloudApi { .. } => ChannelKind::Whatsapp,
            Self::Page => ChannelKind::Messenger,
            Self::InstagramPage { .. } | Self::InstagramLogin { .. } => ChannelKind::Instagram,
        }
    }
}

/// A tenant's connected number, page or account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "setting")]
pub struct Channel {
    /// Its identifier.
    #[data(id)]
    pub id: ChannelId,
    /// Whose it is.
    #[data(id)]
    pub tenant: TenantId,
    /// The Meta app whose webhooks carry its events.
    #[data(id)]
    pub meta_app: MetaAppId,
    /// How it reaches Meta.
    #[data(parts)]
    pub connection: Connection,
    /// Meta's id of it (`WhatsApp`: `phone_number_id`, Messenger: Page id, Instagram: account id);
    /// unique over all tenants.
    #[data(setting)]
    pub external_id: String,
    /// What people call it, for instance the number as displayed.
    #[data(setting)]
    pub name: String,
    /// The bearer token for its calls.
    #[data(setting)]
    pub access_token: StoredSecret,
    /// The app-scoped id of the person whose token it is, where Meta told: with it, their request to
    /// delete or to take the app's rights back finds this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(setting)]
    pub token_owner: Option<StoredSecret>,
    /// How it is.
    #[data(parts)]
    pub health: ChannelHealth,
    /// When it was connected.
    #[data(operational)]
    pub created_at: Timestamp,
}

impl Channel {
    /// The product that it speaks.
    pub const fn kind(&self) -> ChannelKind {
        self.connection.kind()
    }

    /// Where its webhooks say that they belong: its own address and, for a `WhatsApp` number, its
    /// business account's.
    pub fn addresses(&self) -> impl Iterator<Item = ChannelAddress> {
        let own = ChannelAddress::channel(self.kind(), self.external_id.clone());
        let account = match &self.connection {
            Connection::CloudApi { account_id: Some(id), .. } => {
                Some(ChannelAddress::account(ChannelKind::Whatsapp, id.clone()))
            }
            _ => None,
        };
        std::iter::once(own).chain(account)
    }
}

/// How a channel is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// It was entered and not tested yet.
    Connecting,
    /// It works.
    Live,
    /// It works, and something about it needs a look.
    Degraded,
    /// Meta has blocked it, or it is not set up: nothing is sent until a person mends that.
    Blocked,
    /// Its token is over or was revoked: nothing is sent until there is a new one.
    Expired,
}

impl ChannelState {
    /// Its name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Degraded => "degraded",
            Self::Blocked => "blocked",
            Self::Expired => "expired",
        }
    }

    /// Whether sends are tried.
    pub const fn sends(self) -> bool {
        matches!(self, Self::Connecting | Self::Live | Self::Degraded)
    }
}

/// How a channel is, since when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChannelHealth {
    /// In one word.
    #[data(setting)]
    pub state: ChannelState,
    /// Why, and what to do, in words that can be shown; nothing while it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(setting)]
    pub reason: Option<String>,
    /// Since when.
    #[data(operational)]
    pub since: Timestamp,
    /// When it was last tested with Meta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub tested_at: Option<Timestamp>,
    /// When its token ends, as far as Meta says so; nothing for one that does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub token_expires_at: Option<Timestamp>,
    /// How many messages a second Meta lets it send, where Meta said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(setting)]
    pub sends_per_s: Option<u32>,
}

impl ChannelHealth {
    /// Entered and not tested.
    pub const fn connecting(since: Timestamp) -> Self {
        Self {
            state: ChannelState::Connecting,
            reason: None,
            since,
            tested_at: None,
            token_expires_at: None,
            sends_per_s: None,
        }
    }

    /// In another state from `now` on, or in the same for another reason.
    #[must_use]
    pub fn turned(&self, state: ChannelState, reason: Option<String>, now: Timestamp) -> Self {
        let since = if state == self.state { self.since } else { now };
        Self { state, reason, since, ..self.clone() }
    }
}

/// How much an address of a webhook covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[serde(rename_all = "snake_case")]
pub enum AddressScope {
    /// One number, page or account: one channel at most.
    Channel,
    /// A `WhatsApp` business account: all its numbers.
    Account,
}

/// Where a webhook element says that it belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct ChannelAddress {
    /// The product.
    #[data(setting)]
    pub kind: ChannelKind,
    /// How much it covers.
    #[data(setting)]
    pub scope: AddressScope,
    /// Meta's id of it; never empty.
    #[data(setting)]
    pub external_id: String,
}

impl ChannelAddress {
    /// Of one number, page or account.
    pub const fn channel(kind: ChannelKind, external_id: String) -> Self {
        Self { kind, scope: AddressScope::Channel, external_id }
    }

    /// Of all numbers of a business account.
    pub const fn account(kind: ChannelKind, external_id: String) -> Self {
        Self { kind, scope: AddressScope::Account, external_id }
    }
}

/// What the channel directory answers for a [`ChannelAddress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Whose channel it is.
    pub tenant: TenantId,
    /// Which one.
    pub channel: ChannelId,
    /// The app through which it was connected: only that app's signature speaks for it.
    pub meta_app: MetaAppId,
}

/// Something that Meta says about a number, a page or a whole business account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "notice", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notice {
    /// The business account's standing changed (`account_update`).
    Account {
        /// Meta's word for it, for instance `DISABLED_UPDATE`.
        #[data(setting)]
        event: String,
    },
    /// A number's quality or throughput changed (`phone_number_quality_update`).
    Quality {
        /// Meta's word for it: `FLAGGED`, `UNFLAGGED`, `THROUGHPUT_UPGRADE`, `ONBOARDING`.
        #[data(setting)]
        event: String,
        /// The number, digits only, where it is named.
        #[data(setting)]
        number: Option<String>,
        /// The tier that counts now, where it is named.
        #[data(setting)]
        limit: Option<String>,
    },
    /// A template changed (`message_template_status_update`, `template_category_update`,
    /// `message_template_quality_update`).
    Template {
        /// Its name.
        #[data(setting)]
        name: String,
        /// Its language, as a code.
        #[data(setting)]
        language: String,
        /// What changed: `status`, `category` or `quality`.
        #[data(setting)]
        what: String,
        /// The new value in Meta's words, for instance `PAUSED`.
        #[data(setting)]
        value: String,
        /// Why, in Meta's word, where it gives one.
        #[data(setting)]
        reason: Option<String>,
    },
    /// Meta enforces its policy on a page (`policy_enforcement`).
    Policy {
        /// `warning`, `block` or `unblock`.
        #[data(setting)]
        action: String,
        /// Why, in Meta's words.
        #[data(setting)]
        reason: Option<String>,
    },
    /// How far the import of old conversations is (`history`).
    History {
        /// Percent, where it is named.
        #[data(setting)]
        progress: Option<u8>,
        /// Why there is none, in words that can be shown.
        #[data(setting)]
        problem: Option<String>,
    },
}

/// A message template of a `WhatsApp` business account, as Meta last told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "setting")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MessageTemplate {
    /// Its name.
    #[data(setting)]
    pub name: String,
    /// Its language, as a code.
    #[data(setting)]
    pub language: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    #[data(setting)]
    pub category: String,
    /// `APPROVED` when it may be sent.
    #[data(setting)]
    pub status: String,
    /// Its text, with its places for parameters.
    #[data(setting)]
    pub body: String,
}

impl MessageTemplate {
    /// Whether it may be sent.
    pub fn is_approved(&self) -> bool {
        self.status == "APPROVED"
    }

    /// Whether it is advertising, which a contact may refuse.
    pub fn is_marketing(&self) -> bool {
        self.category == "MARKETING"
    }
}
