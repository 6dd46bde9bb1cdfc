//! Whether one record is as it should be: it opens, it is where it belongs, and what it refers to agrees.
//! The same for what is stored and for a write in the making, so that what looks wrong in passing can be
//! looked at again where nothing changes meanwhile.

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use iassistance_domain::content::MediaSource;
use iassistance_domain::event::DeadWork;
use iassistance_domain::id::{
    ChannelId, ContactId, ConversationId, DocumentId, MediaId, MessageId, TenantId,
};
use iassistance_domain::inbound::InboundKind;
use iassistance_domain::message::Message;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_vault::{KeyRef, Keyring, Place, TenantVault, VaultError, subject_of};

use super::channels::{address_key, open_channel};
use super::contacts::address;
use super::keys::{
    self, ADDRESS, API_KEY, ASSISTANT, Addressee, BUSY, CHANNEL, CHANNEL_ADDRESS, CONTACT, CONVERSATION,
    ChannelOwner, DEAD_LETTER, DEDUP, DELETION, DOCUMENT, EVENT, FenceState, HOME, Hash, Home, INBOX, Key,
    Kind, Known, MESSAGE, META_APP, OUTBOX, PARKED, PARKED_SINCE, PASSAGE, PROVIDER, RESERVATION, SET_ASIDE,
    SPENT_CONTACT, SPENT_CONVERSATION, SUBJECT_KEY, SUMMARY, TEMPLATES, TENANT, TOMBSTONE, TOMBSTONE_SINCE,
    TURN, UNROUTED, UNROUTED_SEEN, aside, id_in, kind_of, number_in,
};
use super::provider::{parked_since, provider_hash};
use super::quarantine::unframe;
use super::space::{Read, Result, Space, Unopened, unseal, vault_error};
use super::upgrade::present;
use crate::commit::Letter;
use crate::error::StorageError;
use crate::findings::Problem;
use crate::rules::is_ours;

