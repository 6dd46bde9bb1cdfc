//! Accounts, agencies, sessions and what lets people in.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

use async_trait::async_trait;
use tokio::sync::broadcast;

use iassistance_domain::account::{Account, MemberOf};
use iassistance_domain::agency::Agency;
use iassistance_domain::answer::{KEPT_MS, StoredAnswer};
use iassistance_domain::break_glass::BreakGlass;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{
    AccountId, AgencyId, ApiKeyId, BreakGlassId, InvitationId, MailId, SessionId, TenantId,
};
use iassistance_domain::invitation::{Invitation, Token, TokenKind};
use iassistance_domain::mail::Mail;
use iassistance_domain::pii::Deliver;
use iassistance_domain::session::{SESSIONS_MAX, Session};
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Pii, Timestamp};

use super::handle::newest;
use super::{MemoryStore, Result, State};
use crate::error::StorageError;
use crate::limits::{ANSWERS_MAX, INVITATIONS_KEPT_MS, INVITATIONS_MAX, REVOCATIONS_MAX, TOUCH_MS};
use crate::people::{People, Revocation};

pub(super) struct PeopleData {
    accounts: BTreeMap<AccountId, Account>,
    agencies: BTreeMap<AgencyId, Agency>,
    sessions: BTreeMap<(AccountId, SessionId), Session>,
    invitations: BTreeMap<InvitationId, Invitation>,
    tokens: Vec<Token>,
    mails: BTreeMap<MailId, Mail>,
    break_glasses: BTreeMap<(TenantId, BreakGlassId), BreakGlass>,
    answers: HashMap<Option<TenantId>, VecDeque<(String, StoredAnswer)>>,
    pub(super) revocations: broadcast::Sender<Revocation>,
}

impl Default for PeopleData {
    fn default() -> Self {
        Self {
            accounts: BTreeMap::new(),
            agencies: BTreeMap::new(),
            sessions: BTreeMap::new(),
            invitations: BTreeMap::new(),
            tokens: Vec::new(),
            mails: BTreeMap::new(),
            break_glasses: BTreeMap::new(),
            answers: HashMap::new(),
            revocations: broadcast::Sender::new(REVOCATIONS_MAX),
        }
    }
}

impl PeopleData {
    /// Forgets what was answered about these ids; says how many answers.
    pub(super) fn forget_answers_of(&mut self, tenant: TenantId, ids: &[String]) -> u64 {
        let Some(answers) = self.answers.get_mut(&Some(tenant)) else { return 0 };
        let before = answers.len();
        answers.retain(|(_, answer)| {
            let body = answer.body.as_ref().map_or("", |body| body.reveal(Deliver).as_str());
            let location = answer.location.as_deref().unwrap_or_default();
            !ids.iter().any(|id| body.contains(id.as_str()) || location.contains(id.as_str()))
        });
        (before - answers.len()) as u64
    }

    pub(super) fn revoke(&self, what: Revocation) {
        // Nobody listens: then nobody holds anything open.
        let _nobody = self.revocations.send(what);
    }

    fn must_be_unlike_others(&self, account: &Account) -> Result<()> {
        let mut others = self.accounts.values().filter(|other| other.id != account.id);
        if others.clone().any(|other| other.email == account.email) {
            return Err(StorageError::Conflict("that e-mail address"));
        }
        let subject = &account.supabase_subject;
        if subject.is_some() && others.any(|other| other.supabase_subject == *subject) {
            return Err(StorageError::Conflict("that subject at Supabase"));
        }
        Ok(())
    }

    fn create_account(&mut self, account: Account) -> Result<()> {
        if self.accounts.contains_key(&account.id) {
            return Err(StorageError::Conflict("that account"));
        }
        self.must_be_unlike_others(&account)?;
        self.accounts.insert(account.id, account);
        Ok(())
    }

