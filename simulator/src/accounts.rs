//! The businesses' numbers, pages and accounts, and the tokens that open them.

use std::collections::HashMap;
use std::sync::Arc;

use iassistance_domain::Timestamp;
use iassistance_domain::channel::ChannelKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::graph_error::GraphError;
use crate::settings::{Number, SimulatorError};

/// How many accounts a simulator has at most.
pub const ACCOUNTS_MAX: usize = 100_000;
const DAY_MS: u64 = 24 * 3_600_000;
/// How long a token of Instagram Login lives (Meta: Instagram Login, long-lived tokens).
pub(crate) const INSTAGRAM_TOKEN_MS: u64 = 60 * DAY_MS;
/// How old it must be to be renewed.
pub(crate) const INSTAGRAM_REFRESH_MS: u64 = DAY_MS;

/// What a business is reached by: which product, and Meta's ids of it. All ids are digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountKind {
    /// A WhatsApp number.
    Whatsapp {
        /// What the Graph API calls the number.
        phone_number_id: String,
        /// The WhatsApp Business Account that owns it.
        waba_id: String,
        /// The number itself, as people write it, for example `+1 555-010-0001`.
        display_phone_number: String,
    },
    /// A Page's Messenger.
    Messenger {
        /// The Page.
        page_id: String,
    },
    /// An Instagram account through the Page that it is linked to (Facebook Login); the Page sends for it.
    InstagramPage {
        /// The professional account.
        ig_id: String,
        /// Its Page.
        page_id: String,
    },
    /// An Instagram account by itself (Instagram Login).
    InstagramLogin {
        /// The professional account.
        ig_id: String,
        /// The app-scoped id that sign-in gives.
        user_id: String,
    },
}

/// Which token opens it. One text is of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TokenKind {
    /// A system user's, for WhatsApp.
    System,
    /// A Page's.
    Page,
    /// An Instagram user's.
    Instagram,
}

/// How an Instagram account's events arrive; both are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventShape {
    /// `entry.messaging[]`.
    #[default]
    Messaging,
    /// `entry.changes[{field, value}]`.
    Changes,
}

/// A business's number, page or account.
///
/// It has no `Debug`: it holds a token.
#[derive(Clone)]
pub struct Account {
    /// What it is.
    pub kind: AccountKind,
    /// The name that people see.
    pub name: String,
    /// The bearer token that may use it.
    pub access_token: String,
    /// The Meta app that it was connected through; the simulator's own if there is none.
    pub app_id: Option<String>,
    /// How its events arrive; only Instagram has a choice.
    pub shape: EventShape,
}

/// Another Meta app than the simulator's own: its webhooks have a secret and, if given, an address of their own.
///
/// It has no `Debug`: it holds a secret.
#[derive(Clone)]
pub struct App {
    /// Meta's id of it, digits.
    pub app_id: String,
    /// What its webhooks are signed with.
    pub secret: String,
    /// Where its webhooks go; to the simulator's callback if there is none.
    pub callback_url: Option<String>,
}

impl From<Number> for Account {
    fn from(number: Number) -> Self {
        let Number { phone_number_id, waba_id, display_phone_number, verified_name, access_token } = number;
        Self {
            kind: AccountKind::Whatsapp { phone_number_id, waba_id, display_phone_number },
            name: verified_name,
            access_token,
            app_id: None,
            shape: EventShape::Messaging,
        }
    }
}

impl Account {
    /// Meta's id of it, by which its webhooks are routed.
    pub fn id(&self) -> &str {
        match &self.kind {
            AccountKind::Whatsapp { phone_number_id: id, .. }
            | AccountKind::Messenger { page_id: id }
            | AccountKind::InstagramPage { ig_id: id, .. }
            | AccountKind::InstagramLogin { ig_id: id, .. } => id,
        }
    }

    /// The product.
    pub const fn product(&self) -> ChannelKind {
        match self.kind {
            AccountKind::Whatsapp { .. } => ChannelKind::Whatsapp,
            AccountKind::Messenger { .. } => ChannelKind::Messenger,
            AccountKind::InstagramPage { .. } | AccountKind::InstagramLogin { .. } => ChannelKind::Instagram,
        }
    }

    pub(crate) const fn is_whatsapp(&self) -> bool {
        matches!(self.kind, AccountKind::Whatsapp { .. })
    }

    pub(crate) const fn is_instagram(&self) -> bool {
        matches!(self.kind, AccountKind::InstagramPage { .. } | AccountKind::InstagramLogin { .. })
    }

    /// The WhatsApp Business Account, of a number.
    pub(crate) fn waba_id(&self) -> Option<&str> {
        match &self.kind {
            AccountKind::Whatsapp { waba_id, .. } => Some(waba_id),
            _ => None,
        }
    }

