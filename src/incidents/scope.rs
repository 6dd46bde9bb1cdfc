//! Whose data was reached: read from the access log, where the ids of each answer are, and the audit log.

use std::collections::{BTreeMap, BTreeSet};

use iassistance_domain::Timestamp;
use iassistance_domain::access::{AccessOf, AccessRecord, shortened};
use iassistance_domain::audit::Actor;
use iassistance_domain::id::{AccessId, ContactId, ConversationId, TenantId};
use iassistance_domain::pii::{Rights, SignIn};
use iassistance_domain::privacy::{Incident, IncidentProblem, IncidentScope, REACHED_MAX, Reached, Suspect};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::{StorageError, Store};

use super::{IncidentError, Result};

/// Records that are read at once.
const PAGE: usize = 500;

#[derive(Default)]
struct Found {
    contacts: BTreeSet<ContactId>,
    conversations: BTreeSet<ConversationId>,
    requests: u64,
}

/// Reads it.
pub(super) async fn read(store: &dyn Store, incident: &Incident, now: Timestamp) -> Result<IncidentScope> {
    let (mut requests, mut found) = (0, BTreeMap::<TenantId, Found>::new());
    let mut before = Some(first_after(incident.until));
    'log: loop {
        let page = store.trail().access(AccessOf::All, before, PAGE).await?;
        for record in &page {
            before = Some(record.id);
            if record.at < incident.from {
                break 'log;
            }
            if record.at >= incident.until || !is_by(incident, record) {
                continue;
            }
            requests += u64::from(record.part_of.is_none());
            let Some(tenant) = record.tenant else { continue };
            if !(200..300).contains(&record.status) && record.status != 101 {
                continue;
            }
            let of = found.entry(tenant).or_default();
            of.requests += u64::from(record.part_of.is_none());
            of.contacts.extend(&record.contacts);
            of.conversations.extend(&record.conversations);
            let people = found.values().map(|of| of.contacts.len() + of.conversations.len()).sum::<usize>();
            if people > 2 * REACHED_MAX {
                return Err(IncidentProblem::TooMany.into());
            }
        }
        if page.len() < PAGE {
            break;
        }
    }
    let mut tenants = Vec::new();
    for (tenant, of) in found {
        tenants.push(reached(store, incident, tenant, of).await?);
    }
    let scope = IncidentScope { read_at: now, requests, tenants };
    if scope.people() > REACHED_MAX { Err(IncidentProblem::TooMany.into()) } else { Ok(scope) }
}

/// The least id of a moment: ids begin with their milliseconds (UUID version 7).
fn first_after(at: Timestamp) -> AccessId {
    let mut bytes = [0; 16];
    let millis = at.as_millis().max(0).to_be_bytes();
    bytes[..6].copy_from_slice(&millis[2..]);
    AccessId::from_bytes(bytes)
}

fn is_by(incident: &Incident, record: &AccessRecord) -> bool {
    incident.suspects.iter().any(|suspect| match suspect {
        Suspect::Key { key } => record.who == Some(Actor::Key { key: *key }),
        Suspect::Account { account } => record.account() == Some(*account),
        Suspect::Address { address } => {
            let (was, suspected) = (record.address.reveal(SignIn), address.reveal(Rights).trim());
            // Of an address that was shortened, its whole network counts.
            was == suspected || (was.contains('/') && shortened(suspected).as_ref() == Some(was))
        }
    })
}

fn is_act_of(incident: &Incident, actor: Actor) -> bool {
    incident.suspects.iter().any(|suspect| match (suspect, actor) {
        (Suspect::Key { key }, Actor::Key { key: own }) => *key == own,
        (
            Suspect::Account { account },
            Actor::Account { account: own } | Actor::BreakGlass { account: own, .. },
        ) => *account == own,
        _ => false,
    })
}

/// What was reached in one tenant: whose conversations they are is looked up, also of those who were erased since.
async fn reached(store: &dyn Store, incident: &Incident, tenant: TenantId, of: Found) -> Result<Reached> {
    let Found { mut contacts, conversations, requests } = of;
    let mut unknown = Vec::new();
    let ctx = TenantCtx::platform(tenant);
    match store.tenant(ctx).await {
        Ok(open) => {
            for id in conversations {
                match open.conversation(id).await? {
                    Some((conversation, _)) => drop(contacts.insert(conversation.contact)),
                    None => unknown.push(id),
                }
            }
            if !unknown.is_empty() {
                unknown = of_erased(store, ctx, unknown, &mut contacts).await?;
            }
        }
        // Its data is destroyed; that it was reached stays true.
        Err(StorageError::NoSuchTenant(_)) => unknown.extend(conversations),
        Err(error) => return Err(IncidentError::Storage(error)),
    }
    let acts = acts(store, incident, tenant).await?;
    Ok(Reached { tenant, contacts: contacts.into_iter().collect(), conversations: unknown, requests, acts })
}

/// Finds conversations among those of people who were erased; those that are not there are left.
async fn of_erased(
    store: &dyn Store,
    ctx: TenantCtx,
    mut unknown: Vec<ConversationId>,
    contacts: &mut BTreeSet<ContactId>,
) -> Result<Vec<ConversationId>> {
    let mut before = None;
    loop {
        let page = store.keeping().erasures(ctx, before, PAGE).await?;
        for erasure in &page {
            before = Some(erasure.id);
            for (place, conversation) in erasure.conversations.iter().enumerate() {
                if unknown.contains(conversation) {
                    contacts.insert(erasure.contacts.get(place).copied().unwrap_or(erasure.contact));
                    unknown.retain(|id| id != conversation);
                }
            }
        }
        if page.len() < PAGE || unknown.is_empty() {
            return Ok(unknown);
        }
    }
}

async fn acts(store: &dyn Store, incident: &Incident, tenant: TenantId) -> Result<u64> {
    let (mut before, mut acts) = (None, 0);
    loop {
        let page = match store.trail().audit(Some(tenant), before, PAGE).await {
            Err(StorageError::NoSuchTenant(_)) => return Ok(acts),
            page => page?,
        };
        for entry in &page {
            before = Some(entry.seq);
            if entry.at < incident.from {
                return Ok(acts);
            }
            acts += u64::from(entry.at < incident.until && is_act_of(incident, entry.actor));
        }
        if page.len() < PAGE {
            return Ok(acts);
        }
    }
}