    fn put_account(&mut self, account: Account, expected: u64) -> Result<u64> {
        let before = self.accounts.get(&account.id).ok_or(StorageError::NotFound("account"))?;
        if before.revision != expected {
            return Err(StorageError::Stale);
        }
        let other_rights = account.has_other_rights(before);
        self.must_be_unlike_others(&account)?;
        let (id, revision) = (account.id, expected + 1);
        self.accounts.insert(id, Account { revision, ..account });
        if other_rights {
            self.revoke(Revocation::Account(id));
        }
        Ok(revision)
    }

    fn end_session(&mut self, account: AccountId, id: SessionId) -> bool {
        let was_there = self.sessions.remove(&(account, id)).is_some();
        if was_there {
            self.revoke(Revocation::Session(id));
        }
        was_there
    }

    fn end_sessions(&mut self, which: impl Fn(&Session) -> bool) -> usize {
        let ended: Vec<_> =
            self.sessions.iter().filter(|(_, session)| which(session)).map(|(key, _)| *key).collect();
        for (account, id) in &ended {
            self.end_session(*account, *id);
        }
        ended.len()
    }

    /// Removes what is long over.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.end_sessions(|session| !session.is_live(now));
        self.tokens.retain(|token| now < token.expires_at);
        self.invitations.retain(|_, it| {
            let over = it.accepted_at.or(it.revoked_at).unwrap_or(it.expires_at);
            now < over.plus_millis(INVITATIONS_KEPT_MS)
        });
        for answers in self.answers.values_mut() {
            answers.retain(|(_, answer)| now < answer.at.plus_millis(KEPT_MS));
        }
    }
}

fn belongs(memberships: &[iassistance_domain::account::Membership], of: Option<MemberOf>) -> bool {
    of.is_none_or(|of| memberships.iter().any(|membership| membership.of == of))
}

impl State {
    fn must_have(&self, tenant: TenantId) -> Result<()> {
        if self.tenants.contains_key(&tenant) { Ok(()) } else { Err(StorageError::NoSuchTenant(tenant)) }
    }

    /// Whether nothing is accepted for a tenant any more.
    pub(super) fn is_closed(&self, tenant: TenantId) -> bool {
        self.tenants.get(&tenant).is_some_and(|(record, _)| !record.state.accepts())
    }
}

#[async_trait]
impl People for MemoryStore {
    async fn create_account(&self, account: Account) -> Result<()> {
        self.0.open()?.people.create_account(account)
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        Ok(self.0.open()?.people.accounts.get(&id).cloned())
    }

    async fn member(&self, of: MemberOf, id: AccountId) -> Result<Option<Account>> {
        let state = self.0.open()?;
        let account = state.people.accounts.get(&id);
        Ok(account.filter(|account| belongs(&account.memberships, Some(of))).cloned())
    }

    async fn account_by_email(&self, email: &Pii<String>) -> Result<Option<Account>> {
        Ok(self.0.open()?.people.accounts.values().find(|account| account.email == *email).cloned())
    }

    async fn account_by_subject(&self, subject: &str) -> Result<Option<Account>> {
        let state = self.0.open()?;
        let theirs = |account: &&Account| account.supabase_subject.as_deref() == Some(subject);
        Ok(state.people.accounts.values().find(theirs).cloned())
    }

    async fn put_account(&self, account: Account, expected: u64) -> Result<u64> {
        self.0.open()?.people.put_account(account, expected)
    }

    async fn accounts(
        &self,
        before: Option<AccountId>,
        limit: usize,
        of: Option<MemberOf>,
    ) -> Result<Vec<Account>> {
        let state = self.0.open()?;
        let theirs = state.people.accounts.iter().filter(|(_, account)| belongs(&account.memberships, of));
        Ok(newest(theirs, before.as_ref().as_ref(), limit))
    }

    async fn remove_account(&self, id: AccountId) -> Result<bool> {
        let people = &mut self.0.open()?.people;
        let was_there = people.accounts.remove(&id).is_some();
        if was_there {
            people.end_sessions(|session| session.account == id);
            people.tokens.retain(|token| token.account != id);
            people.revoke(Revocation::Account(id));
        }
        Ok(was_there)
    }

