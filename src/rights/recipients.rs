//! Who got what is known of somebody: by the ledger, and the client's own systems that get its events.

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, TenantId};
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::{Disclosures, Handed, RecipientKind};
use iassistance_domain::tenant::TenantCtx;
use serde::Serialize;
use url::Url;

use super::{Registrar, Result};

/// What the name of the client's own system begins with; its id follows.
pub(super) const WEBHOOK: &str = "webhook ";

/// Somebody who got data, or gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipient {
    /// What they are called: `meta`, `model` and its host, `webhook hok_…`.
    pub name: String,
    /// What they got.
    pub what: Vec<Handed>,
    /// How often; 0 for a system that only may have.
    pub count: u64,
    /// When first.
    pub first_at: Option<Timestamp>,
    /// When last.
    pub last_at: Option<Timestamp>,
}

impl Registrar {
    /// Who got data of a contact, with all who proved to be the same person.
    ///
    /// # Errors
    /// What the store says.
    pub async fn recipients(&self, tenant: TenantId, contact: ContactId) -> Result<Vec<Recipient>> {
        let ctx = TenantCtx::platform(tenant);
        let store = self.0.store.tenant(ctx).await?;
        let person = self.0.store.keeping().person(ctx, contact).await?;
        let mut ledger = Disclosures::default();
        for id in &person.contacts {
            ledger.merge(self.0.store.leaving().disclosures(ctx, *id).await?);
        }
        let mut recipients: Vec<Recipient> = Vec::new();
        let mut hooks = Vec::new();
        for subscription in store.hooks().subscriptions().await? {
            let host = Url::parse(subscription.url.reveal(Rights)).ok();
            hooks.push(host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default());
            let name = format!("{WEBHOOK}{}", subscription.id);
            recipients.push(Recipient { name, what: Vec::new(), count: 0, first_at: None, last_at: None });
        }
        for line in ledger.lines {
            // A system that is subscribed now is told by its own name.
            let own =
                hooks.iter().position(|host| line.to.kind == RecipientKind::Webhook && *host == line.to.host);
            let name = match own.and_then(|place| recipients.get(place)) {
                Some(hook) => hook.name.clone(),
                None => format!("{} {}", line.to.kind.name(), line.to.host).trim_end().to_owned(),
            };
            let known = match recipients.iter().position(|known| known.name == name) {
                Some(place) => &mut recipients[place],
                None => {
                    recipients.push(Recipient {
                        name,
                        what: Vec::new(),
                        count: 0,
                        first_at: None,
                        last_at: None,
                    });
                    let last = recipients.len() - 1;
                    &mut recipients[last]
                }
            };
            known.what.push(line.what);
            known.count += line.count;
            let first = known.first_at.map_or(line.first_at, |at| at.min(line.first_at));
            (known.first_at, known.last_at) = (Some(first), known.last_at.max(Some(line.last_at)));
        }
        Ok(recipients)
    }
}
