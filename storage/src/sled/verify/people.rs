//! The people and programs that work with the platform, and what finds them.

use serde::de::DeserializeOwned;

use iassistance_domain::account::{Account, MemberOf};
use iassistance_domain::id::{AccessId, AccountId, AgencyId, InvitationId, TenantId};
use iassistance_domain::invitation::TokenKind;

use super::super::access;
use super::super::invitations::invited;
use super::super::keys::{
    self, ACCESS, ACCESS_OF_ACCOUNT, ACCESS_OF_TENANT, ACCOUNT, ACCOUNT_EMAIL, ACCOUNT_SUBJECT, AGENCY,
    INVITATION, INVITATION_HASH, INVITED, Key, MAIL, MEMBER, SESSION, SESSION_HASH, SessionHome, TOKEN,
    TOKEN_HASH, id_in, number_in,
};
use super::super::people::{email_key, member_key, subject_key};
use super::super::space::{Read, Result};
use super::{Found, Look, Mend};

/// The place that stands in a key, after its kind byte.
fn place_in(key: &[u8]) -> Option<MemberOf> {
    let id = id_in(key, 9)?;
    match number_in(key, 1)? {
        1 => Some(MemberOf::Agency(AgencyId::from_bytes(id))),
        2 => Some(MemberOf::Tenant(TenantId::from_bytes(id))),
        _ => None,
    }
}