    async fn create_agency(&self, agency: Agency) -> Result<()> {
        let people = &mut self.0.open()?.people;
        if people.agencies.contains_key(&agency.id) {
            return Err(StorageError::Conflict("that agency"));
        }
        people.agencies.insert(agency.id, agency);
        Ok(())
    }

    async fn agency(&self, id: AgencyId) -> Result<Option<Agency>> {
        Ok(self.0.open()?.people.agencies.get(&id).cloned())
    }

    async fn agencies(&self) -> Result<Vec<Agency>> {
        Ok(self.0.open()?.people.agencies.values().cloned().collect())
    }

    async fn put_agency(&self, agency: Agency) -> Result<()> {
        let people = &mut self.0.open()?.people;
        let stored = people.agencies.get_mut(&agency.id).ok_or(StorageError::NotFound("agency"))?;
        let (id, changed) = (agency.id, stored.state != agency.state);
        *stored = agency;
        if changed {
            people.revoke(Revocation::Agency(id));
        }
        Ok(())
    }

    async fn tenant_record(&self, id: TenantId) -> Result<Option<Tenant>> {
        Ok(self.0.open()?.tenants.get(&id).map(|(tenant, _)| tenant.clone()))
    }

    fn agency_of(&self, id: TenantId) -> Option<AgencyId> {
        self.0.open().ok()?.tenants.get(&id)?.0.agency
    }

    async fn put_tenant(&self, tenant: Tenant) -> Result<()> {
        let state = &mut *self.0.open()?;
        let id = tenant.id;
        let (stored, _) = state.tenants.get_mut(&id).ok_or(StorageError::NoSuchTenant(id))?;
        let changed = (stored.agency, stored.agency_reads) != (tenant.agency, tenant.agency_reads)
            || stored.state != tenant.state;
        *stored = tenant;
        if changed {
            state.people.revoke(Revocation::Tenant(id));
        }
        Ok(())
    }

    async fn create_session(&self, session: Session) -> Result<()> {
        let people = &mut self.0.open()?.people;
        let account = session.account;
        if !people.accounts.contains_key(&account) {
            return Err(StorageError::NotFound("account"));
        }
        let same = |other: &Session| other.id == session.id || other.hash == session.hash;
        if people.sessions.values().any(same) {
            return Err(StorageError::Conflict("that session"));
        }
        let theirs = |key: &&(AccountId, SessionId)| key.0 == account;
        while people.sessions.keys().filter(theirs).count() >= SESSIONS_MAX {
            let Some((_, oldest)) = people.sessions.keys().find(theirs).copied() else { break };
            people.end_session(account, oldest);
        }
        people.sessions.insert((account, session.id), session);
        Ok(())
    }

    async fn put_session(&self, session: Session) -> Result<()> {
        let people = &mut self.0.open()?.people;
        let stored = people
            .sessions
            .get_mut(&(session.account, session.id))
            .ok_or(StorageError::NotFound("session"))?;
        let (id, revoked) = (session.id, session.revoked_at.is_some() && stored.revoked_at.is_none());
        *stored = Session {
            hash: stored.hash.clone(),
            created_at: stored.created_at,
            revoked_at: stored.revoked_at.or(session.revoked_at),
            ..session
        };
        if revoked {
            people.revoke(Revocation::Session(id));
        }
        Ok(())
    }

    async fn touch_session(
        &self,
        account: AccountId,
        id: SessionId,
        at: Timestamp,
        address: Pii<String>,
    ) -> Result<()> {
        let mut state = self.0.open()?;
        if let Some(session) = state.people.sessions.get_mut(&(account, id))
            && at >= session.seen_at.plus_millis(TOUCH_MS)
        {
            (session.seen_at, session.address) = (at, address);
        }
        Ok(())
    }

    async fn session_by_hash(&self, hash: &str) -> Result<Option<Session>> {
        Ok(self.0.open()?.people.sessions.values().find(|session| session.hash == hash).cloned())
    }

    async fn sessions_of(&self, account: AccountId) -> Result<Vec<Session>> {
        let state = self.0.open()?;
        Ok(state.people.sessions.values().filter(|session| session.account == account).cloned().collect())
    }

