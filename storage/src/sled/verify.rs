//! Whether one record is as it should be: it opens, it is where it belongs, and what it refers to agrees.
//! The same for what is stored and for a write in the making, so that what looks wrong in passing can be
//! looked at again where nothing changes meanwhile.

mod people;
mod record;
mod rest;
mod talk;

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use iassistance_domain::audit::SealedAudit;
use iassistance_domain::content::MediaSource;
use iassistance_domain::id::{
    AccountId, ContactId, ConversationId, DocumentId, InvitationId, MediaId, MessageId, TenantId,
};
use iassistance_vault::{KeyRef, Keyring, Place, TenantVault, VaultError, subject_of};

use super::audit::entry_key;
use super::keys::{
    self, ADDRESS, API_KEY, ASSISTANT, AUDIT, AUDIT_ENTRY, Addressee, BUSY, CHANNEL, CHANNEL_ADDRESS,
    CONTACT, CONVERSATION, ChannelOwner, DEAD_LETTER, DEDUP, DELETION, DISCLOSURES, DOCUMENT, EVENT,
    FenceState, HOME, Hash, Home, INBOX, KEPT_RAW, Key, Kind, Known, MARKS, MESSAGE, META_APP, OUTBOX,
    PARKED, PARKED_SINCE, PASSAGE, PROVIDER, RESERVATION, SET_ASIDE, SPENT_CONTACT, SPENT_CONVERSATION,
    SUBJECT_KEY, SUMMARY, SessionHome, TEMPLATES, TENANT, TOMBSTONE, TOMBSTONE_SINCE, TURN, UNROUTED,
    UNROUTED_SEEN, aside, id_in, kind_of,
};
use super::quarantine::unframe;
use super::space::{Read, Result, Space, Unopened, unseal, vault_error};
use super::upgrade::present;
use crate::findings::Problem;

/// What is not as it should be, and what would mend it.
#[derive(Clone)]
pub(super) struct Trouble {
    pub(super) problem: Problem,
    pub(super) mend: Mend,
}

/// What would mend something.
#[derive(Clone)]
pub(super) enum Mend {
    /// Nothing that could be known here.
    Nothing,
    /// The record goes out of the way.
    SetAside,
    /// The record is made anew: what it says is that it is there, or since when.
    Renew,
    /// The row at this key counts for nothing.
    Drop(Vec<u8>),
    /// What is parked is gone: so is its moment.
    Unpark,
    /// Passages that count for nothing.
    ForgetPassages(DocumentId),
    /// A mark is to be at this key.
    Mark(Vec<u8>),
    /// What was taken back is found by since when it is, too.
    Since(Hash),
    /// A message of ours is found by its id.
    Home(MessageId, Home),
    /// A message is found by Meta's id.
    Known(Hash, Known),
    /// A contact is found by a part of their identity.
    Addressee(Key<Addressee>, Addressee),
    /// A channel is found by its address.
    ChannelOwner(Key<ChannelOwner>, ChannelOwner),
    /// An account is found by its e-mail address, its subject, or a token.
    Account(Key<AccountId>, AccountId),
    /// A session is found by its token.
    Session(Key<SessionHome>, SessionHome),
    /// An invitation is found by its token.
    Invitation(Key<InvitationId>, InvitationId),
}

/// What is known beside the tree.
pub(super) struct Lookout<'a> {
    pub(super) keyring: &'a Keyring,
    pub(super) platform: &'a Space,
    /// Whether indexes that do not open are to be made anew from what they are of.
    pub(super) mending: bool,
    /// Contacts that were found to be one with another: what they were known by is the other's.
    pub(super) merged: &'a HashSet<[u8; 16]>,
    /// Events of addresses that nobody connected, by what tells them apart.
    pub(super) unrouted: &'a HashSet<Hash>,
    /// What was taken back and has its moment written down; nothing when those are too many to be held.
    pub(super) taken_back: Option<&'a HashSet<Hash>>,
}

/// Whether a record opens, in a schema that is known. Without a keyring, a channel does not.
pub(super) fn opens<R: Read>(
    reader: &R,
    keyring: Option<&Keyring>,
    key: &[u8],
    sealed: &[u8],
) -> std::result::Result<(), Unopened> {
    let space = reader.space();
    if key.first() == Some(&SET_ASIDE.code) {
        return unframe(sealed).map(|_| ()).ok_or(Unopened::Unreadable);
    }
    if key.first() == Some(&SUBJECT_KEY.code) {
        let contact = id_in(key, 1).ok_or(Unopened::Unreadable)?;
        let unwrapped = space.vault.unwrap_subject_key(ContactId::from_bytes(contact), sealed);
        return match unwrapped {
            Ok(_) => Ok(()),
            Err(VaultError::NotAuthentic { .. }) => Err(Unopened::Altered),
            Err(_) => Err(Unopened::Unreadable),
        };
    }
    let kind = kind_of(key).ok_or(Unopened::Unreadable)?;
    let vault = match keyring {
        Some(keyring) => &vault_of(space, keyring, key)?,
        None => &space.vault,
    };
    let subject = subject_of(sealed).map(|contact| reader.subject_key(contact)).transpose()?;
    let key_ref = subject.as_deref().map_or(KeyRef::Tenant, KeyRef::Subject);
    let opened = unseal(vault, Place { tree: &space.name, key, schema: kind.schema }, key_ref, sealed)?;
    let holds = if opened.schema == kind.schema {
        (kind.holds)(&opened.plaintext)
    } else {
        let record = present(kind.schema, kind.upgrade, &opened)?;
        serde_json::to_vec(&record).is_ok_and(|record| (kind.holds)(&record))
    };
    if !holds {
        return Err(Unopened::Unreadable);
    }
    // What it is about is sealed once more.
    if kind.code == AUDIT.code { audit_entry_opens(reader, &opened.plaintext) } else { Ok(()) }
}