/// Letters that are searched for the one that a message waits in.
const LETTERS_SEARCHED: usize = 1_000;

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
    if holds { Ok(()) } else { Err(Unopened::Unreadable) }
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
            _ if code == ASSISTANT.code => self.assistant(),
            _ if code == TEMPLATES.code => self.templates(),
            _ if code == SUMMARY.code => self.summary(),
            _ if code == DOCUMENT.code => self.document(),
            _ if code == PASSAGE.code => self.passage(),
            _ if code == RESERVATION.code => self.reservation(),
            _ if code == SPENT_CONTACT.code => self.spent_on_contact(),
            _ if code == SPENT_CONVERSATION.code => self.spent_in_conversation(),
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
            _ => self.by_itself(),
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
        const MARKS: [u8; 6] = [
            BUSY.code,
            PARKED_SINCE.code,
            TOMBSTONE_SINCE.code,
            UNROUTED_SEEN.code,
            DEDUP.code,
            TOMBSTONE.code,
        ];
        match self.key[0] {
            code if MARKS.contains(&code) => Mend::Renew,
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

    fn contact(&mut self) -> Result<()> {
        let Some(contact) = self.open(CONTACT)? else { return Ok(()) };
        self.must_be_at(Some(contact.id.to_bytes()), 1);
        self.must_have(keys::subject_key(contact.id).bytes(), "contact's key")?;
        self.must_have_conversation(contact.conversation)?;
        if self.out.merged.contains(&contact.id.to_bytes()) {
            return Ok(());
        }
        let its = Addressee { contact: contact.id, conversation: contact.conversation };
        for (part, value) in contact.identity.parts() {
            let key = address(self.reader.space(), contact.channel, part, value);
            match self.find(&key)? {
                Found::Absent => self.disagrees("address", Mend::Addressee(key, its)),
                Found::Unreadable | Found::Aside if self.out.mending => {
                    self.disagrees("address", Mend::Addressee(key, its));
                }
                // A number that was given up becomes somebody else's.
                _ => {}
            }
        }
        Ok(())
    }

    fn address(&mut self) -> Result<()> {
        let Some(addressee) = self.open(ADDRESS)? else { return Ok(()) };
        match self.find(&keys::contact(addressee.contact))? {
            Found::Whole(contact) if contact.conversation != addressee.conversation => {
                let its = Addressee { conversation: contact.conversation, ..addressee };
                let (Some(channel), Some(hash)) = (id_in(self.key, 1), id_in(self.key, 17)) else {
                    return Ok(());
                };
                self.disagrees("contact", Mend::Addressee(ADDRESS.key().id(channel).id(hash), its));
            }
            Found::Absent => self.tell(Problem::Missing { what: "contact".to_owned() }, Mend::SetAside),
            _ => {}
        }
        Ok(())
    }

    fn conversation(&mut self) -> Result<()> {
        let Some(stored) = self.open(CONVERSATION)? else { return Ok(()) };
        let conversation = stored.conversation;
        self.must_be_at(Some(conversation.id.to_bytes()), 1);
        match self.find(&keys::contact(conversation.contact))? {
            Found::Absent => self.lacks("contact"),
            Found::Whole(contact) if contact.conversation != conversation.id => {
                self.disagrees("contact", Mend::Nothing);
            }
            _ => {}
        }
        let busy = keys::busy(conversation.id);
        match (conversation.is_busy(), self.reader.has(&busy)?) {
            (true, false) => self.disagrees("mark of work under way", Mend::Mark(busy.bytes().to_vec())),
            (false, true) => self.disagrees("mark of work under way", Mend::Drop(busy.bytes().to_vec())),
            _ => {}
        }
        match conversation.running_turn() {
            Some(turn) => self.must_have(keys::turn(conversation.id, turn.id).bytes(), "turn"),
            None => Ok(()),
        }
    }

    fn busy(&mut self) -> Result<()> {
        self.by_itself()?;
        match id_in(self.key, 1).map(ConversationId::from_bytes) {
            Some(id) => self.must_have_conversation(id),
            None => Ok(()),
        }
    }

    fn letter(&mut self) -> Result<()> {
        let Some(stored) = self.open(INBOX)? else { return Ok(()) };
        let Some(id) = id_in(self.key, 1).map(ConversationId::from_bytes) else { return Ok(()) };
        self.must_have_conversation(id)?;
        match stored.letter {
            Letter::Dispatched(report) => {
                self.must_have(keys::message(id, report.message).bytes(), "message")
            }
            Letter::Inbound { message: Some(message), event } => {
                let InboundKind::MessageReceived { provider_id, .. } = &event.kind else { return Ok(()) };
                let Some(fence) = self.fence(id)? else { return Ok(()) };
                let hash = provider_hash(self.reader.space(), fence.channel, provider_id);
                let known = Known { message, conversation: id, contact: fence.contact, ours: false };
                self.must_be_known(hash, known)
            }
            Letter::Inbound { .. } => Ok(()),
        }
    }

    /// A message is found by Meta's id.
    fn must_be_known(&mut self, hash: Hash, known: Known) -> Result<()> {
        let mend = match self.find(&PROVIDER.key().id(hash))? {
            Found::Absent => true,
            Found::Unreadable | Found::Aside => self.out.mending,
            // Another may have that id: ours goes before what was taken for another's.
            Found::Whole(_) | Found::Newer => false,
        };
        if mend {
            self.disagrees("place by Meta's id", Mend::Known(hash, known));
        }
        Ok(())
    }

    fn outbox(&mut self) -> Result<()> {
        let Some(entry) = self.open(OUTBOX)? else { return Ok(()) };
        let OutboxEntry { message, conversation, .. } = entry;
        self.must_be_at(Some(conversation.to_bytes()), 1);
        self.must_be_at(Some(message.to_bytes()), 25);
        self.must_have_conversation(conversation)?;
        self.must_have(keys::message(conversation, message).bytes(), "message")
    }

    fn message(&mut self) -> Result<()> {
        let Some(message) = self.open(MESSAGE)? else { return Ok(()) };
        self.must_be_at(Some(message.conversation.to_bytes()), 1);
        self.must_be_at(Some(message.id.to_bytes()), 17);
        self.must_have_conversation(message.conversation)?;
        let Some(fence) = self.fence(message.conversation)? else { return Ok(()) };
        let Message { id, conversation, .. } = message;
        let ours = is_ours(&message);
        if ours {
            let its = Home { conversation, channel: fence.channel, contact: fence.contact };
            match self.find(&keys::home(id))? {
                Found::Absent => self.disagrees("place by its id", Mend::Home(id, its)),
                Found::Unreadable | Found::Aside if self.out.mending => {
                    self.disagrees("place by its id", Mend::Home(id, its));
                }
                Found::Whole(home) if home != its => {
                    self.disagrees("place by its id", Mend::Home(id, its));
                }
                _ => {}
            }
        }
        if let Some(provider_id) = &message.provider_id {
            let hash = provider_hash(self.reader.space(), fence.channel, provider_id);
            self.must_be_known(hash, Known { message: id, conversation, contact: fence.contact, ours })?;
        }
        Ok(())
    }

    fn home(&mut self) -> Result<()> {
        let Some(home) = self.open(HOME)? else { return Ok(()) };
        let Some(id) = id_in(self.key, 1).map(MessageId::from_bytes) else { return Ok(()) };
        if !self.is_there(keys::message(home.conversation, id).bytes())? {
            self.tell(Problem::Missing { what: "message".to_owned() }, Mend::SetAside);
        }
        Ok(())
    }

    fn provider(&mut self) -> Result<()> {
        let Some(known) = self.open(PROVIDER)? else { return Ok(()) };
        self.must_have_conversation(known.conversation)?;
        if !self.is_there(keys::message(known.conversation, known.message).bytes())?
            && !self.waits_in_letter(known.conversation, known.message)?
        {
            self.lacks("message");
        }
        Ok(())
    }

    /// Whether a message was taken in and is not applied yet. One whose letter was lost says so where that is
    /// set aside; where many wait, it is believed.
    fn waits_in_letter(&self, conversation: ConversationId, message: MessageId) -> Result<bool> {
        let lost = aside(keys::letters(conversation).bytes());
        let prefix = keys::letters(conversation);
        if !self.reader.first_rows(&lost, 1)?.is_empty() {
            return Ok(true);
        }
        let letters = self.reader.first_rows(prefix.bytes(), LETTERS_SEARCHED)?;
        let is_its = |stored: &keys::StoredLetter| match &stored.letter {
            Letter::Inbound { message: id, .. } => *id == Some(message),
            Letter::Dispatched(_) => false,
        };
        Ok(letters.len() == LETTERS_SEARCHED
            || letters.iter().any(|(key, sealed)| {
                self.reader.try_open(INBOX, key, sealed).map_or(true, |stored| is_its(&stored))
            }))
    }

    fn parked(&mut self) -> Result<()> {
        let Some(parked) = self.open(PARKED)? else { return Ok(()) };
        let Some(hash) = id_in(self.key, 1) else { return Ok(()) };
        let since = parked_since(self.key, hash, &parked);
        if self.reader.sealed(&since)?.is_none() {
            self.disagrees("moment", Mend::Mark(since));
        }
        Ok(())
    }

    fn parked_since(&mut self) -> Result<()> {
        self.by_itself()?;
        if let (Some(seq), Some(hash)) = (number_in(self.key, 9), id_in(self.key, 17))
            && self.reader.sealed(PARKED.key().id(hash).number(seq).bytes())?.is_none()
        {
            self.disagrees("event", Mend::Unpark);
        }
        Ok(())
    }

    fn tombstone(&mut self) -> Result<()> {
        self.by_itself()?;
        if let (Some(hash), Some(known)) = (id_in(self.key, 1), self.out.taken_back)
            && !known.contains(&hash)
        {
            self.disagrees("moment", Mend::Since(hash));
        }
        Ok(())
    }

    fn tombstone_since(&mut self) -> Result<()> {
        self.by_itself()?;
        if let Some(hash) = id_in(self.key, 9)
            && !self.is_there(TOMBSTONE.key().id(hash).bytes())?
        {
            self.disagrees("mark", Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let Some(turn) = self.open(TURN)? else { return Ok(()) };
        self.must_be_at(Some(turn.conversation.to_bytes()), 1);
        self.must_be_at(Some(turn.id.to_bytes()), 17);
        self.must_have_conversation(turn.conversation)?;
        for message in turn.covers.iter().chain(&turn.sent) {
            self.must_have(keys::message(turn.conversation, *message).bytes(), "message")?;
        }
        Ok(())
    }

    fn dead_letter(&mut self) -> Result<()> {
        let Some(letter) = self.open(DEAD_LETTER)? else { return Ok(()) };
        self.must_be_at(Some(letter.id.to_bytes()), 1);
        self.must_have_conversation(letter.conversation)?;
        match letter.work {
            DeadWork::Conversation => Ok(()),
            DeadWork::Send { message } => {
                self.must_have(keys::message(letter.conversation, message).bytes(), "message")
            }
            DeadWork::Turn { turn } => self.must_have(keys::turn(letter.conversation, turn).bytes(), "turn"),
        }
    }

    fn event(&mut self) -> Result<()> {
        let Some(event) = self.open(EVENT)? else { return Ok(()) };
        if number_in(self.key, 1) != Some(event.seq.0) {
            self.tell(Problem::Misplaced, Mend::SetAside);
        }
        match event.conversation {
            Some(id) => self.must_have_conversation(id),
            None => Ok(()),
        }
    }

    fn assistant(&mut self) -> Result<()> {
        let Some(settings) = self.open(ASSISTANT)? else { return Ok(()) };
        if number_in(self.key, 1) != Some(settings.version) {
            self.tell(Problem::Misplaced, Mend::SetAside);
        }
        Ok(())
    }

    fn templates(&mut self) -> Result<()> {
        if self.open(TEMPLATES)?.is_none() {
            return Ok(());
        }
        let (Some(tenant), Some(channel)) = (self.reader.space().id, id_in(self.key, 1)) else {
            return Ok(());
        };
        // They are in another tree: a crash between the two writes leaves them.
        if !is_there(self.out.platform, keys::channel(tenant, ChannelId::from_bytes(channel)).bytes())? {
            self.tell(Problem::Leftover, Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }

    fn summary(&mut self) -> Result<()> {
        let Some(stored) = self.open(SUMMARY)? else { return Ok(()) };
        let Some(id) = id_in(self.key, 1).map(ConversationId::from_bytes) else { return Ok(()) };
        self.must_have_conversation(id)?;
        match stored.summary {
            Some(summary) => self.must_have(keys::message(id, summary.until).bytes(), "message"),
            None => Ok(()),
        }
    }

    fn document(&mut self) -> Result<()> {
        let found = self.open(DOCUMENT)?;
        self.must_be_at(found.map(|stored| stored.document.id.to_bytes()), 1);
        Ok(())
    }

    fn passage(&mut self) -> Result<()> {
        if self.open(PASSAGE)?.is_none() {
            return Ok(());
        }
        let Some(id) = id_in(self.key, 1).map(DocumentId::from_bytes) else { return Ok(()) };
        let edition = number_in(self.key, 17).unwrap_or_default();
        let counts = match self.find(&keys::document(id))? {
            Found::Whole(stored) => stored.may_count(edition),
            Found::Unreadable | Found::Newer | Found::Aside => true,
            Found::Absent => false,
        };
        if !counts {
            self.tell(Problem::Leftover, Mend::ForgetPassages(id));
        }
        Ok(())
    }

    fn reservation(&mut self) -> Result<()> {
        let Some(reserved) = self.open(RESERVATION)? else { return Ok(()) };
        self.must_be_at(Some(reserved.turn.to_bytes()), 1);
        self.must_have_conversation(reserved.conversation)?;
        self.must_have(keys::contact(reserved.contact).bytes(), "contact")
    }

    fn spent_on_contact(&mut self) -> Result<()> {
        let (Some(_), Some(contact)) = (self.open(SPENT_CONTACT)?, id_in(self.key, 9)) else { return Ok(()) };
        self.must_have(keys::contact(ContactId::from_bytes(contact)).bytes(), "contact")
    }

    fn spent_in_conversation(&mut self) -> Result<()> {
        let (Some(_), Some(id)) = (self.open(SPENT_CONVERSATION)?, id_in(self.key, 1)) else {
            return Ok(());
        };
        self.must_have_conversation(ConversationId::from_bytes(id))
    }

    fn tenant(&mut self) -> Result<()> {
        let found = self.open(TENANT)?;
        self.must_be_at(found.map(|tenant| tenant.id.to_bytes()), 1);
        match id_in(self.key, 1).map(|id| self.out.keyring.tenant(TenantId::from_bytes(id))) {
            Some(Err(VaultError::NoSuchTenant(_))) => self.lacks("key in the keyring"),
            Some(Err(error)) => return Err(vault_error(error)),
            _ => {}
        }
        Ok(())
    }

    fn channel(&mut self) -> Result<()> {
        let opened = vault_of(self.reader.space(), self.out.keyring, self.key)
            .and_then(|vault| open_channel(&vault, self.key, self.sealed));
        let channel = match opened {
            Ok(channel) => channel,
            // A tenant whose keys are gone is told of where its record is.
            Err(StorageError::NoSuchTenant(_)) => return Ok(()),
            Err(StorageError::NewerRecord { found, .. }) => return self.unopened(Unopened::Newer(found)),
            Err(StorageError::Damaged { .. }) => return self.unopened(Unopened::Altered),
            Err(error) => return Err(error),
        };
        self.must_be_at(Some(channel.tenant.to_bytes()), 1);
        self.must_be_at(Some(channel.id.to_bytes()), 17);
        self.must_have(keys::tenant(channel.tenant).bytes(), "tenant")?;
        self.must_have(keys::meta_app(channel.meta_app).bytes(), "Meta app")?;
        let key = address_key(self.reader.space(), &channel);
        let its = ChannelOwner { tenant: channel.tenant, channel: channel.id };
        match self.find(&key)? {
            Found::Absent => self.disagrees("address", Mend::ChannelOwner(key, its)),
            Found::Unreadable | Found::Aside if self.out.mending => {
                self.disagrees("address", Mend::ChannelOwner(key, its));
            }
            Found::Whole(owner) if owner.channel != channel.id => self.disagrees("address", Mend::Nothing),
            _ => {}
        }
        Ok(())
    }

    fn channel_address(&mut self) -> Result<()> {
        let Some(owner) = self.open(CHANNEL_ADDRESS)? else { return Ok(()) };
        if !self.is_there(keys::channel(owner.tenant, owner.channel).bytes())? {
            self.tell(Problem::Missing { what: "channel".to_owned() }, Mend::SetAside);
        }
        Ok(())
    }

    fn api_key(&mut self) -> Result<()> {
        let Some(key) = self.open(API_KEY)? else { return Ok(()) };
        self.must_be_at(Some(key.id.to_bytes()), 1);
        match key.tenant {
            Some(tenant) => self.must_have(keys::tenant(tenant).bytes(), "tenant"),
            None => Ok(()),
        }
    }

    fn unrouted(&mut self) -> Result<()> {
        let (Some(_), Some(hash)) = (self.open(UNROUTED)?, id_in(self.key, 9)) else { return Ok(()) };
        let seen = UNROUTED_SEEN.key().id(hash);
        if !self.reader.has(&seen)? {
            self.disagrees("mark of being kept", Mend::Mark(seen.bytes().to_vec()));
        }
        Ok(())
    }

    fn unrouted_seen(&mut self) -> Result<()> {
        self.by_itself()?;
        // It is looked for again among all, as it may have been kept after they were read.
        if id_in(self.key, 1).is_some_and(|hash| !self.out.unrouted.contains(&hash)) {
            self.disagrees("kept event", Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }
}

fn is_there<R: Read>(reader: &R, key: &[u8]) -> Result<bool> {
    Ok(reader.sealed(key)?.is_some() || reader.sealed(&aside(key))?.is_some())
}
