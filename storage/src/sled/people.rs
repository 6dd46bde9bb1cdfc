//! Accounts, agencies and the records of tenants.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use tokio::sync::broadcast;

use iassistance_domain::account::{Account, MemberOf};
use iassistance_domain::agency::Agency;
use iassistance_domain::answer::StoredAnswer;
use iassistance_domain::break_glass::BreakGlass;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{
    AccountId, AgencyId, ApiKeyId, BreakGlassId, InvitationId, MailId, SessionId, TenantId,
};
use iassistance_domain::invitation::{Invitation, Token, TokenKind};
use iassistance_domain::key::ApiKey;
use iassistance_domain::mail::Mail;
use iassistance_domain::pii::SignIn;
use iassistance_domain::session::Session;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Pii, Timestamp};

use super::invitations::invited;
use super::keys::{
    self, ACCOUNT, ACCOUNT_EMAIL, ACCOUNT_SUBJECT, AGENCY, API_KEY, BREAK_GLASS, INVITATION, INVITED, Key,
    Kind, MAIL, MEMBER, TENANT, id_in,
};
use super::space::{Page, Read, Result, Space};
use super::tx::{Owner, Tx};
use super::{Core, SledStore, blocking};
use crate::error::StorageError;
use crate::limits::TOUCH_MS;
use crate::people::{People, Revocation};

/// Tells what was revoked.
pub(super) type Revocations = broadcast::Sender<Revocation>;

/// Whose API keys are, by their ids: of a tenant, or of the platform.
pub(super) type KeyHomes = Arc<RwLock<HashMap<ApiKeyId, Option<TenantId>>>>;

/// The key of an account's e-mail address.
pub(super) fn email_key(space: &Space, email: &Pii<String>) -> Key<AccountId> {
    ACCOUNT_EMAIL.key().id(space.hash("account email", &[email.reveal(SignIn).as_bytes()]))
}

pub(super) fn subject_key(space: &Space, subject: &str) -> Key<AccountId> {
    ACCOUNT_SUBJECT.key().id(space.hash("account subject", &[subject.as_bytes()]))
}

pub(super) fn member_key(place: MemberOf, account: AccountId) -> Key<()> {
    keys::of_place(MEMBER, place).id(account.to_bytes())
}

/// The records of all tenants, as they are held in memory. Blocking.
pub(super) fn load_tenants(platform: &Space) -> Result<HashMap<TenantId, Tenant>> {
    let records = platform.list(&TENANT.key(), Page::First, usize::MAX)?;
    Ok(records.into_iter().map(|(_, tenant)| (tenant.id, tenant)).collect())
}

/// Whose the API keys are that open. Blocking.
pub(super) fn load_key_homes(platform: &Space) -> Result<HashMap<ApiKeyId, Option<TenantId>>> {
    let records = platform.list(&API_KEY.key(), Page::First, usize::MAX)?;
    Ok(records.into_iter().map(|(_, key)| (key.id, key.tenant)).collect())
}

