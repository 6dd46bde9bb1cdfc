//! Reading every record there is, to find those that do not open.

use std::fmt::Write as _;
use std::sync::Arc;

use ::sled::IVec;

use iassistance_domain::id::{ContactId, TenantId};
use iassistance_vault::{KeyRef, Keyring, Place, subject_of};

use super::channels::open_channel;
use super::keys::{self, CHANNEL, SUBJECT_KEY, TENANT, id_in};
use super::space::{Page, Read, Result, Row, Space};
use super::{Core, blocking};

/// Records between two words of progress.
const STEP_ROWS: usize = 1_000;

impl Core {
    /// Opens every record; how many did, and a line for each that did not.
    pub(super) async fn check(
        self: &Arc<Self>,
        progress: &(dyn Fn(usize, u64) + Sync),
    ) -> Result<(u64, Vec<String>)> {
        let mut whole = 0;
        let mut lines = Vec::new();
        self.check_space(&self.platform, &mut whole, &mut lines, &|records| progress(0, records)).await?;
        let platform = Arc::clone(&self.platform);
        let rows = blocking(move || platform.rows(TENANT.key().bytes(), Page::First, usize::MAX)).await?;
        let tenants = rows.iter().filter_map(|(key, _)| id_in(key, 1)).map(TenantId::from_bytes);
        for (number, tenant) in tenants.enumerate() {
            match self.space(tenant).await {
                Ok(space) => {
                    let tell = |records| progress(number + 1, records);
                    self.check_space(&space, &mut whole, &mut lines, &tell).await?;
                }
                Err(error) => lines.push(format!("{tenant}: nothing of it opens: {error}")),
            }
        }
        Ok((whole, lines))
    }

    async fn check_space(
        &self,
        space: &Arc<Space>,
        whole: &mut u64,
        lines: &mut Vec<String>,
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let mut last: Option<IVec> = None;
        loop {
            let (space, keyring, from) = (Arc::clone(space), Arc::clone(&self.keyring), last.take());
            let (opened, mut bad, end) = blocking(move || {
                let page = from.as_ref().map_or(Page::First, |key| Page::After(key));
                let rows = space.rows(&[], page, STEP_ROWS)?;
                let bad: Vec<_> = rows.iter().filter_map(|row| complaint(&space, &keyring, row)).collect();
                let opened = (rows.len() - bad.len()) as u64;
                Ok((opened, bad, (rows.len() == STEP_ROWS).then(|| rows[STEP_ROWS - 1].0.clone())))
            })
            .await?;
            *whole += opened;
            lines.append(&mut bad);
            tell(*whole);
            if end.is_none() {
                return Ok(());
            }
            last = end;
        }
    }
}

/// What is wrong with a record, if anything is.
fn complaint(space: &Space, keyring: &Keyring, (key, sealed): &Row) -> Option<String> {
    let kind = match key.first() {
        Some(&code) if code == SUBJECT_KEY.code => {
            let contact = id_in(key, 1).map(ContactId::from_bytes);
            let opens =
                contact.is_some_and(|contact| space.vault.unwrap_subject_key(contact, sealed).is_ok());
            if opens {
                return None;
            }
            SUBJECT_KEY.name
        }
        Some(&code) if code == CHANNEL.code => {
            let vault = id_in(key, 1).and_then(|id| keyring.tenant(TenantId::from_bytes(id)).ok());
            if vault.is_some_and(|vault| open_channel(&vault, key, sealed).is_ok()) {
                return None;
            }
            CHANNEL.name
        }
        _ => {
            let (kind, whole) = keys::inspect(key, &plaintext(space, key, sealed).unwrap_or_default());
            if whole {
                return None;
            }
            kind
        }
    };
    let digits = key.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a text cannot fail.
        let _written = write!(digits, "{byte:02x}");
        digits
    });
    Some(format!("{}: the record of kind `{kind}` at key {digits} does not open", space.name))
}

fn plaintext(space: &Space, key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let subject = match subject_of(sealed) {
        Some(contact) => Some(space.subject_key(contact).ok()?),
        None => None,
    };
    let place = Place { tree: &space.name, key, schema: 0 };
    let key_ref = subject.as_deref().map_or(KeyRef::Tenant, KeyRef::Subject);
    space.vault.open(place, key_ref, sealed).ok().map(|opened| opened.plaintext.to_vec())
}