impl<R: Read> Look<'_, R> {
    pub(super) fn of_people(&mut self, code: u8) -> Result<()> {
        match code {
            _ if code == ACCOUNT.code => self.account(),
            _ if code == ACCOUNT_EMAIL.code => self.account_by(ACCOUNT_EMAIL, |space, account| {
                Some(email_key(space, &account.email).bytes().to_vec())
            }),
            _ if code == ACCOUNT_SUBJECT.code => self.account_by(ACCOUNT_SUBJECT, |space, account| {
                let subject = account.supabase_subject.as_ref()?;
                Some(subject_key(space, subject).bytes().to_vec())
            }),
            _ if code == MEMBER.code => self.member(),
            _ if code == SESSION.code => self.session(),
            _ if code == SESSION_HASH.code => {
                let Some(home) = self.open(SESSION_HASH)? else { return Ok(()) };
                self.leads_to(keys::session(home.account, home.session).bytes(), "session")
            }
            _ if code == AGENCY.code => {
                let found = self.open(AGENCY)?;
                self.must_be_at(found.map(|agency| agency.id.to_bytes()), 1);
                Ok(())
            }
            _ if code == INVITATION.code => self.invitation(),
            _ if code == INVITATION_HASH.code => {
                let Some(id) = self.open(INVITATION_HASH)? else { return Ok(()) };
                self.leads_to(keys::invitation(id).bytes(), "invitation")
            }
            _ if code == INVITED.code => self.invited(),
            _ if code == TOKEN.code => self.token(),
            _ if code == TOKEN_HASH.code => self.token_hash(),
            _ if code == MAIL.code => {
                let found = self.open(MAIL)?;
                self.must_be_at(found.map(|mail| mail.id.to_bytes()), 1);
                Ok(())
            }
            _ if code == ACCESS.code => self.access(),
            _ if code == ACCESS_OF_ACCOUNT.code || code == ACCESS_OF_TENANT.code => self.access_of(),
            _ => self.of_record(code),
        }
    }

    /// An index row whose record is gone finds nothing.
    pub(super) fn leads_to(&mut self, key: &[u8], what: &str) -> Result<()> {
        if !self.is_there(key)? {
            self.disagrees(what, Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }

    /// Whether an index has to be made anew.
    fn lacks_index<T: DeserializeOwned>(&self, key: &Key<T>) -> Result<bool> {
        Ok(match self.find(key)? {
            Found::Absent => true,
            Found::Unreadable | Found::Aside => self.out.mending,
            Found::Whole(_) | Found::Newer => false,
        })
    }

    /// A row that says no more than that it is there.
    pub(super) fn must_be_marked(&mut self, mark: &Key<()>, what: &str) -> Result<()> {
        if self.reader.sealed(mark.bytes())?.is_none() {
            self.disagrees(what, Mend::Mark(mark.bytes().to_vec()));
        }
        Ok(())
    }

    fn must_have_place(&mut self, place: MemberOf) -> Result<()> {
        match place {
            MemberOf::Agency(agency) => self.must_have(keys::agency(agency).bytes(), "agency"),
            MemberOf::Tenant(tenant) => self.must_have(keys::tenant(tenant).bytes(), "tenant"),
        }
    }

    fn account(&mut self) -> Result<()> {
        let Some(account) = self.open(ACCOUNT)? else { return Ok(()) };
        self.must_be_at(Some(account.id.to_bytes()), 1);
        let space = self.reader.space();
        let email = email_key(space, &account.email);
        let subject = account.supabase_subject.as_ref().map(|subject| subject_key(space, subject));
        if self.lacks_index(&email)? {
            self.disagrees("e-mail address", Mend::Account(email, account.id));
        }
        if let Some(subject) = subject
            && self.lacks_index(&subject)?
        {
            self.disagrees("subject", Mend::Account(subject, account.id));
        }
        for membership in &account.memberships {
            self.must_have_place(membership.of)?;
            self.must_be_marked(&member_key(membership.of, account.id), "place among members")?;
        }
        Ok(())
    }

    /// An index of accounts: `key_of` says where an account is found by it.
    fn account_by(
        &mut self,
        kind: keys::Kind<AccountId>,
        key_of: fn(&super::Space, &Account) -> Option<Vec<u8>>,
    ) -> Result<()> {
        let Some(id) = self.open(kind)? else { return Ok(()) };
        let found = match self.find(&keys::account(id))? {
            Found::Whole(account) => key_of(self.reader.space(), &account).as_deref() == Some(self.key),
            Found::Absent => false,
            Found::Unreadable | Found::Newer | Found::Aside => true,
        };
        if !found {
            self.disagrees("account", Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }

    fn member(&mut self) -> Result<()> {
        self.by_itself()?;
        let (place, account) = (place_in(self.key), id_in(self.key, 25).map(AccountId::from_bytes));
        let (Some(place), Some(account)) = (place, account) else { return Ok(()) };
        let belongs = match self.find(&keys::account(account))? {
            Found::Whole(account) => account.memberships.iter().any(|membership| membership.of == place),
            Found::Absent => false,
            Found::Unreadable | Found::Newer | Found::Aside => true,
        };
        if !belongs {
            self.disagrees("account", Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }

    fn session(&mut self) -> Result<()> {
        let Some(session) = self.open(SESSION)? else { return Ok(()) };
        self.must_be_at(Some(session.account.to_bytes()), 1);
        self.must_be_at(Some(session.id.to_bytes()), 17);
        self.must_have(keys::account(session.account).bytes(), "account")?;
        let key = self.reader.space().session_hash(&session.hash);
        if self.lacks_index(&key)? {
            let home = SessionHome { account: session.account, session: session.id };
            self.disagrees("place by its token", Mend::Session(key, home));
        }
        Ok(())
    }

    fn invitation(&mut self) -> Result<()> {
        let Some(invitation) = self.open(INVITATION)? else { return Ok(()) };
        self.must_be_at(Some(invitation.id.to_bytes()), 1);
        let key = self.reader.space().invitation_hash(&invitation.hash);
        if self.lacks_index(&key)? {
            self.disagrees("place by its token", Mend::Invitation(key, invitation.id));
        }
        for membership in &invitation.memberships {
            self.must_have_place(membership.of)?;
            self.must_be_marked(&invited(membership.of, invitation.id), "place among invitations")?;
        }
        Ok(())
    }

    fn invited(&mut self) -> Result<()> {
        self.by_itself()?;
        match id_in(self.key, 25).map(InvitationId::from_bytes) {
            Some(id) => self.leads_to(keys::invitation(id).bytes(), "invitation"),
            None => Ok(()),
        }
    }

    fn token(&mut self) -> Result<()> {
        let Some(token) = self.open(TOKEN)? else { return Ok(()) };
        self.must_be_at(Some(token.account.to_bytes()), 1);
        self.must_have(keys::account(token.account).bytes(), "account")?;
        let key = self.reader.space().token_hash(token.kind, &token.hash);
        if self.lacks_index(&key)? {
            self.disagrees("place by its hash", Mend::Account(key, token.account));
        }
        Ok(())
    }

    fn token_hash(&mut self) -> Result<()> {
        let Some(account) = self.open(TOKEN_HASH)? else { return Ok(()) };
        for kind in [TokenKind::PasswordReset, TokenKind::EmailChange] {
            match self.find(&keys::token(account, kind))? {
                Found::Absent => {}
                Found::Whole(token) => {
                    if self.reader.space().token_hash(kind, &token.hash).bytes() == self.key {
                        return Ok(());
                    }
                }
                Found::Unreadable | Found::Newer | Found::Aside => return Ok(()),
            }
        }
        self.disagrees("token", Mend::Drop(self.key.to_vec()));
        Ok(())
    }

    fn access(&mut self) -> Result<()> {
        let Some(record) = self.open(ACCESS)? else { return Ok(()) };
        self.must_be_at(Some(record.id.to_bytes()), 1);
        for index in access::indexes(&record) {
            self.must_be_marked(&index, "place in the access log")?;
        }
        Ok(())
    }

    fn access_of(&mut self) -> Result<()> {
        self.by_itself()?;
        match id_in(self.key, 17).map(AccessId::from_bytes) {
            Some(id) => self.leads_to(keys::access(id).bytes(), "request"),
            None => Ok(()),
        }
    }
}