fn audit_entry_opens<R: Read>(reader: &R, record: &[u8]) -> std::result::Result<(), Unopened> {
    let record: SealedAudit = serde_json::from_slice(record).map_err(|_| Unopened::Unreadable)?;
    reader.try_open(AUDIT_ENTRY, entry_key(record.seq).bytes(), &record.sealed).map(|_| ())
}

/// Whose keys seal the record at a key of a tree: a channel's are its tenant's.
pub(super) fn vault_of(space: &Space, keyring: &Keyring, key: &[u8]) -> Result<TenantVault> {
    match (key.first(), id_in(key, 1)) {
        (Some(&code), Some(tenant)) if code == CHANNEL.code => {
            keyring.tenant(TenantId::from_bytes(tenant)).map_err(vault_error)
        }
        _ => Ok(space.vault.clone()),
    }
}

/// Everything that is wrong with a record.
pub(super) fn verify<R: Read>(
    reader: &R,
    out: &Lookout<'_>,
    key: &[u8],
    sealed: &[u8],
) -> Result<Vec<Trouble>> {
    let mut look = Look { reader, out, key, sealed, troubles: Vec::new() };
    look.at_record()?;
    Ok(look.troubles)
}

/// The files that a record names.
pub(super) fn files_of<R: Read>(reader: &R, key: &[u8], sealed: &[u8]) -> Vec<MediaId> {
    match key.first() {
        Some(&code) if code == MESSAGE.code => {
            let Ok(message) = reader.try_open(MESSAGE, key, sealed) else { return Vec::new() };
            let stored = |source: &MediaSource| source.stored();
            message.content.media().iter().filter_map(|media| stored(&media.source)).collect()
        }
        _ => Vec::new(),
    }
}

/// How a record that is asked for is found.
enum Found<T> {
    /// As it should be.
    Whole(T),
    /// It does not open. That is told where it is.
    Unreadable,
    /// A later version wrote it: it is left alone, and believed.
    Newer,
    /// It is set aside.
    Aside,
    /// It is not there.
    Absent,
}

struct Look<'a, R> {
    reader: &'a R,
    out: &'a Lookout<'a>,
    key: &'a [u8],
    sealed: &'a [u8],
    troubles: Vec<Trouble>,
}

