//! Who got what is known of somebody.

use iassistance_domain::id::{ContactId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use serde::Serialize;

use super::{Registrar, Result};

/// What the name of the client's own system begins with; its id follows.
pub(super) const WEBHOOK: &str = "webhook ";
/// Turns that are looked through for one that asked a model.
const TURNS: usize = 200;

/// Somebody who got data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipient {
    /// What they are called: `meta`, `model`, `webhook hok_…`.
    pub name: String,
    /// What they got.
    pub categories: Vec<String>,
}

impl Recipient {
    fn new(name: impl Into<String>, categories: &[&str]) -> Self {
        Self { name: name.into(), categories: categories.iter().map(|it| (*it).to_owned()).collect() }
    }
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
        let mut recipients = Vec::new();
        let (mut wrote, mut asked) = (false, false);
        for id in &person.conversations {
            wrote |= !store.messages(*id, None, 1).await?.is_empty();
            let turns = store.turns(*id, None, TURNS).await?;
            asked |= turns.iter().any(|turn| !turn.work.attempts.is_empty());
        }
        if wrote {
            recipients.push(Recipient::new("meta", &["identity", "content"]));
        }
        if asked {
            recipients.push(Recipient::new("model", &["content"]));
        }
        for subscription in store.hooks().subscriptions().await? {
            let name = format!("{WEBHOOK}{}", subscription.id);
            recipients.push(Recipient::new(name, &["identity", "content"]));
        }
        Ok(recipients)
    }
}