    async fn remove_session(&self, account: AccountId, id: SessionId) -> Result<bool> {
        Ok(self.0.open()?.people.end_session(account, id))
    }

    async fn remove_sessions_of(&self, account: AccountId, except: Option<SessionId>) -> Result<usize> {
        let theirs = |session: &Session| session.account == account && Some(session.id) != except;
        Ok(self.0.open()?.people.end_sessions(theirs))
    }

    fn revocations(&self) -> broadcast::Receiver<Revocation> {
        self.0.lock().people.revocations.subscribe()
    }

    async fn touch_key(&self, id: ApiKeyId, at: Timestamp, address: IpAddr) -> Result<()> {
        let mut state = self.0.open()?;
        if let Some(key) = state.api_keys.get_mut(&id)
            && key.last_used_at.is_none_or(|last| at >= last.plus_millis(TOUCH_MS))
        {
            (key.last_used_at, key.last_used_from) = (Some(at), Some(address));
        }
        Ok(())
    }

    async fn put_invitation(&self, invitation: Invitation) -> Result<()> {
        let people = &mut self.0.open()?.people;
        if let Some(stored) = people.invitations.get_mut(&invitation.id) {
            let (hash, memberships) = (stored.hash.clone(), stored.memberships.clone());
            *stored = Invitation { hash, memberships, ..invitation };
            return Ok(());
        }
        if people.invitations.values().any(|other| other.hash == invitation.hash) {
            return Err(StorageError::Conflict("that invitation"));
        }
        for membership in &invitation.memberships {
            let there =
                people.invitations.values().filter(|it| belongs(&it.memberships, Some(membership.of)));
            if there.count() >= INVITATIONS_MAX {
                return Err(StorageError::Full { what: "invitations to one place", most: INVITATIONS_MAX });
            }
        }
        people.invitations.insert(invitation.id, invitation);
        Ok(())
    }

    async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>> {
        Ok(self.0.open()?.people.invitations.get(&id).cloned())
    }

    async fn invitation_to(&self, of: MemberOf, id: InvitationId) -> Result<Option<Invitation>> {
        let state = self.0.open()?;
        let invitation = state.people.invitations.get(&id);
        Ok(invitation.filter(|it| belongs(&it.memberships, Some(of))).cloned())
    }

    async fn invitation_by_hash(&self, hash: &str) -> Result<Option<Invitation>> {
        Ok(self.0.open()?.people.invitations.values().find(|it| it.hash == hash).cloned())
    }

    async fn invitations(
        &self,
        before: Option<InvitationId>,
        limit: usize,
        of: Option<MemberOf>,
    ) -> Result<Vec<Invitation>> {
        let state = self.0.open()?;
        let there = state.people.invitations.iter().filter(|(_, it)| belongs(&it.memberships, of));
        Ok(newest(there, before.as_ref().as_ref(), limit))
    }

    async fn accept_invitation(
        &self,
        hash: &str,
        at: Timestamp,
        account: Account,
        expected: Option<u64>,
    ) -> Result<Invitation> {
        let people = &mut self.0.open()?.people;
        let open = people.invitations.values().find(|it| it.hash == hash && it.is_open(at));
        let id = open.ok_or(StorageError::NotFound("open invitation"))?.id;
        match expected {
            Some(expected) => people.put_account(account, expected).map(drop)?,
            None => people.create_account(account)?,
        }
        let invitation = people.invitations.get_mut(&id).ok_or(StorageError::NotFound("open invitation"))?;
        invitation.accepted_at = Some(at);
        Ok(invitation.clone())
    }

    async fn put_mail(&self, mail: Mail) -> Result<()> {
        self.0.open()?.people.mails.insert(mail.id, mail);
        Ok(())
    }

    async fn mails(&self, limit: usize) -> Result<Vec<Mail>> {
        Ok(self.0.open()?.people.mails.values().take(limit).cloned().collect())
    }

    async fn remove_mail(&self, id: MailId) -> Result<bool> {
        Ok(self.0.open()?.people.mails.remove(&id).is_some())
    }