impl Tx<'_> {
    /// Tells of a revocation once it is durable.
    pub(super) fn revoke(&mut self, revocations: &Revocations, what: Revocation) {
        let revocations = revocations.clone();
        self.afterwards.push(Box::new(move || {
            // Nobody listens: then nobody holds anything open.
            let _nobody = revocations.send(what);
        }));
    }

    fn index_account(&mut self, account: &Account) -> Result<()> {
        let email = email_key(self.space, &account.email);
        let subject = account.supabase_subject.as_ref().map(|subject| subject_key(self.space, subject));
        for (key, what) in [(Some(email), "that e-mail address"), (subject, "that subject at Supabase")] {
            let Some(key) = key else { continue };
            match self.get(&key)? {
                Some(other) if other != account.id => return Err(StorageError::Conflict(what)),
                Some(_) => {}
                None => self.put(&key, Owner::Tenant, &account.id)?,
            }
        }
        for membership in &account.memberships {
            self.put(&member_key(membership.of, account.id), Owner::Tenant, &())?;
        }
        Ok(())
    }

    fn unindex_account(&mut self, account: &Account) -> Result<()> {
        self.remove(&email_key(self.space, &account.email))?;
        if let Some(subject) = &account.supabase_subject {
            self.remove(&subject_key(self.space, subject))?;
        }
        for membership in &account.memberships {
            self.remove(&member_key(membership.of, account.id))?;
        }
        Ok(())
    }

    pub(super) fn create_account(&mut self, account: &Account) -> Result<()> {
        let key = keys::account(account.id);
        if self.has(&key)? {
            return Err(StorageError::Conflict("that account"));
        }
        self.index_account(account)?;
        self.put(&key, Owner::Tenant, account)
    }

    pub(super) fn put_account(
        &mut self,
        mut account: Account,
        expected: u64,
        revocations: &Revocations,
    ) -> Result<u64> {
        let key = keys::account(account.id);
        let before = self.get(&key)?.ok_or(StorageError::NotFound("account"))?;
        if before.revision != expected {
            return Err(StorageError::Stale);
        }
        account.revision = expected + 1;
        self.unindex_account(&before)?;
        self.index_account(&account)?;
        self.put(&key, Owner::Tenant, &account)?;
        if account.has_other_rights(&before) {
            self.revoke(revocations, Revocation::Account(account.id));
        }
        Ok(account.revision)
    }

    fn remove_account(&mut self, id: AccountId, revocations: &Revocations) -> Result<bool> {
        let key = keys::account(id);
        let Some(account) = self.get(&key)? else { return Ok(false) };
        self.unindex_account(&account)?;
        self.remove_sessions(id, None, revocations)?;
        self.remove_tokens(id)?;
        self.remove(&key)?;
        self.revoke(revocations, Revocation::Account(id));
        Ok(true)
    }

    fn put_agency(&mut self, agency: &Agency, revocations: &Revocations) -> Result<()> {
        let key = keys::agency(agency.id);
        let before = self.get(&key)?.ok_or(StorageError::NotFound("agency"))?;
        if before.state != agency.state {
            self.revoke(revocations, Revocation::Agency(agency.id));
        }
        self.put(&key, Owner::Tenant, agency)
    }

    fn put_tenant(&mut self, tenant: &Tenant, revocations: &Revocations) -> Result<()> {
        let key = keys::tenant(tenant.id);
        let before = self.get(&key)?.ok_or(StorageError::NoSuchTenant(tenant.id))?;
        let rights = |it: &Tenant| (it.agency, it.agency_reads, it.state.clone());
        if rights(&before) != rights(tenant) {
            self.revoke(revocations, Revocation::Tenant(tenant.id));
        }
        self.put(&key, Owner::Tenant, tenant)
    }

    pub(super) fn put_api_key(
        &mut self,
        key: &ApiKey,
        homes: KeyHomes,
        revocations: &Revocations,
    ) -> Result<()> {
        let at = keys::api_key(key.id);
        let (id, home) = (key.id, key.tenant);
        self.afterwards.push(Box::new(move || {
            homes.write().unwrap_or_else(PoisonError::into_inner).insert(id, home);
        }));
        if self.get_readable(&at)?.is_some_and(|before| key.has_other_rights(&before)) {
            self.revoke(revocations, Revocation::Key(key.id));
        }
        self.put(&at, Owner::Tenant, key)
    }

    fn touch_key(&mut self, id: ApiKeyId, at: Timestamp, address: IpAddr) -> Result<()> {
        let key = keys::api_key(id);
        let Some(mut stored) = self.get(&key)? else { return Ok(()) };
        if stored.last_used_at.is_none_or(|last| at >= last.plus_millis(TOUCH_MS)) {
            (stored.last_used_at, stored.last_used_from) = (Some(at), Some(address));
            self.put(&key, Owner::Tenant, &stored)?;
        }
        Ok(())
    }
}

impl Space {
    /// The records of the ids that an index holds at its end, downwards from before `before`. Blocking.
    pub(super) fn through<T: serde::de::DeserializeOwned>(
        &self,
        index: &Key<()>,
        before: Option<[u8; 16]>,
        limit: usize,
        record: impl Fn([u8; 16]) -> Key<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        let mut last = before.map(|id| [index.bytes(), &id].concat());
        while found.len() < limit {
            let wanted = limit - found.len();
            let page = last.as_deref().map_or(Page::Last, Page::Before);
            let rows = self.rows(index.bytes(), page, wanted)?;
            let ended = rows.len() < wanted;
            for (key, _) in &rows {
                let id = id_in(key, index.bytes().len());
                found.extend(id.map(|id| self.get_readable(&record(id))).transpose()?.flatten());
            }
            last = rows.last().map(|(key, _)| key.to_vec());
            if ended {
                break;
            }
        }
        Ok(found)
    }
}

impl Core {
    /// The tree of a tenant, or the platform's.
    pub(super) async fn tree(self: &Arc<Self>, of: Option<TenantId>) -> Result<Arc<Space>> {
        match of {
            Some(tenant) => self.space(tenant).await,
            None => Ok(Arc::clone(&self.platform)),
        }
    }

