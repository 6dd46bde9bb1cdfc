//! What is kept about the people and programs that work with the platform: accounts, agencies, sessions,
//! invitations, and what they were answered.

use std::net::IpAddr;

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
use iassistance_domain::mail::Mail;
use iassistance_domain::session::Session;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Pii, Timestamp};

use crate::error::StorageError;

type Result<T> = std::result::Result<T, StorageError>;

/// Something that opened doors and does not any more, or opens others than before: who holds one open by
/// it looks at it anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// A session ended.
    Session(SessionId),
    /// An account was disabled, removed, or has other rights.
    Account(AccountId),
    /// A key was revoked, or has other rights.
    Key(ApiKeyId),
    /// A tenant's state, its agency, what that may read, or a look by break-glass, changed.
    Tenant(TenantId),
    /// An agency's state changed.
    Agency(AgencyId),
}

/// The people and programs that work with the platform. Every command is durable when it returns.
#[async_trait]
pub trait People: Send + Sync {
    /// Creates an account. `Conflict` when there is one of its id, its e-mail address or its subject at
    /// Supabase.
    async fn create_account(&self, account: Account) -> Result<()>;
    /// An account.
    async fn account(&self, id: AccountId) -> Result<Option<Account>>;
    /// The account of somebody who belongs there. Another's is refused unopened, by the same work as one that is
    /// not there: who asks for it learns nothing from the time that it takes.
    async fn member(&self, of: MemberOf, id: AccountId) -> Result<Option<Account>>;
    /// The account of an e-mail address, in the form that
    /// [`normalised_email`](iassistance_domain::account::normalised_email) gives.
    async fn account_by_email(&self, email: &Pii<String>) -> Result<Option<Account>>;
    /// The account of somebody who comes through Supabase.
    async fn account_by_subject(&self, subject: &str) -> Result<Option<Account>>;
    /// Replaces an account and gives back its new revision, one more than `expected`. `NotFound` when there
    /// is none, `Stale` when its revision is another, `Conflict` as when it is created.
    async fn put_account(&self, account: Account, expected: u64) -> Result<u64>;
    /// Accounts, newest first, those before `before` (without itself), as all lists here; of one place alone
    /// where one is given.
    async fn accounts(
        &self,
        before: Option<AccountId>,
        limit: usize,
        of: Option<MemberOf>,
    ) -> Result<Vec<Account>>;
    /// Removes an account with its sessions and tokens; says whether there was one.
    async fn remove_account(&self, id: AccountId) -> Result<bool>;

    /// Creates an agency. `Conflict` when there is one of its id.
    async fn create_agency(&self, agency: Agency) -> Result<()>;
    /// An agency.
    async fn agency(&self, id: AgencyId) -> Result<Option<Agency>>;
    /// All agencies, oldest first.
    async fn agencies(&self) -> Result<Vec<Agency>>;
    /// Replaces an agency. `NotFound` when there is none.
    async fn put_agency(&self, agency: Agency) -> Result<()>;

    /// A tenant's record. From memory: it is asked for by every request.
    async fn tenant_record(&self, id: TenantId) -> Result<Option<Tenant>>;
    /// Which agency a tenant is of. From memory, and the same work whether there is such a tenant or not: who
    /// asks about others' learns nothing from the time that it takes.
    fn agency_of(&self, id: TenantId) -> Option<AgencyId>;
    /// Replaces a tenant's record: its name, its agency, its state. `NoSuchTenant` when there is none. From
    /// when it is closed no address leads to it.
    async fn put_tenant(&self, tenant: Tenant) -> Result<()>;

    /// Keeps a mail that waits to be delivered, or replaces it.
    async fn put_mail(&self, mail: Mail) -> Result<()>;
    /// Mails that wait, oldest first, at most `limit`.
    async fn mails(&self, limit: usize) -> Result<Vec<Mail>>;
    /// Forgets a mail; says whether it was there.
    async fn remove_mail(&self, id: MailId) -> Result<bool>;