    async fn put_token(&self, token: Token) -> Result<()> {
        let people = &mut self.0.open()?.people;
        if !people.accounts.contains_key(&token.account) {
            return Err(StorageError::NotFound("account"));
        }
        people.tokens.retain(|other| (other.account, other.kind) != (token.account, token.kind));
        people.tokens.push(token);
        Ok(())
    }

    async fn take_token(&self, kind: TokenKind, hash: &str, at: Timestamp) -> Result<Option<Token>> {
        let tokens = &mut self.0.open()?.people.tokens;
        let place = tokens.iter().position(|token| token.kind == kind && token.hash == hash);
        Ok(place.map(|place| tokens.remove(place)).filter(|token| at < token.expires_at))
    }

    async fn put_break_glass(&self, tenant: TenantCtx, grant: BreakGlass, event: EventKind) -> Result<()> {
        let now = self.0.clock.now();
        let state = &mut *self.0.open()?;
        let id = tenant.tenant();
        let (_, data) = state.tenants.get_mut(&id).ok_or(StorageError::NoSuchTenant(id))?;
        data.append(None, vec![event], now)?;
        state.people.break_glasses.insert((id, grant.id), grant);
        state.people.revoke(Revocation::Tenant(id));
        Ok(())
    }

    async fn break_glass(&self, tenant: TenantCtx, id: BreakGlassId) -> Result<Option<BreakGlass>> {
        let state = self.0.open()?;
        state.must_have(tenant.tenant())?;
        Ok(state.people.break_glasses.get(&(tenant.tenant(), id)).cloned())
    }

    async fn break_glasses(
        &self,
        tenant: TenantCtx,
        before: Option<BreakGlassId>,
        limit: usize,
    ) -> Result<Vec<BreakGlass>> {
        let state = self.0.open()?;
        state.must_have(tenant.tenant())?;
        let theirs = state.people.break_glasses.iter().filter(|((of, _), _)| *of == tenant.tenant());
        Ok(newest(theirs.map(|((_, id), grant)| (id, grant)), before.as_ref().as_ref(), limit))
    }

    async fn put_idempotent(&self, of: Option<TenantCtx>, key: &str, answer: StoredAnswer) -> Result<()> {
        let mut state = self.0.open()?;
        let of = of.map(TenantCtx::tenant);
        of.map_or(Ok(()), |tenant| state.must_have(tenant))?;
        let answers = state.people.answers.entry(of).or_default();
        answers.retain(|(other, _)| other != key);
        answers.push_back((key.to_owned(), answer));
        if answers.len() as u64 > ANSWERS_MAX {
            answers.pop_front();
        }
        Ok(())
    }

    async fn idempotent(&self, of: Option<TenantCtx>, key: &str) -> Result<Option<StoredAnswer>> {
        let now = self.0.clock.now();
        let state = self.0.open()?;
        let of = of.map(TenantCtx::tenant);
        of.map_or(Ok(()), |tenant| state.must_have(tenant))?;
        let answer = state.people.answers.get(&of).and_then(|all| all.iter().find(|(it, _)| it == key));
        Ok(answer.map(|(_, answer)| answer.clone()).filter(|answer| now < answer.at.plus_millis(KEPT_MS)))
    }

    async fn remove_idempotent(&self, of: Option<TenantCtx>, key: &str) -> Result<bool> {
        let mut state = self.0.open()?;
        let of = of.map(TenantCtx::tenant);
        of.map_or(Ok(()), |tenant| state.must_have(tenant))?;
        let Some(answers) = state.people.answers.get_mut(&of) else { return Ok(false) };
        let before = answers.len();
        answers.retain(|(other, _)| other != key);
        Ok(answers.len() < before)
    }

    async fn forget_idempotent(&self, of: Option<TenantCtx>) -> Result<u64> {
        let forgotten = self.0.open()?.people.answers.remove(&of.map(TenantCtx::tenant));
        Ok(forgotten.map_or(0, |answers| answers.len() as u64))
    }
}
