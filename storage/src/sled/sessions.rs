//! Sessions: an account's are together, and each is found by the hash of its token.

use iassistance_domain::id::{AccountId, SessionId};
use iassistance_domain::session::{SESSIONS_MAX, Session};
use iassistance_domain::{Pii, Timestamp};

use super::keys::{self, Key, SESSION, SESSION_HASH, SessionHome};
use super::people::Revocations;
use super::space::{Page, Read, Result, Space};
use super::tx::{Owner, Tx};
use crate::error::StorageError;
use crate::limits::TOUCH_MS;
use crate::people::Revocation;

impl Space {
    pub(super) fn session_hash(&self, hash: &str) -> Key<SessionHome> {
        SESSION_HASH.key().id(self.hash("session", &[hash.as_bytes()]))
    }

    /// Sessions that do not go on. Blocking.
    pub(super) fn sessions_that_are_over(&self, now: Timestamp) -> Result<Vec<(AccountId, SessionId)>> {
        let sessions = self.list(&SESSION.key(), Page::First, usize::MAX)?;
        let over = sessions.into_iter().filter(|(_, session)| !session.is_live(now));
        Ok(over.map(|(_, session)| (session.account, session.id)).collect())
    }
}

impl Tx<'_> {
    pub(super) fn create_session(&mut self, session: &Session, revocations: &Revocations) -> Result<()> {
        if !self.has(&keys::account(session.account))? {
            return Err(StorageError::NotFound("account"));
        }
        let hash = self.space.session_hash(&session.hash);
        let key = keys::session(session.account, session.id);
        if self.has(&hash)? || self.has(&key)? {
            return Err(StorageError::Conflict("that session"));
        }
        let rows = self.list(&keys::sessions(session.account), usize::MAX)?;
        let surplus = (rows.len() + 1).saturating_sub(SESSIONS_MAX);
        for (_, oldest) in rows.into_iter().take(surplus) {
            self.end_session(&oldest, revocations)?;
        }
        self.put(&hash, Owner::Tenant, &SessionHome { account: session.account, session: session.id })?;
        self.put(&key, Owner::Tenant, session)
    }

    pub(super) fn put_session(&mut self, session: Session, revocations: &Revocations) -> Result<()> {
        let key = keys::session(session.account, session.id);
        let before = self.get(&key)?.ok_or(StorageError::NotFound("session"))?;
        if session.revoked_at.is_some() && before.revoked_at.is_none() {
            self.revoke(revocations, Revocation::Session(session.id));
        }
        let revoked_at = before.revoked_at.or(session.revoked_at);
        let session = Session { hash: before.hash, created_at: before.created_at, revoked_at, ..session };
        self.put(&key, Owner::Tenant, &session)
    }

    pub(super) fn touch_session(
        &mut self,
        account: AccountId,
        id: SessionId,
        at: Timestamp,
        address: Pii<String>,
    ) -> Result<()> {
        let key = keys::session(account, id);
        let Some(stored) = self.get(&key)? else { return Ok(()) };
        if at < stored.seen_at.plus_millis(TOUCH_MS) {
            return Ok(());
        }
        self.put(&key, Owner::Tenant, &Session { seen_at: at, address, ..stored })
    }

    pub(super) fn remove_session(
        &mut self,
        account: AccountId,
        id: SessionId,
        revocations: &Revocations,
    ) -> Result<bool> {
        let key = keys::session(account, id);
        match self.get_readable(&key)? {
            Some(session) => self.end_session(&session, revocations).map(|()| true),
            // One that does not open is found by no token either.
            None => self.remove(&key),
        }
    }

    pub(super) fn remove_sessions(
        &mut self,
        account: AccountId,
        except: Option<SessionId>,
        revocations: &Revocations,
    ) -> Result<usize> {
        let mut ended = 0;
        for (_, session) in self.list(&keys::sessions(account), usize::MAX)? {
            if Some(session.id) != except {
                self.end_session(&session, revocations)?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Ends those of these sessions that do not go on.
    pub(super) fn end_sessions(
        &mut self,
        sessions: &[(AccountId, SessionId)],
        now: Timestamp,
        revocations: &Revocations,
    ) -> Result<()> {
        for (account, id) in sessions {
            if let Some(session) = self.get_readable(&keys::session(*account, *id))?
                && !session.is_live(now)
            {
                self.end_session(&session, revocations)?;
            }
        }
        Ok(())
    }

    fn end_session(&mut self, session: &Session, revocations: &Revocations) -> Result<()> {
        self.remove(&self.space.session_hash(&session.hash))?;
        self.remove(&keys::session(session.account, session.id))?;
        self.revoke(revocations, Revocation::Session(session.id));
        Ok(())
    }
}