    /// The digits of a number as contacts dial it.
    pub(crate) fn digits(&self) -> Option<String> {
        match &self.kind {
            AccountKind::Whatsapp { display_phone_number, .. } => {
                crate::contacts::phone_digits(display_phone_number)
            }
            _ => None,
        }
    }

    pub(crate) const fn token_kind(&self) -> TokenKind {
        match self.kind {
            AccountKind::Whatsapp { .. } => TokenKind::System,
            AccountKind::Messenger { .. } | AccountKind::InstagramPage { .. } => TokenKind::Page,
            AccountKind::InstagramLogin { .. } => TokenKind::Instagram,
        }
    }

    /// Whether sends for it go to this node (Meta: Instagram with Facebook Login sends through its Page).
    pub(crate) fn sends_at(&self, node: &str) -> bool {
        match &self.kind {
            AccountKind::Whatsapp { phone_number_id: id, .. }
            | AccountKind::Messenger { page_id: id }
            | AccountKind::InstagramPage { page_id: id, .. } => id == node,
            AccountKind::InstagramLogin { ig_id, user_id } => ig_id == node || user_id == node,
        }
    }

    /// Every id that it has in any sense.
    fn ids(&self) -> [&str; 2] {
        match &self.kind {
            AccountKind::Whatsapp { phone_number_id, waba_id, .. } => [phone_number_id, waba_id],
            AccountKind::Messenger { page_id } => [page_id, page_id],
            AccountKind::InstagramPage { ig_id, page_id: other }
            | AccountKind::InstagramLogin { ig_id, user_id: other } => [ig_id, other],
        }
    }

    /// What usage is counted by (Meta: business use case rate limits).
    pub(crate) fn usage_id(&self) -> &str {
        self.waba_id().unwrap_or_else(|| self.id())
    }

    /// What may be shown of it.
    pub(crate) fn public(&self) -> Value {
        let mut public = json!({"id": self.id(), "product": self.product(), "name": self.name});
        let ids = match &self.kind {
            AccountKind::Whatsapp { phone_number_id, waba_id, display_phone_number } => json!({
                "kind": "whatsapp", "phone_number_id": phone_number_id, "waba_id": waba_id,
                "display_phone_number": display_phone_number}),
            AccountKind::Messenger { page_id } => json!({"kind": "messenger", "page_id": page_id}),
            AccountKind::InstagramPage { ig_id, page_id } => {
                json!({"kind": "instagram_page", "ig_id": ig_id, "page_id": page_id, "shape": self.shape})
            }
            AccountKind::InstagramLogin { ig_id, user_id } => {
                json!({"kind": "instagram_login", "ig_id": ig_id, "user_id": user_id, "shape": self.shape})
            }
        };
        if let (Some(public), Value::Object(ids)) = (public.as_object_mut(), ids) {
            public.extend(ids);
        }
        public
    }

    fn check(&self) -> Result<(), &'static str> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let good = match &self.kind {
            AccountKind::Whatsapp { phone_number_id, waba_id, .. } => {
                if self.digits().is_none() {
                    return Err("each display_phone_number has 7 to 15 digits");
                }
                digits(phone_number_id) && digits(waba_id)
            }
            AccountKind::Messenger { page_id } => digits(page_id),
            AccountKind::InstagramPage { ig_id, page_id: other }
            | AccountKind::InstagramLogin { ig_id, user_id: other } => digits(ig_id) && digits(other),
        };
        if !good {
            return Err("phone_number_id, waba_id, page_id, ig_id and user_id are digits");
        }
        if self.access_token.is_empty() {
            return Err("each number, page and account needs an access_token");
        }
        Ok(())
    }
}

/// A token and what it opens.
pub(crate) struct Token {
    pub kind: TokenKind,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub accounts: Vec<Arc<Account>>,
    /// Shared by a token and those it was renewed to.
    family: usize,
}

/// All accounts, in the order in which they came.
#[derive(Default)]
pub(crate) struct Accounts {
    list: Vec<Arc<Account>>,
    /// The accounts that an id belongs to in any sense.
    nodes: HashMap<String, Vec<Arc<Account>>>,
    tokens: HashMap<String, Token>,
}