    /// Runs a write on the platform's tree.
    pub(super) async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>, &Revocations) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let revocations = self.revocations.clone();
        self.writer.write(&self.platform, move |tx| work(tx, &revocations)).await
    }

    /// Scans the platform's tree.
    pub(super) async fn scan<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Space) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.writer.health()?;
        let platform = Arc::clone(&self.platform);
        blocking(move || read(&platform)).await
    }

    /// Records of a kind, newest first; through an index where a place is given.
    async fn newest<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        kind: Kind<T>,
        index: Option<Key<()>>,
        before: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<T>> {
        self.scan(move |space| {
            if let Some(index) = index {
                return space.through(&index, before, limit, |id| kind.key().id(id));
            }
            let before = before.map(|id| kind.key().id(id));
            let page = before.as_ref().map_or(Page::Last, |before| Page::Before(before.bytes()));
            Ok(space.list(&kind.key(), page, limit)?.into_iter().map(|(_, record)| record).collect())
        })
        .await
    }

    /// The record of somebody or something that has its mark in a place; of nothing else is more read than that
    /// the mark is not there.
    fn placed<T: serde::de::DeserializeOwned>(&self, mark: &Key<()>, record: &Key<T>) -> Result<Option<T>> {
        self.writer.health()?;
        if self.platform.has(mark)? { self.platform.get(record) } else { Ok(None) }
    }

    fn account_at(&self, index: &Key<AccountId>) -> Result<Option<Account>> {
        let id = self.one(index)?;
        Ok(id.map(|id| self.one(&keys::account(id))).transpose()?.flatten())
    }

    /// Whether nothing is accepted for a tenant any more.
    pub(super) fn is_closed(&self, tenant: TenantId) -> bool {
        let records = self.tenant_records.read().unwrap_or_else(PoisonError::into_inner);
        records.get(&tenant).is_some_and(|tenant| !tenant.state.accepts())
    }

    /// Removes sessions, tokens, invitations and answers of the platform that are long over.
    pub(super) async fn sweep_people(&self) -> Result<()> {
        let now = self.clock.now();
        let over = self.scan(move |space| space.sessions_that_are_over(now)).await?;
        for sessions in over.chunks(SWEEP_ROWS) {
            let sessions = sessions.to_vec();
            self.write(move |tx, revocations| tx.end_sessions(&sessions, now, revocations)).await?;
        }
        let over = self.scan(move |space| space.letters_that_are_over(now)).await?;
        if !over.is_empty() {
            self.write(move |tx, _| tx.forget_letters(&over, now)).await?;
        }
        let forget = move |tx: &mut Tx<'_>| tx.forget_answers(Some(now));
        while self.writer.write(&self.platform, forget).await? > 0 {}
        Ok(())
    }
}

/// Sessions that one write ends.
const SWEEP_ROWS: usize = 500;

#[async_trait]
impl People for SledStore {
    async fn create_account(&self, account: Account) -> Result<()> {
        self.0.write(move |tx, _| tx.create_account(&account)).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.0.one(&keys::account(id))
    }

    async fn member(&self, of: MemberOf, id: AccountId) -> Result<Option<Account>> {
        let found = self.0.placed(&member_key(of, id), &keys::account(id))?;
        // The mark is read before the record, and both may change in between.
        Ok(found.filter(|account| account.membership(of).is_some()))
    }

    async fn account_by_email(&self, email: &Pii<String>) -> Result<Option<Account>> {
        self.0.account_at(&email_key(&self.0.platform, email))
    }

    async fn account_by_subject(&self, subject: &str) -> Result<Option<Account>> {
        self.0.account_at(&subject_key(&self.0.platform, subject))
    }

    async fn put_account(&self, account: Account, expected: u64) -> Result<u64> {
        self.0.write(move |tx, revocations| tx.put_account(account, expected, revocations)).await
    }

    async fn accounts(
        &self,
        before: Option<AccountId>,
        limit: usize,
        of: Option<MemberOf>,
    ) -> Result<Vec<Account>> {
        let index = of.map(|place| keys::of_place(MEMBER, place));
        self.0.newest(ACCOUNT, index, before.map(AccountId::to_bytes), limit).await
    }

    async fn remove_account(&self, id: AccountId) -> Result<bool> {
        self.0.write(move |tx, revocations| tx.remove_account(id, revocations)).await
    }

