//! Invitations and tokens: letters that let somebody in, each found by the hash of what is in its link.

use iassistance_domain::Timestamp;
use iassistance_domain::account::MemberOf;
use iassistance_domain::id::{AccountId, InvitationId};
use iassistance_domain::invitation::{Invitation, Token, TokenKind};

use super::keys::{self, INVITATION, INVITATION_HASH, INVITED, Key, TOKEN, TOKEN_HASH};
use super::space::{Page, Read, Result, Space};
use super::tx::{Owner, Tx};
use crate::error::StorageError;
use crate::limits::{INVITATIONS_KEPT_MS, INVITATIONS_MAX};

/// Letters that are over.
#[derive(Default)]
pub(super) struct Letters {
    invitations: Vec<InvitationId>,
    tokens: Vec<(AccountId, TokenKind)>,
}

impl Letters {
    pub(super) fn is_empty(&self) -> bool {
        self.invitations.is_empty() && self.tokens.is_empty()
    }
}

impl Space {
    pub(super) fn invitation_hash(&self, hash: &str) -> Key<InvitationId> {
        INVITATION_HASH.key().id(self.hash("invitation", &[hash.as_bytes()]))
    }

    pub(super) fn token_hash(&self, kind: TokenKind, hash: &str) -> Key<AccountId> {
        let parts = [kind.name().as_bytes(), b"\0", hash.as_bytes()];
        TOKEN_HASH.key().id(self.hash("token", &parts))
    }

    /// Letters that are long over. Blocking.
    pub(super) fn letters_that_are_over(&self, now: Timestamp) -> Result<Letters> {
        let invitations = self.list(&INVITATION.key(), Page::First, usize::MAX)?;
        let tokens = self.list(&TOKEN.key(), Page::First, usize::MAX)?;
        Ok(Letters {
            invitations: invitations
                .iter()
                .filter(|(_, it)| is_long_over(it, now))
                .map(|(_, it)| it.id)
                .collect(),
            tokens: tokens
                .iter()
                .filter(|(_, token)| token.expires_at <= now)
                .map(|(_, token)| (token.account, token.kind))
                .collect(),
        })
    }
}

fn is_long_over(invitation: &Invitation, now: Timestamp) -> bool {
    let over = invitation.accepted_at.or(invitation.revoked_at).unwrap_or(invitation.expires_at);
    over.plus_millis(INVITATIONS_KEPT_MS) <= now
}

pub(super) fn invited(place: MemberOf, id: InvitationId) -> Key<()> {
    keys::of_place(INVITED, place).id(id.to_bytes())
}

impl Tx<'_> {
    pub(super) fn put_invitation(&mut self, invitation: Invitation) -> Result<()> {
        let key = keys::invitation(invitation.id);
        if let Some(Invitation { hash, memberships, .. }) = self.get(&key)? {
            return self.put(&key, Owner::Tenant, &Invitation { hash, memberships, ..invitation });
        }
        let hash = self.space.invitation_hash(&invitation.hash);
        if self.has(&hash)? {
            return Err(StorageError::Conflict("that invitation"));
        }
        for membership in &invitation.memberships {
            let place = keys::of_place(INVITED, membership.of);
            if self.rows(place.bytes(), INVITATIONS_MAX)?.len() == INVITATIONS_MAX {
                return Err(StorageError::Full { what: "invitations to one place", most: INVITATIONS_MAX });
            }
            self.put(&invited(membership.of, invitation.id), Owner::Tenant, &())?;
        }
        self.put(&hash, Owner::Tenant, &invitation.id)?;
        self.put(&key, Owner::Tenant, &invitation)
    }

    /// Marks an invitation as taken up.
    pub(super) fn take_invitation(&mut self, hash: &str, at: Timestamp) -> Result<Invitation> {
        let none = StorageError::NotFound("open invitation");
        let id = self.get(&self.space.invitation_hash(hash))?.ok_or_else(|| none.clone())?;
        let key = keys::invitation(id);
        let mut invitation = self.get(&key)?.filter(|it| it.is_open(at)).ok_or(none)?;
        invitation.accepted_at = Some(at);
        self.put(&key, Owner::Tenant, &invitation)?;
        Ok(invitation)
    }

    pub(super) fn put_token(&mut self, token: &Token) -> Result<()> {
        let key = keys::token(token.account, token.kind);
        if !self.has(&keys::account(token.account))? {
            return Err(StorageError::NotFound("account"));
        }
        if let Some(former) = self.get_readable(&key)? {
            self.remove(&self.space.token_hash(former.kind, &former.hash))?;
        }
        self.put(&self.space.token_hash(token.kind, &token.hash), Owner::Tenant, &token.account)?;
        self.put(&key, Owner::Tenant, token)
    }

    pub(super) fn take_token(&mut self, kind: TokenKind, hash: &str, at: Timestamp) -> Result<Option<Token>> {
        let index = self.space.token_hash(kind, hash);
        let Some(account) = self.get(&index)? else { return Ok(None) };
        let key = keys::token(account, kind);
        let token = self.get(&key)?.filter(|token| token.hash == hash);
        self.remove(&index)?;
        if token.is_some() {
            self.remove(&key)?;
        }
        Ok(token.filter(|token| at < token.expires_at))
    }

    pub(super) fn remove_tokens(&mut self, account: AccountId) -> Result<()> {
        for kind in [TokenKind::PasswordReset, TokenKind::EmailChange] {
            self.remove_token(account, kind)?;
        }
        Ok(())
    }

    fn remove_token(&mut self, account: AccountId, kind: TokenKind) -> Result<()> {
        let key = keys::token(account, kind);
        if let Some(token) = self.get_readable(&key)? {
            self.remove(&self.space.token_hash(kind, &token.hash))?;
        }
        self.remove(&key).map(drop)
    }

    /// Removes those of these letters that are long over.
    pub(super) fn forget_letters(&mut self, letters: &Letters, now: Timestamp) -> Result<()> {
        for id in &letters.invitations {
            let key = keys::invitation(*id);
            let Some(invitation) = self.get_readable(&key)?.filter(|it| is_long_over(it, now)) else {
                continue;
            };
            for membership in &invitation.memberships {
                self.remove(&invited(membership.of, *id))?;
            }
            self.remove(&self.space.invitation_hash(&invitation.hash))?;
            self.remove(&key)?;
        }
        for (account, kind) in &letters.tokens {
            // It may have been made anew since it was looked for.
            let over = self.get_readable(&keys::token(*account, *kind))?;
            if over.is_some_and(|token| token.expires_at <= now) {
                self.remove_token(*account, *kind)?;
            }
        }
        Ok(())
    }
}
