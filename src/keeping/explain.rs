//! Why something is still there, and until when.

use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::id::{
    AccessId, AccountId, AgencyId, ApiKeyId, BreakGlassId, CaseId, ChannelId, ContactId, ConversationId,
    DeadLetterId, DeletionId, DeliveryId, DocumentId, ErasureId, GoldenId, HoldId, IncidentId, IntakeId,
    InvitationId, MailId, MediaId, MessageId, MetaAppId, OrderId, SessionId, SubscriptionId, TenantId,
    TurnId, moment_of,
};
use iassistance_domain::message::Message;
use iassistance_domain::privacy::Class;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::TenantStore;
use iassistance_storage::keeping::data_map;

use super::{DAY_MS, Keeper, KeepingError, Result};

/// Messages and erasures that are looked through at once.
const PAGE: usize = 200;

/// What is kept by a rule alone, as the data map calls it, by what its ids begin with.
const BY_RULE: [(&str, &str); 21] = [
    (TenantId::PREFIX, "tenant"),
    (MetaAppId::PREFIX, "meta_app"),
    (ChannelId::PREFIX, "channel"),
    (DocumentId::PREFIX, "document"),
    (GoldenId::PREFIX, "golden_question"),
    (SubscriptionId::PREFIX, "subscription"),
    (ApiKeyId::PREFIX, "api_key"),
    (AccountId::PREFIX, "account"),
    (SessionId::PREFIX, "session"),
    (AgencyId::PREFIX, "agency"),
    (InvitationId::PREFIX, "invitation"),
    (MailId::PREFIX, "mail"),
    (AccessId::PREFIX, "access"),
    (BreakGlassId::PREFIX, "break_glass"),
    (ErasureId::PREFIX, "erasure"),
    (HoldId::PREFIX, "hold"),
    (CaseId::PREFIX, "rights_case"),
    (IntakeId::PREFIX, "intake"),
    (OrderId::PREFIX, "order"),
    (IncidentId::PREFIX, "incident"),
    (DeletionId::PREFIX, "deletion"),
];

/// Why something is still there, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct Explanation {
    /// What it is, as the data map calls it.
    #[schema(example = "message")]
    pub what: &'static str,
    /// The class that it is kept with.
    pub class: Class,
    /// For how long that is kept, in words.
    pub rule: &'static str,
    /// Whose it is, where it is somebody's.
    #[schema(value_type = Option<String>)]
    pub contact: Option<ContactId>,
    /// The tenant's period of the class, days; `null` where a rule counts.
    pub days: Option<u32>,
    /// Whether the tenant chose that period; otherwise it is the platform's.
    pub chosen: bool,
    /// From when on the period counts.
    #[schema(value_type = Option<i64>)]
    pub counts_from: Option<Timestamp>,
    /// When the period is over. It goes with the next sweep after that, but for a hold.
    #[schema(value_type = Option<i64>)]
    pub goes_at: Option<Timestamp>,
    /// When it goes at the latest for nothing having been said any more: with all else of its contact.
    #[schema(value_type = Option<i64>)]
    pub goes_with_contact_at: Option<Timestamp>,
    /// The legal holds that keep it until they are released.
    #[schema(value_type = Vec<String>)]
    pub holds: Vec<HoldId>,
    /// The erasure that took it: it is not there any more.
    #[schema(value_type = Option<String>)]
    pub erased_by: Option<ErasureId>,
}

/// What an id names that goes by a period.
struct Named {
    what: &'static str,
    class: Class,
    conversation: Option<Conversation>,
    since: Timestamp,
}