    async fn create_agency(&self, agency: Agency) -> Result<()> {
        let create = move |tx: &mut Tx<'_>, _: &Revocations| {
            let key = keys::agency(agency.id);
            if tx.has(&key)? {
                return Err(StorageError::Conflict("that agency"));
            }
            tx.put(&key, Owner::Tenant, &agency)
        };
        self.0.write(create).await
    }

    async fn agency(&self, id: AgencyId) -> Result<Option<Agency>> {
        self.0.one(&keys::agency(id))
    }

    async fn agencies(&self) -> Result<Vec<Agency>> {
        self.0.all(AGENCY.key()).await
    }

    async fn put_agency(&self, agency: Agency) -> Result<()> {
        self.0.write(move |tx, revocations| tx.put_agency(&agency, revocations)).await
    }

    async fn tenant_record(&self, id: TenantId) -> Result<Option<Tenant>> {
        self.0.writer.health()?;
        if let Some(tenant) = self.0.tenant_records.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(tenant.clone()));
        }
        // It is not there, or does not open: that is told.
        self.0.one(&keys::tenant(id))
    }

    fn agency_of(&self, id: TenantId) -> Option<AgencyId> {
        self.0.tenant_records.read().unwrap_or_else(PoisonError::into_inner).get(&id)?.agency
    }

    async fn put_tenant(&self, tenant: Tenant) -> Result<()> {
        let records = Arc::clone(&self.0.tenant_records);
        let put = move |tx: &mut Tx<'_>, revocations: &Revocations| {
            // The record is known before whoever is told of it asks.
            let known = tenant.clone();
            tx.afterwards.push(Box::new(move || {
                records.write().unwrap_or_else(PoisonError::into_inner).insert(known.id, known);
            }));
            tx.put_tenant(&tenant, revocations)
        };
        self.0.write(put).await
    }

    async fn create_session(&self, session: Session) -> Result<()> {
        self.0.write(move |tx, revocations| tx.create_session(&session, revocations)).await
    }

    async fn put_session(&self, session: Session) -> Result<()> {
        self.0.write(move |tx, revocations| tx.put_session(session, revocations)).await
    }

    async fn touch_session(
        &self,
        account: AccountId,
        id: SessionId,
        at: Timestamp,
        address: Pii<String>,
    ) -> Result<()> {
        let stored = self.0.one(&keys::session(account, id))?;
        if stored.is_none_or(|stored: Session| at < stored.seen_at.plus_millis(TOUCH_MS)) {
            return Ok(());
        }
        self.0.write(move |tx, _| tx.touch_session(account, id, at, address)).await
    }

    async fn session_by_hash(&self, hash: &str) -> Result<Option<Session>> {
        let Some(home) = self.0.one(&self.0.platform.session_hash(hash))? else { return Ok(None) };
        self.0.one(&keys::session(home.account, home.session))
    }

    async fn sessions_of(&self, account: AccountId) -> Result<Vec<Session>> {
        self.0.all(keys::sessions(account)).await
    }

    async fn remove_session(&self, account: AccountId, id: SessionId) -> Result<bool> {
        self.0.write(move |tx, revocations| tx.remove_session(account, id, revocations)).await
    }

    async fn remove_sessions_of(&self, account: AccountId, except: Option<SessionId>) -> Result<usize> {
        self.0.write(move |tx, revocations| tx.remove_sessions(account, except, revocations)).await
    }

    fn revocations(&self) -> broadcast::Receiver<Revocation> {
        self.0.revocations.subscribe()
    }

    async fn touch_key(&self, id: ApiKeyId, at: Timestamp, address: IpAddr) -> Result<()> {
        let stored: Option<ApiKey> = self.0.one(&keys::api_key(id))?;
        let fresh = |last: Timestamp| at < last.plus_millis(TOUCH_MS);
        if stored.is_none_or(|stored| stored.last_used_at.is_some_and(fresh)) {
            return Ok(());
        }
        self.0.write(move |tx, _| tx.touch_key(id, at, address)).await
    }

    async fn put_invitation(&self, invitation: Invitation) -> Result<()> {
        self.0.write(move |tx, _| tx.put_invitation(invitation)).await
    }

    async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>> {
        self.0.one(&keys::invitation(id))
    }

    async fn invitation_to(&self, of: MemberOf, id: InvitationId) -> Result<Option<Invitation>> {
        self.0.placed(&invited(of, id), &keys::invitation(id))
    }

    async fn invitation_by_hash(&self, hash: &str) -> Result<Option<Invitation>> {
        let Some(id) = self.0.one(&self.0.platform.invitation_hash(hash))? else { return Ok(None) };
        self.0.one(&keys::invitation(id))
    }

    async fn invitations(
        &self,
        before: Option<InvitationId>,
        limit: usize,
        of: Option<MemberOf>,
    ) -> Result<Vec<Invitation>> {
        let index = of.map(|place| keys::of_place(INVITED, place));
        self.0.newest(INVITATION, index, before.map(InvitationId::to_bytes), limit).await
    }

    async fn accept_invitation(
        &self,
        hash: &str,
        at: Timestamp,
        account: Account,
        expected: Option<u64>,
    ) -> Result<Invitation> {
        let hash = hash.to_owned();
        self.0
            .write(move |tx, revocations| {
                let invitation = tx.take_invitation(&hash, at)?;
                match expected {
                    Some(expected) => tx.put_account(account, expected, revocations).map(drop)?,
                    None => tx.create_account(&account)?,
                }
                Ok(invitation)
            })
            .await
    }

    async fn put_mail(&self, mail: Mail) -> Result<()> {
        self.0.write(move |tx, _| tx.put(&keys::mail(mail.id), Owner::Tenant, &mail)).await
    }

    async fn mails(&self, limit: usize) -> Result<Vec<Mail>> {
        let all = self.0.scan(move |space| space.list(&MAIL.key(), Page::First, limit)).await?;
        Ok(all.into_iter().map(|(_, mail)| mail).collect())
    }

    async fn remove_mail(&self, id: MailId) -> Result<bool> {
        self.0.write(move |tx, _| tx.remove(&keys::mail(id))).await
    }

    async fn put_token(&self, token: Token) -> Result<()> {
        self.0.write(move |tx, _| tx.put_token(&token)).await
    }

    async fn take_token(&self, kind: TokenKind, hash: &str, at: Timestamp) -> Result<Option<Token>> {
        let hash = hash.to_owned();
        self.0.write(move |tx, _| tx.take_token(kind, &hash, at)).await
    }

    async fn put_break_glass(&self, tenant: TenantCtx, grant: BreakGlass, event: EventKind) -> Result<()> {
        let space = self.0.space(tenant.tenant()).await?;
        let clock = Arc::clone(&self.0.clock);
        let revocations = self.0.revocations.clone();
        let put = move |tx: &mut Tx<'_>| {
            tx.put(&keys::break_glass(grant.id), Owner::Tenant, &grant)?;
            tx.revoke(&revocations, Revocation::Tenant(grant.tenant));
            tx.record(None, event, clock.now())
        };
        self.0.writer.write(&space, put).await
    }

    async fn break_glass(&self, tenant: TenantCtx, id: BreakGlassId) -> Result<Option<BreakGlass>> {
        self.0.space(tenant.tenant()).await?.get(&keys::break_glass(id))
    }

    async fn break_glasses(
        &self,
        tenant: TenantCtx,
        before: Option<BreakGlassId>,
        limit: usize,
    ) -> Result<Vec<BreakGlass>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let before = before.map(keys::break_glass);
            let page = before.as_ref().map_or(Page::Last, |before| Page::Before(before.bytes()));
            let found = space.list(&BREAK_GLASS.key(), page, limit)?;
            Ok(found.into_iter().map(|(_, grant)| grant).collect())
        })
        .await
    }

    async fn put_idempotent(&self, of: Option<TenantCtx>, key: &str, answer: StoredAnswer) -> Result<()> {
        let space = self.0.tree(of.map(TenantCtx::tenant)).await?;
        let key = key.to_owned();
        self.0.writer.write(&space, move |tx| tx.put_answer(&key, &answer)).await
    }

    async fn idempotent(&self, of: Option<TenantCtx>, key: &str) -> Result<Option<StoredAnswer>> {
        let space = self.0.tree(of.map(TenantCtx::tenant)).await?;
        self.0.writer.health()?;
        space.answer(key, self.0.clock.now())
    }

    async fn remove_idempotent(&self, of: Option<TenantCtx>, key: &str) -> Result<bool> {
        let space = self.0.tree(of.map(TenantCtx::tenant)).await?;
        let key = key.to_owned();
        self.0.writer.write(&space, move |tx| tx.remove_answer(&key)).await
    }

    async fn forget_idempotent(&self, of: Option<TenantCtx>) -> Result<u64> {
        let space = self.0.tree(of.map(TenantCtx::tenant)).await?;
        let mut forgotten = 0;
        loop {
            let now = self.0.writer.write(&space, |tx| tx.forget_answers(None)).await?;
            if now == 0 {
                return Ok(forgotten);
            }
            forgotten += now;
        }
    }
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