impl Accounts {
    pub fn add(&mut self, account: Account, now: Timestamp) -> Result<Arc<Account>, SimulatorError> {
        let bad = |reason| Err(SimulatorError::Settings(reason));
        account.check().map_err(SimulatorError::Settings)?;
        if self.get(account.id()).is_some() {
            return bad("each phone_number_id, page_id and ig_id may be given once");
        }
        if self.list.len() >= ACCOUNTS_MAX {
            return bad("there are too many accounts");
        }
        let kind = account.token_kind();
        if self.tokens.get(&account.access_token).is_some_and(|token| token.kind != kind) {
            return bad("one access_token is of one kind: WhatsApp's, a Page's or of Instagram Login");
        }
        let account = Arc::new(account);
        self.list.push(Arc::clone(&account));
        let [id, other] = account.ids();
        self.nodes.entry(id.to_owned()).or_default().push(Arc::clone(&account));
        if other != id {
            self.nodes.entry(other.to_owned()).or_default().push(Arc::clone(&account));
        }
        let expires_at = (kind == TokenKind::Instagram).then(|| now.plus_millis(INSTAGRAM_TOKEN_MS));
        let family = self.tokens.len();
        let fresh = Token { kind, issued_at: now, expires_at, accounts: Vec::new(), family };
        let token = self.tokens.entry(account.access_token.clone()).or_insert(fresh);
        token.accounts.push(Arc::clone(&account));
        Ok(account)
    }

    pub fn all(&self) -> &[Arc<Account>] {
        &self.list
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Account>> {
        self.called(id).iter().find(|account| account.id() == id)
    }

    /// The accounts that an id belongs to in any sense.
    fn called(&self, node: &str) -> &[Arc<Account>] {
        self.nodes.get(node).map_or(&[], Vec::as_slice)
    }

    /// The account of this id, product or name; the first that fits.
    pub fn named(&self, name: &str) -> Option<&Arc<Account>> {
        let product = |account: &&Arc<Account>| account.product().name() == name;
        self.get(name)
            .or_else(|| self.list.iter().find(product))
            .or_else(|| self.list.iter().find(|account| account.name == name))
    }

    /// A token that is good now (Meta: 190, 190/463 when it is over).
    pub fn token(&self, token: Option<&str>, now: Timestamp) -> Result<&Token, GraphError> {
        let token = token.and_then(|token| self.tokens.get(token)).ok_or_else(GraphError::invalid_token)?;
        if token.expires_at.is_some_and(|end| end <= now) {
            return Err(GraphError::social(
                190,
                Some(463),
                "Error validating access token: Session has expired.",
            ));
        }
        Ok(token)
    }

    pub fn inspect(&self, token: &str) -> Option<&Token> {
        self.tokens.get(token)
    }

    /// The accounts that this node and token mean, when `fits` says that the node is theirs.
    fn reach(
        &self,
        bearer: Option<&str>,
        node: &str,
        now: Timestamp,
        fits: impl Fn(&Account) -> bool,
    ) -> Result<Vec<Arc<Account>>, GraphError> {
        let token = self.token(bearer, now)?;
        if node == "me" && token.kind != TokenKind::System {
            return Ok(token.accounts.clone());
        }
        let opens = |account: &Arc<Account>| {
            // A token that was renewed opens the account of the first.
            self.tokens.get(&account.access_token).is_some_and(|first| first.family == token.family)
        };
        let meant = || self.called(node).iter().filter(|account| fits(account));
        let own: Vec<_> = meant().filter(|account| opens(account)).cloned().collect();
        if !own.is_empty() {
            return Ok(own);
        }
        // Instagram's host knows Instagram's tokens alone, and the other host all but these.
        let instagram = |kind| kind == TokenKind::Instagram;
        if meant().any(|account| instagram(account.token_kind()) != instagram(token.kind)) {
            return Err(GraphError::invalid_token());
        }
        Err(GraphError::unknown_object(node))
    }

    /// Whom a `POST /{node}/messages` under this token may send for; never empty.
    pub fn senders(
        &self,
        bearer: Option<&str>,
        node: &str,
        now: Timestamp,
    ) -> Result<Vec<Arc<Account>>, GraphError> {
        self.reach(bearer, node, now, |account| account.sends_at(node))
    }

    /// Whom a node stands for under this token; never empty.
    pub fn owners(
        &self,
        bearer: Option<&str>,
        node: &str,
        now: Timestamp,
    ) -> Result<Vec<Arc<Account>>, GraphError> {
        self.reach(bearer, node, now, |_| true)
    }

    /// Renews a token of Instagram Login; its new text lives as long as a fresh one.
    pub fn renew(&mut self, old: &str, new: String, now: Timestamp) -> Result<(), GraphError> {
        let token = self.token(Some(old), now)?;
        if token.kind != TokenKind::Instagram {
            return Err(GraphError::invalid_token());
        }
        if now.millis_since(token.issued_at) < INSTAGRAM_REFRESH_MS {
            return Err(GraphError::param(
                "The access token is not yet 24 hours old and cannot be refreshed.",
            ));
        }
        let (accounts, family) = (token.accounts.clone(), token.family);
        let expires_at = Some(now.plus_millis(INSTAGRAM_TOKEN_MS));
        let renewed = Token { kind: TokenKind::Instagram, issued_at: now, expires_at, accounts, family };
        self.tokens.insert(new, renewed);
        Ok(())
    }
}