    /// Keeps a new session. `Conflict` when there is one of its hash; `NotFound` when its account is not
    /// there. An account has 50 at most: a further one ends the oldest.
    async fn create_session(&self, session: Session) -> Result<()>;
    /// Replaces a session; its hash and when it began stay. `NotFound` when it has ended meanwhile: nothing
    /// brings it back.
    async fn put_session(&self, session: Session) -> Result<()>;
    /// Notes when and from where a session was last used, unless it has ended meanwhile; at most once a
    /// minute for each.
    async fn touch_session(
        &self,
        account: AccountId,
        id: SessionId,
        at: Timestamp,
        address: Pii<String>,
    ) -> Result<()>;
    /// The session of a token's hash, whether it is still live or not.
    async fn session_by_hash(&self, hash: &str) -> Result<Option<Session>>;
    /// The sessions of an account, oldest first.
    async fn sessions_of(&self, account: AccountId) -> Result<Vec<Session>>;
    /// Ends a session; says whether there was one.
    async fn remove_session(&self, account: AccountId, id: SessionId) -> Result<bool>;
    /// Ends an account's sessions but one; says how many.
    async fn remove_sessions_of(&self, account: AccountId, except: Option<SessionId>) -> Result<usize>;
    /// Tells what was revoked, once that is durable. Who falls behind (`Lagged`) looks at everything anew.
    fn revocations(&self) -> broadcast::Receiver<Revocation>;
    /// Notes when and from where a key was last used; at most once a minute for each.
    async fn touch_key(&self, id: ApiKeyId, at: Timestamp, address: IpAddr) -> Result<()>;

    /// Creates or replaces an invitation; its hash and its places stay as they were created. `Full` when a
    /// place has 1,000.
    async fn put_invitation(&self, invitation: Invitation) -> Result<()>;
    /// An invitation.
    async fn invitation(&self, id: InvitationId) -> Result<Option<Invitation>>;
    /// An invitation to that place; another's is refused as with [`member`](Self::member).
    async fn invitation_to(&self, of: MemberOf, id: InvitationId) -> Result<Option<Invitation>>;
    /// The invitation of a token's hash, whether it is still open or not.
    async fn invitation_by_hash(&self, hash: &str) -> Result<Option<Invitation>>;
    /// Invitations, newest first; of one place alone where one is given.
    async fn invitations(
        &self,
        before: Option<InvitationId>,
        limit: usize,
        of: Option<MemberOf>,
    ) -> Result<Vec<Invitation>>;
    /// Takes an invitation up, once, in the write that creates the account (without `expected`) or replaces
    /// it. `NotFound` when it is not open at `at`; otherwise as with the account alone.
    async fn accept_invitation(
        &self,
        hash: &str,
        at: Timestamp,
        account: Account,
        expected: Option<u64>,
    ) -> Result<Invitation>;
    /// Keeps a token, in place of a former one of the same kind and account.
    async fn put_token(&self, token: Token) -> Result<()>;
    /// Takes a token: it is given once, and not when it has expired at `at`.
    async fn take_token(&self, kind: TokenKind, hash: &str, at: Timestamp) -> Result<Option<Token>>;

    /// Creates or replaces a break-glass grant of a tenant, with the event that tells the tenant of it, in
    /// one write.
    async fn put_break_glass(&self, tenant: TenantCtx, grant: BreakGlass, event: EventKind) -> Result<()>;
    /// One of a tenant's.
    async fn break_glass(&self, tenant: TenantCtx, id: BreakGlassId) -> Result<Option<BreakGlass>>;
    /// A tenant's, newest first.
    async fn break_glasses(
        &self,
        tenant: TenantCtx,
        before: Option<BreakGlassId>,
        limit: usize,
    ) -> Result<Vec<BreakGlass>>;

    /// Keeps what was answered to a request with a key of its own, for a day. Of a tenant (or the platform)
    /// 10,000 are kept: a further one drops the oldest.
    async fn put_idempotent(&self, of: Option<TenantCtx>, key: &str, answer: StoredAnswer) -> Result<()>;
    /// What was answered to it, if that is kept and no day past.
    async fn idempotent(&self, of: Option<TenantCtx>, key: &str) -> Result<Option<StoredAnswer>>;
    /// Drops it, as nothing came of the request; says whether there was something.
    async fn remove_idempotent(&self, of: Option<TenantCtx>, key: &str) -> Result<bool>;
    /// Drops all that is kept so of a tenant (or the platform): who erases a person's data does that too.
    /// Says how many.
    async fn forget_idempotent(&self, of: Option<TenantCtx>) -> Result<u64>;
}
