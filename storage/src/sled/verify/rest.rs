//! What is beside conversations, and what the platform has.

use iassistance_domain::id::{ChannelId, ContactId, ConversationId, DocumentId, TenantId};
use iassistance_vault::VaultError;

use super::super::channels::{address_key, open_channel};
use super::super::keys::{
    self, API_KEY, ASSISTANT, CASE, CHANNEL_ADDRESS, CONSENT, CONTACT_VERSION, ChannelOwner, DISCLOSURES,
    DOCUMENT, INTAKE, PARKED, PASSAGE, RESERVATION, SPENT_CONTACT, SPENT_CONVERSATION, TEMPLATES, TENANT,
    TOMBSTONE, UNROUTED, UNROUTED_SEEN, id_in, number_in,
};
use super::super::provider::parked_since;
use super::super::space::{Read, Result, Unopened, vault_error};
use super::{Found, Look, Mend, is_there, vault_of};
use crate::error::StorageError;
use crate::findings::Problem;

/// Stands for the conversation and the contact of what is for none.
const NOBODY: [u8; 16] = [0; 16];

impl<R: Read> Look<'_, R> {
    pub(super) fn parked(&mut self) -> Result<()> {
        let Some(parked) = self.open(PARKED)? else { return Ok(()) };
        let Some(hash) = id_in(self.key, 1) else { return Ok(()) };
        let since = parked_since(self.key, hash, &parked);
        if self.reader.sealed(&since)?.is_none() {
            self.disagrees("moment", Mend::Mark(since));
        }
        Ok(())
    }

    pub(super) fn parked_since(&mut self) -> Result<()> {
        self.by_itself()?;
        if let (Some(seq), Some(hash)) = (number_in(self.key, 9), id_in(self.key, 17))
            && self.reader.sealed(PARKED.key().id(hash).number(seq).bytes())?.is_none()
        {
            self.disagrees("event", Mend::Unpark);
        }
        Ok(())
    }

    pub(super) fn tombstone(&mut self) -> Result<()> {
        self.by_itself()?;
        if let (Some(hash), Some(known)) = (id_in(self.key, 1), self.out.taken_back)
            && !known.contains(&hash)
        {
            self.disagrees("moment", Mend::Since(hash));
        }
        Ok(())
    }

    pub(super) fn tombstone_since(&mut self) -> Result<()> {
        self.by_itself()?;
        if let Some(hash) = id_in(self.key, 9)
            && !self.is_there(TOMBSTONE.key().id(hash).bytes())?
        {
            self.disagrees("mark", Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }

    pub(super) fn assistant(&mut self) -> Result<()> {
        let Some(settings) = self.open(ASSISTANT)? else { return Ok(()) };
        if number_in(self.key, 1) != Some(settings.version) {
            self.tell(Problem::Misplaced, Mend::SetAside);
        }
        Ok(())
    }

    pub(super) fn templates(&mut self) -> Result<()> {
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

    pub(super) fn document(&mut self) -> Result<()> {
        let found = self.open(DOCUMENT)?;
        self.must_be_at(found.map(|stored| stored.document.id.to_bytes()), 1);
        Ok(())
    }

    pub(super) fn passage(&mut self) -> Result<()> {
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

    pub(super) fn reservation(&mut self) -> Result<()> {
        let Some(reserved) = self.open(RESERVATION)? else { return Ok(()) };
        self.must_be_at(Some(reserved.turn.to_bytes()), 1);
        self.must_be_of(Some(reserved.conversation.to_bytes()), Some(reserved.contact.to_bytes()))
    }

    pub(super) fn spent_on_contact(&mut self) -> Result<()> {
        let opened = self.open(SPENT_CONTACT)?;
        self.must_be_of(None, opened.and_then(|_| id_in(self.key, 9)))
    }

    pub(super) fn spent_in_conversation(&mut self) -> Result<()> {
        let opened = self.open(SPENT_CONVERSATION)?;
        self.must_be_of(opened.and_then(|_| id_in(self.key, 1)), None)
    }

    pub(super) fn disclosures(&mut self) -> Result<()> {
        let opened = self.open(DISCLOSURES)?;
        self.must_be_of(None, opened.and_then(|_| id_in(self.key, 1)))
    }

    pub(super) fn rights_case(&mut self) -> Result<()> {
        let opened = self.open(CASE)?;
        self.must_be_at(opened.map(|case| case.id.to_bytes()), 1);
        Ok(())
    }

    pub(super) fn intake(&mut self) -> Result<()> {
        let opened = self.open(INTAKE)?;
        self.must_be_at(opened.map(|intake| intake.id.to_bytes()), 1);
        Ok(())
    }

    /// What was corrected of somebody.
    pub(super) fn contact_version(&mut self) -> Result<()> {
        let opened = self.open(CONTACT_VERSION)?;
        self.must_be_of(None, opened.and_then(|_| id_in(self.key, 1)))
    }

    /// What somebody agreed to or refused.
    pub(super) fn consent(&mut self) -> Result<()> {
        let opened = self.open(CONSENT)?;
        self.must_be_at(opened.map(|consent| consent.contact.to_bytes()), 1);
        self.must_be_of(None, opened.map(|consent| consent.contact.to_bytes()))
    }

    /// Money is spent on somebody; or on nobody, for documents and rehearsals.
    fn must_be_of(&mut self, conversation: Option<[u8; 16]>, contact: Option<[u8; 16]>) -> Result<()> {
        if let Some(id) = conversation.filter(|id| *id != NOBODY) {
            self.must_have_conversation(ConversationId::from_bytes(id))?;
        }
        match contact.filter(|id| *id != NOBODY) {
            Some(id) => self.must_have(keys::contact(ContactId::from_bytes(id)).bytes(), "contact"),
            None => Ok(()),
        }
    }

    pub(super) fn tenant(&mut self) -> Result<()> {
        let found = self.open(TENANT)?;
        self.must_be_at(found.map(|tenant| tenant.id.to_bytes()), 1);
        match id_in(self.key, 1).map(|id| self.out.keyring.tenant(TenantId::from_bytes(id))) {
            Some(Err(VaultError::NoSuchTenant(_))) => self.lacks("key in the keyring"),
            Some(Err(error)) => return Err(vault_error(error)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn channel(&mut self) -> Result<()> {
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

    pub(super) fn channel_address(&mut self) -> Result<()> {
        let Some(owner) = self.open(CHANNEL_ADDRESS)? else { return Ok(()) };
        if !self.is_there(keys::channel(owner.tenant, owner.channel).bytes())? {
            self.tell(Problem::Missing { what: "channel".to_owned() }, Mend::SetAside);
        }
        Ok(())
    }

    pub(super) fn api_key(&mut self) -> Result<()> {
        let Some(key) = self.open(API_KEY)? else { return Ok(()) };
        self.must_be_at(Some(key.id.to_bytes()), 1);
        if let Some(next) = key.rotated_to {
            self.must_have(keys::api_key(next).bytes(), "key that takes its place")?;
        }
        match key.tenant {
            Some(tenant) => self.must_have(keys::tenant(tenant).bytes(), "tenant"),
            None => Ok(()),
        }
    }

    pub(super) fn unrouted(&mut self) -> Result<()> {
        let (Some(_), Some(hash)) = (self.open(UNROUTED)?, id_in(self.key, 9)) else { return Ok(()) };
        let seen = UNROUTED_SEEN.key().id(hash);
        if !self.reader.has(&seen)? {
            self.disagrees("mark of being kept", Mend::Mark(seen.bytes().to_vec()));
        }
        Ok(())
    }

    pub(super) fn unrouted_seen(&mut self) -> Result<()> {
        self.by_itself()?;
        // It is looked for again among all, as it may have been kept after they were read.
        if id_in(self.key, 1).is_some_and(|hash| !self.out.unrouted.contains(&hash)) {
            self.disagrees("kept event", Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }
}
