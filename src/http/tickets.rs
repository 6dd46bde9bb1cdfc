//! Tickets for the websocket: a browser cannot send a header with one, and a key in an address
//! would end up in logs. A ticket opens one socket, once, within seconds.

use std::sync::{Mutex, PoisonError};

use iassistance_domain::id::TenantId;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Entropy, Timestamp};
use iassistance_vault::same;

use super::principal::Credential;
use super::recent::{Bounds, Recent};

const TICKETS_MAX: usize = 16_384;
const TICKETS_PER_TENANT_MAX: usize = 1_024;
const PREFIX: &str = "tkt_";
const HANDLE_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

type Handle = [u8; HANDLE_BYTES];

/// Tickets that were handed out and not used yet, in memory: none survives a restart. When a tenant
/// has more open than it may, its oldest is void.
pub struct Tickets {
    open: Mutex<Recent<TenantId, Handle, Ticket>>,
}

struct Ticket {
    ctx: TenantCtx,
    credential: Credential,
    secret: [u8; SECRET_BYTES],
}

impl Tickets {
    /// No tickets yet; each will be good for `ticket_ms` milliseconds.
    pub fn new(ticket_ms: u64) -> Self {
        let bounds =
            Bounds { keep_ms: ticket_ms, entries_max: TICKETS_MAX, per_owner_max: TICKETS_PER_TENANT_MAX };
        Self { open: Mutex::new(Recent::new(bounds)) }
    }

    /// A new ticket for this tenant and whoever has this credential: `tkt_` and 80 hexadecimal digits, of which
    /// 256 bits are secret.
    pub fn issue(
        &self,
        ctx: TenantCtx,
        credential: Credential,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> String {
        let (mut handle, mut secret) = ([0; HANDLE_BYTES], [0; SECRET_BYTES]);
        entropy.fill(&mut handle);
        entropy.fill(&mut secret);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(now, ctx.tenant(), handle, Ticket { ctx, credential, secret });
        format!("{PREFIX}{}{}", hex::encode(handle), hex::encode(secret))
    }

    /// For which tenant the ticket is and whose, if it is good. It is good once, and a wrong guess at one voids
    /// it too.
    pub fn redeem(&self, text: &str, now: Timestamp) -> Option<(TenantCtx, Credential)> {
        let mut bytes = [0; HANDLE_BYTES + SECRET_BYTES];
        hex::decode_to_slice(text.strip_prefix(PREFIX)?, &mut bytes).ok()?;
        let (handle, secret) = bytes.split_first_chunk::<HANDLE_BYTES>()?;
        let ticket = self.open.lock().unwrap_or_else(PoisonError::into_inner).take(now, handle)?;
        same(&ticket.secret, secret).then_some((ticket.ctx, ticket.credential))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iassistance_domain::SeededEntropy;

    const WHOSE: Credential = Credential::Key(iassistance_domain::id::ApiKeyId::from_bytes([1; 16]));

    fn ctx() -> TenantCtx {
        TenantCtx::authenticated(TenantId::from_bytes([7; 16]))
    }

    #[test]
    fn a_ticket_is_good_once() {
        let (tickets, entropy, now) = (Tickets::new(30_000), SeededEntropy::new(1), Timestamp::EPOCH);
        let text = tickets.issue(ctx(), WHOSE, now, &entropy);
        assert_eq!(text.len(), 84);
        assert_eq!(tickets.redeem(&text, now), Some((ctx(), WHOSE)));
        assert_eq!(tickets.redeem(&text, now), None);
    }

    #[test]
    fn a_ticket_ends() {
        let (tickets, entropy, now) = (Tickets::new(30_000), SeededEntropy::new(1), Timestamp::EPOCH);
        let text = tickets.issue(ctx(), WHOSE, now, &entropy);
        assert_eq!(tickets.redeem(&text, now.plus_millis(30_000)), None);
    }

    #[test]
    fn nothing_else_is_a_ticket() {
        let (tickets, entropy, now) = (Tickets::new(30_000), SeededEntropy::new(1), Timestamp::EPOCH);
        let text = tickets.issue(ctx(), WHOSE, now, &entropy);
        for wrong in ["", "tkt_", "tkt_é", &text[..83], &text[4..]] {
            assert_eq!(tickets.redeem(wrong, now), None);
        }
        let mut forged = text.clone();
        forged.replace_range(83.., if text.ends_with('0') { "1" } else { "0" });
        assert_eq!(tickets.redeem(&forged, now), None);
        assert_eq!(tickets.redeem(&text, now), None, "a guess voids the ticket it aims at");
    }
}