impl<R: Read> Look<'_, R> {
    fn at_record(&mut self) -> Result<()> {
        let Some(&code) = self.key.first() else { return Ok(()) };
        match code {
            _ if code == CONTACT.code => self.contact(),
            _ if code == ADDRESS.code => self.address(),
            _ if code == CONVERSATION.code => self.conversation(),
            _ if code == BUSY.code => self.busy(),
            _ if code == INBOX.code => self.letter(),
            _ if code == OUTBOX.code => self.outbox(),
            _ if code == MESSAGE.code => self.message(),
            _ if code == HOME.code => self.home(),
            _ if code == PROVIDER.code => self.provider(),
            _ if code == PARKED.code => self.parked(),
            _ if code == PARKED_SINCE.code => self.parked_since(),
            _ if code == TOMBSTONE.code => self.tombstone(),
            _ if code == TOMBSTONE_SINCE.code => self.tombstone_since(),
            _ if code == TURN.code => self.turn(),
            _ if code == DEAD_LETTER.code => self.dead_letter(),
            _ if code == EVENT.code => self.event(),
            _ if code == KEPT_RAW.code => self.kept_raw(),
            _ if code == ASSISTANT.code => self.assistant(),
            _ if code == TEMPLATES.code => self.templates(),
            _ if code == SUMMARY.code => self.summary(),
            _ if code == DOCUMENT.code => self.document(),
            _ if code == PASSAGE.code => self.passage(),
            _ if code == RESERVATION.code => self.reservation(),
            _ if code == SPENT_CONTACT.code => self.spent_on_contact(),
            _ if code == SPENT_CONVERSATION.code => self.spent_in_conversation(),
            _ if code == DISCLOSURES.code => self.disclosures(),
            _ if code == AUDIT.code => self.audit(),
            _ => self.of_platform(code),
        }
    }

    fn of_platform(&mut self, code: u8) -> Result<()> {
        match code {
            _ if code == TENANT.code => self.tenant(),
            _ if code == META_APP.code => {
                let found = self.open(META_APP)?;
                self.must_be_at(found.map(|app| app.id.to_bytes()), 1);
                Ok(())
            }
            _ if code == CHANNEL.code => self.channel(),
            _ if code == CHANNEL_ADDRESS.code => self.channel_address(),
            _ if code == API_KEY.code => self.api_key(),
            _ if code == UNROUTED.code => self.unrouted(),
            _ if code == UNROUTED_SEEN.code => self.unrouted_seen(),
            _ if code == DELETION.code => {
                let Some(deletion) = self.open(DELETION)? else { return Ok(()) };
                self.must_be_at(Some(deletion.id.to_bytes()), 1);
                self.must_have(keys::meta_app(deletion.meta_app).bytes(), "Meta app")
            }
            _ => self.of_people(code),
        }
    }

    /// A record that refers to nothing.
    fn by_itself(&mut self) -> Result<()> {
        let opened = opens(self.reader, Some(self.out.keyring), self.key, self.sealed);
        opened.or_else(|unopened| self.unopened(unopened))
    }

    /// Opens the record, or tells of it.
    fn open<T: DeserializeOwned>(&mut self, kind: Kind<T>) -> Result<Option<T>> {
        match self.reader.try_open(kind, self.key, self.sealed) {
            Ok(record) => Ok(Some(record)),
            Err(unopened) => self.unopened(unopened).map(|()| None),
        }
    }

    fn unopened(&mut self, unopened: Unopened) -> Result<()> {
        let known = kind_of(self.key);
        let (problem, mend) = match (unopened, known) {
            (Unopened::Other(error), _) => return Err(error),
            (Unopened::Newer(found), Some(kind)) => {
                (Problem::Newer { found, known: kind.schema }, Mend::Nothing)
            }
            (_, None) if ![SUBJECT_KEY.code, SET_ASIDE.code].contains(&self.key[0]) => {
                (Problem::Unknown, Mend::Nothing)
            }
            _ => (Problem::DoesNotOpen, self.mend_of_unopened()),
        };
        self.tell(problem, mend);
        Ok(())
    }

    /// What is done about a record that does not open.
    fn mend_of_unopened(&self) -> Mend {
        let is_mark = |code| MARKS.iter().any(|mark| mark.code == code);
        match self.key[0] {
            code if is_mark(code) || [DEDUP.code, TOMBSTONE.code].contains(&code) => Mend::Renew,
            // It still says that its message was taken in; what it is of makes it anew, where that is there.
            code if code == PROVIDER.code || code == SET_ASIDE.code => Mend::Nothing,
            _ => Mend::SetAside,
        }
    }

    fn tell(&mut self, problem: Problem, mend: Mend) {
        self.troubles.push(Trouble { problem, mend });
    }

    fn lacks(&mut self, what: &str) {
        self.tell(Problem::Missing { what: what.to_owned() }, Mend::Nothing);
    }

    fn disagrees(&mut self, what: &str, mend: Mend) {
        self.tell(Problem::Disagrees { what: what.to_owned() }, mend);
    }

    fn find<T: DeserializeOwned>(&self, key: &Key<T>) -> Result<Found<T>> {
        let Some(sealed) = self.reader.sealed(key.bytes())? else {
            let aside = self.reader.sealed(&aside(key.bytes()))?;
            return Ok(if aside.is_some() { Found::Aside } else { Found::Absent });
        };
        match self.reader.try_open(key.kind, key.bytes(), &sealed) {
            Ok(record) => Ok(Found::Whole(record)),
            Err(Unopened::Other(error)) => Err(error),
            Err(Unopened::Newer(_)) => Ok(Found::Newer),
            Err(Unopened::Altered | Unopened::Unreadable) => Ok(Found::Unreadable),
        }
    }

    /// Whether something is at a key, or was and is set aside.
    fn is_there(&self, key: &[u8]) -> Result<bool> {
        is_there(self.reader, key)
    }

    fn must_have(&mut self, key: &[u8], what: &str) -> Result<()> {
        if !self.is_there(key)? {
            self.lacks(what);
        }
        Ok(())
    }

    fn must_have_conversation(&mut self, id: ConversationId) -> Result<()> {
        self.must_have(keys::conversation(id).bytes(), "conversation")
    }

    /// The record's key has this id there, if the record opened.
    fn must_be_at(&mut self, id: Option<[u8; 16]>, at: usize) {
        if id.is_some_and(|id| id_in(self.key, at) != Some(id)) {
            self.tell(Problem::Misplaced, Mend::SetAside);
        }
    }

    fn fence(&self, id: ConversationId) -> Result<Option<FenceState>> {
        match self.find(&keys::fence(id))? {
            Found::Whole(fence) => Ok(Some(fence.state)),
            _ => Ok(None),
        }
    }
}

fn is_there<R: Read>(reader: &R, key: &[u8]) -> Result<bool> {
    Ok(reader.sealed(key)?.is_some() || reader.sealed(&aside(key))?.is_some())
}