impl Keeper {
    /// Why what an id names is still there, and until when. Messages, turns and files are looked up in a
    /// conversation; what is kept by a rule is not looked up at all. Nothing where it is not there and no erasure
    /// tells of it.
    ///
    /// # Errors
    /// [`KeepingError::NoSuchKind`], [`KeepingError::InWhich`]; [`KeepingError::Storage`].
    pub async fn explain(
        &self,
        tenant: TenantId,
        id: &str,
        conversation: Option<ConversationId>,
    ) -> Result<Option<Explanation>> {
        let ctx = TenantCtx::platform(tenant);
        let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        let parts =
            id.split_once('_').filter(|(_, digits)| digits.len() == 32 && digits.bytes().all(is_digit));
        let (prefix, _) = parts.ok_or(KeepingError::NoSuchKind)?;
        if let Some((_, what)) = BY_RULE.iter().find(|(of, _)| *of == prefix) {
            return Ok(Some(by_rule(what)));
        }
        let store = self.0.store.tenant(ctx).await?;
        let Some(named) = self.named(ctx, &*store, id, conversation).await? else {
            return self.taken_by(ctx, id).await;
        };
        let chosen = self.0.store.keeping().retention(ctx).await?;
        let over = |class: Class, since: Timestamp| {
            self.0.rules.days(&chosen, class).map(|days| since.plus_millis(u64::from(days) * DAY_MS))
        };
        let contact = named.conversation.as_ref().map(|conversation| conversation.contact);
        let silent = match &named.conversation {
            // It is counted from that already.
            Some(_) if named.class == Class::Contact => over(Class::Contact, named.since),
            Some(conversation) => over(Class::Contact, heard_at(&*store, conversation).await?),
            None => None,
        };
        let mut holds = self.holds_in_force(tenant).await?;
        holds.retain(|hold| {
            contact.map_or_else(|| hold.covers_all(named.class), |contact| hold.covers(contact, named.class))
        });
        Ok(Some(Explanation {
            what: named.what,
            class: named.class,
            rule: named.class.rule(),
            contact,
            days: self.0.rules.days(&chosen, named.class),
            chosen: chosen.days.contains_key(&named.class),
            counts_from: Some(named.since),
            goes_at: over(named.class, named.since),
            goes_with_contact_at: silent,
            holds: holds.into_iter().map(|hold| hold.id).collect(),
            erased_by: None,
        }))
    }

    async fn named(
        &self,
        ctx: TenantCtx,
        store: &dyn TenantStore,
        id: &str,
        conversation: Option<ConversationId>,
    ) -> Result<Option<Named>> {
        let known = async |id| Ok::<_, KeepingError>(store.conversation(id).await?.map(|(it, _)| it));
        if let Ok(contact) = id.parse::<ContactId>() {
            let person = self.0.store.keeping().person(ctx, contact).await?;
            let mut latest: Option<Named> = None;
            for id in person.conversations {
                let Some(conversation) = known(id).await? else { continue };
                let since = heard_at(store, &conversation).await?;
                if latest.as_ref().is_none_or(|before| before.since < since) {
                    let (what, class) = ("contact", Class::Contact);
                    latest = Some(Named { what, class, conversation: Some(conversation), since });
                }
            }
            return Ok(latest);
        }
        if let Ok(id) = id.parse::<ConversationId>() {
            let Some(conversation) = known(id).await? else { return Ok(None) };
            let since = heard_at(store, &conversation).await?;
            let (what, class) = ("conversation", Class::Contact);
            return Ok(Some(Named { what, class, conversation: Some(conversation), since }));
        }
        let of = |what, class, conversation, since| Ok(Some(Named { what, class, conversation, since }));
        if let Ok(id) = id.parse::<DeadLetterId>() {
            let Some(letter) = store.dead_letter(id).await? else { return Ok(None) };
            let conversation = known(letter.conversation).await?;
            return of("dead_letter", Class::DeadLetter, conversation, moment_of(id.to_bytes()));
        }
        if let Ok(id) = id.parse::<DeliveryId>() {
            for subscription in store.hooks().subscriptions().await? {
                let Some(delivery) = store.hooks().delivery(subscription.id, id).await? else { continue };
                let conversation = match delivery.conversation {
                    Some(id) => known(id).await?,
                    None => None,
                };
                return of("delivery", Class::Webhook, conversation, delivery.created_at);
            }
            return Ok(None);
        }
        let (message, turn, file) = (id.parse::<MessageId>(), id.parse::<TurnId>(), id.parse::<MediaId>());
        if message.is_err() && turn.is_err() && file.is_err() {
            return Err(KeepingError::NoSuchKind);
        }
        let place = conversation.ok_or(KeepingError::InWhich)?;
        let Some(conversation) = known(place).await? else { return Ok(None) };
        let found = match (message, turn, file) {
            (Ok(id), ..) => {
                let there = store.message(place, id).await?.is_some();
                there.then(|| ("message", Class::Message, moment_of(id.to_bytes())))
            }
            (_, Ok(id), _) => {
                let there = store.turn(place, id).await?.is_some();
                there.then(|| ("turn", Class::Execution, moment_of(id.to_bytes())))
            }
            (.., Ok(id)) => with_file(store, place, id).await?.map(|at| ("file", Class::Message, at)),
            _ => None,
        };
        let Some((what, class, since)) = found else { return Ok(None) };
        of(what, class, Some(conversation), since)
    }

