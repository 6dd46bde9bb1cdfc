//! All that is held about a person, and nothing of anybody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use iassistance_domain::account::Language;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{CaseId, ContactId, MediaId, TenantId};
use iassistance_domain::privacy::Class;
use iassistance_domain::privacy::rights::RightsCase;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::TenantStore;
use iassistance_storage::keeping::Person;

use super::{PAGE, Registrar, Result, RightsError, words};

/// Bytes of files that are put in at most; the others are named, and shown by the business.
const FILES_BYTES_MAX: usize = 16 << 20;

/// All that is held about a person: parts by name, each a list of records.
pub struct Bundle {
    /// The parts, in the order in which they are shown.
    pub parts: Vec<(&'static str, Vec<Value>)>,
}

impl Bundle {
    /// As one JSON document.
    pub fn json(&self) -> Value {
        let parts = self.parts.iter().map(|(name, records)| ((*name).to_owned(), json!(records)));
        Value::Object(parts.collect::<Map<_, _>>())
    }
}

fn value(record: &impl Serialize) -> Result<Value> {
    serde_json::to_value(record).map_err(|error| RightsError::Write(error.to_string()))
}

fn values<T: Serialize>(records: &[T]) -> Result<Vec<Value>> {
    records.iter().map(value).collect()
}

impl Registrar {
    /// All that is held about a contact, with all who proved to be the same person; readable by `language`.
    ///
    /// # Errors
    /// [`RightsError::NoSuchContact`], and what the store and the files say.
    pub async fn bundle(&self, tenant: TenantId, contact: ContactId, language: Language) -> Result<Bundle> {
        let ctx = TenantCtx::platform(tenant);
        let store = self.0.store.tenant(ctx).await?;
        let person = self.0.store.keeping().person(ctx, contact).await?;
        if person.contacts.is_empty() {
            return Err(RightsError::NoSuchContact);
        }
        let mut parts = vec![
            ("about", vec![self.about(tenant).await?]),
            ("recipients", values(&self.recipients(tenant, contact).await?)?),
            ("kept", self.kept(ctx).await?),
        ];
        let (mut contacts, mut versions, mut consents) = (Vec::new(), Vec::new(), Vec::new());
        for id in &person.contacts {
            contacts.extend(store.contact(*id).await?.as_ref().map(value).transpose()?);
            versions.extend(values(&self.0.store.rights().contact_versions(ctx, *id).await?)?);
            consents.extend(values(&self.0.store.rights().consents(ctx, *id).await?)?);
        }
        parts.extend([("contacts", contacts), ("versions", versions), ("consents", consents)]);
        parts.extend(self.talk(&*store, &person).await?);
        parts.push(("files", self.files(tenant, &person.files).await?));
        parts.push(("events", events(&*store, &person).await?));
        parts.push(("dead_letters", dead_letters(&*store, &person).await?));
        parts.push(("requests", self.requests(ctx, &person).await?));
        let meanings = words::meanings(language).map(|(code, means)| json!({ "code": code, "means": means }));
        parts.push(("meanings", meanings.collect()));
        Ok(Bundle { parts })
    }

    async fn about(&self, tenant: TenantId) -> Result<Value> {
        let name = self.0.store.people().tenant_record(tenant).await?.map(|record| record.name);
        Ok(json!({ "business": name, "made_at": self.now() }))
    }

    async fn kept(&self, ctx: TenantCtx) -> Result<Vec<Value>> {
        let chosen = self.0.store.keeping().retention(ctx).await?;
        let rules = self.0.keeper.rules();
        let of = |class: Class| json!({ "class": class, "days": rules.days(&chosen, class), "rule": class.rule() });
        Ok(Class::ALL.into_iter().map(of).collect())
    }

    async fn talk(
        &self,
        store: &dyn TenantStore,
        person: &Person,
    ) -> Result<Vec<(&'static str, Vec<Value>)>> {
        let (mut conversations, mut messages, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let (mut summaries, mut turns, mut spending) = (Vec::new(), Vec::new(), Vec::new());
        for id in &person.conversations {
            if let Some((conversation, _)) = store.conversation(*id).await? {
                conversations.push(value(&conversation)?);
            }
            let mut before = None;
            loop {
                let found = store.messages(*id, before, PAGE).await?;
                before = found.last().map(|message| message.id);
                messages.extend(values(&found)?);
                if found.len() < PAGE {
                    break;
                }
            }
            let mut before = None;
            loop {
                let found = store.turns(*id, before, PAGE).await?;
                before = found.last().map(|turn| turn.id);
                turns.extend(values(&found)?);
                if found.len() < PAGE {
                    break;
                }
            }
            waiting.extend(values(&store.outbox(*id).await?)?);
            let letters = store.inbox(*id, usize::MAX).await?;
            waiting.extend(letters.iter().map(|it| value(&it.letter)).collect::<Result<Vec<_>>>()?);
            summaries.extend(store.summary(*id).await?.as_ref().map(value).transpose()?);
            spending.push(json!({ "conversation": id, "spent": store.spent_in(*id).await? }));
        }
        Ok(vec![
            ("conversations", conversations),
            ("messages", messages),
            ("waiting", waiting),
            ("summaries", summaries),
            ("turns", turns),
            ("spending", spending),
        ])
    }

    async fn files(&self, tenant: TenantId, files: &[MediaId]) -> Result<Vec<Value>> {
        let (mut found, mut left) = (Vec::new(), FILES_BYTES_MAX);
        for id in files {
            let Some(opened) = self.0.content.get(tenant, *id).await? else { continue };
            let bytes = opened.read().await?;
            let data = (bytes.len() <= left).then(|| STANDARD.encode(&bytes));
            left -= if data.is_some() { bytes.len() } else { 0 };
            found.push(json!({ "id": id, "bytes": bytes.len(), "data_base64": data }));
        }
        Ok(found)
    }

    async fn requests(&self, ctx: TenantCtx, person: &Person) -> Result<Vec<Value>> {
        let (mut found, mut before) = (Vec::new(), None::<CaseId>);
        loop {
            let cases = self.0.store.rights().cases(ctx, before, PAGE).await?;
            before = cases.last().map(|case| case.id);
            for case in cases.iter().filter(|case| person.contacts.contains(&case.contact)) {
                found.push(value(&without_secrets(case.clone()))?);
            }
            if cases.len() < PAGE {
                return Ok(found);
            }
        }
    }
}

/// What proves who asks is nobody's to see.
fn without_secrets(case: RightsCase) -> RightsCase {
    RightsCase { challenge: None, ..case }
}

async fn events(store: &dyn TenantStore, person: &Person) -> Result<Vec<Value>> {
    let (mut found, mut after) = (Vec::new(), EventSeq::default());
    loop {
        let events = store.events(after, PAGE).await?;
        let Some(last) = events.last() else { return Ok(found) };
        after = last.seq;
        let theirs = |contact: Option<ContactId>| contact.is_some_and(|it| person.contacts.contains(&it));
        for event in events.iter().filter(|event| theirs(event.contact)) {
            found.push(value(event)?);
        }
    }
}

async fn dead_letters(store: &dyn TenantStore, person: &Person) -> Result<Vec<Value>> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let letters = store.dead_letters(before, PAGE).await?;
        before = letters.last().map(|letter| letter.id);
        for letter in letters.iter().filter(|letter| person.conversations.contains(&letter.conversation)) {
            found.push(value(letter)?);
        }
        if letters.len() < PAGE {
            return Ok(found);
        }
    }
}