    /// Who is not there any more may have been erased.
    async fn taken_by(&self, ctx: TenantCtx, id: &str) -> Result<Option<Explanation>> {
        let (contact, conversation) = (id.parse::<ContactId>().ok(), id.parse::<ConversationId>().ok());
        let mut before = None;
        loop {
            let erasures = self.0.store.keeping().erasures(ctx, before, PAGE).await?;
            let took = erasures.iter().find(|erasure| {
                contact.is_some_and(|id| erasure.contacts.contains(&id))
                    || conversation.is_some_and(|id| erasure.conversations.contains(&id))
            });
            if let Some(erasure) = took {
                let what = if contact.is_some() { "contact" } else { "conversation" };
                return Ok(Some(Explanation { erased_by: Some(erasure.id), contact, ..by_rule(what) }));
            }
            before = erasures.last().map(|erasure| erasure.id);
            if erasures.len() < PAGE {
                return Ok(None);
            }
        }
    }
}

/// What the data map says of a kind, where no record of it is looked at.
fn by_rule(what: &'static str) -> Explanation {
    let kind = data_map().into_iter().find(|kind| kind.kind == what);
    let class = kind.and_then(|kind| kind.fields.first().map(|field| field.class)).unwrap_or(Class::Upkeep);
    Explanation {
        what,
        class,
        rule: class.rule(),
        contact: None,
        days: None,
        chosen: false,
        counts_from: None,
        goes_at: None,
        goes_with_contact_at: None,
        holds: Vec::new(),
        erased_by: None,
    }
}

async fn heard_at(store: &dyn TenantStore, conversation: &Conversation) -> Result<Timestamp> {
    let last = store.messages(conversation.id, None, 1).await?.pop();
    Ok(conversation.heard_at(last.map(|message| message.id)))
}

/// When the message came that has a file.
async fn with_file(
    store: &dyn TenantStore,
    conversation: ConversationId,
    file: MediaId,
) -> Result<Option<Timestamp>> {
    let mut before = None;
    loop {
        let messages = store.messages(conversation, before, PAGE).await?;
        let has = |message: &&Message| {
            message.content.media().iter().any(|media| media.source.stored() == Some(file))
        };
        if let Some(message) = messages.iter().find(has) {
            return Ok(Some(moment_of(message.id.to_bytes())));
        }
        before = messages.last().map(|message| message.id);
        if messages.len() < PAGE {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_by_a_rule_is_in_the_data_map() {
        for (prefix, what) in BY_RULE {
            let kind = data_map().into_iter().find(|kind| kind.kind == what);
            let kind = kind.unwrap_or_else(|| panic!("{prefix}: {what}"));
            assert!(!kind.fields[0].class.is_chosen(), "{what} has a period");
        }
    }
}
