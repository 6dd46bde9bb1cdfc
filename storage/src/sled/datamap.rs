//! The data map of what is stored, and the scanner that holds every record against it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use iassistance_domain::id::{ContactId, TenantId};
use iassistance_domain::map::{self, Basis, Category, Line, Said, Use, seen_in, unknown_in};
use iassistance_domain::privacy::Class;
use iassistance_vault::{KeyRef, Keyring, Place, subject_of};

use super::audit::entry_key;
use super::erasing::is_of_erased;
use super::keys::{
    self, AUDIT, AUDIT_ENTRY, AnyKind, CHANNEL, KINDS, SET_ASIDE, SUBJECT_KEY, TENANT, id_in, kind_of,
};
use super::space::{Page, Read, Result, Space, unseal};
use super::verify::vault_of;
use super::{Core, blocking};
use crate::content::label_shape;
use crate::error::StorageError;
use crate::keeping::{MapScan, MappedKind};

/// Records that are read at once, and their bytes.
const PAGE_ROWS: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;

const fn said(purpose: Use, basis: Basis, keep: Class) -> Said {
    Said { purpose, basis, keep }
}

/// What is said of the records that are one value, or none: they have no type of their own to say it at.
fn whole(code: u8) -> Option<(Category, Said)> {
    let deliver = |keep| said(Use::Deliver, Basis::Contract, keep);
    let sign_in = said(Use::SignIn, Basis::Contract, Class::Account);
    let operate = |keep| said(Use::Operate, Basis::Interest, keep);
    Some(match code {
        6 => (Category::Operational, deliver(Class::Message)),
        13 | 14 | 20 | 21 => (Category::Technical, deliver(Class::Mark)),
        22 => (Category::Setting, deliver(Class::Setting)),
        29..=31 => (Category::Money, said(Use::Operate, Basis::Contract, Class::Spending)),
        34 | 62 => (Category::Operational, operate(Class::Upkeep)),
        45 | 47 | 48 => (Category::Operational, said(Use::TenantView, Basis::Contract, Class::Webhook)),
        70 => (Category::Technical, operate(Class::Unrouted)),
        81..=83 | 88 | 89 | 91 => (Category::Id, sign_in),
        93..=95 => (Category::Id, said(Use::SignIn, Basis::Interest, Class::Access)),
        _ => return None,
    })
}

fn tree_of(code: u8) -> &'static str {
    match code {
        32 | 33 | 40..=42 | 49..=51 => "both",
        1..64 => "tenant",
        _ => "platform",
    }
}

/// Every kind with its fields. One that says nothing of a field has a line that says so: no build has one, for a
/// test holds that.
pub(crate) fn data_map() -> Vec<MappedKind> {
    let lines = |name: &'static str, shape: &map::Shape, whole| {
        map::lines(name, shape, whole).unwrap_or_else(|unsaid| {
            let said = said(Use::Operate, Basis::Interest, Class::Upkeep);
            let line = Line {
                path: format!("UNSAID {}", unsaid.0),
                category: Category::Content,
                purpose: said.purpose,
                basis: said.basis,
                class: said.keep,
            };
            vec![line]
        })
    };
    let mut kinds: Vec<MappedKind> = KINDS
        .iter()
        .map(|kind: &AnyKind| MappedKind {
            kind: kind.name,
            tree: tree_of(kind.code),
            fields: lines(kind.name, &(kind.shape)(), whole(kind.code)),
        })
        .collect();
    let key = (Category::Credential, said(Use::Deliver, Basis::Contract, Class::Contact));
    let aside = (Category::Content, said(Use::Operate, Basis::Interest, Class::Upkeep));
    kinds.push(MappedKind {
        kind: AUDIT_ENTRY.name,
        tree: "both",
        fields: lines(
            AUDIT_ENTRY.name,
            &<iassistance_domain::audit::AuditEntry as map::Mapped>::shape(),
            None,
        ),
    });
    for (kind, tree, whole) in [(SUBJECT_KEY.name, "tenant", key), (SET_ASIDE.name, "both", aside)] {
        kinds.push(MappedKind { kind, tree, fields: lines(kind, &map::Shape::Leaf, Some(whole)) });
    }
    kinds.push(MappedKind { kind: "file", tree: "files", fields: lines("file", &label_shape(), None) });
    kinds
}

impl Space {
    fn scan(&self, keyring: &Keyring, found: &mut MapScan) -> Result<()> {
        let mut last: Option<Vec<u8>> = None;
        loop {
            let (rows, end) = self.page(last.as_deref(), PAGE_ROWS, PAGE_BYTES)?;
            for (key, sealed) in &rows {
                self.scan_row(keyring, key, sealed, found)?;
            }
            match rows.last() {
                Some((key, _)) if !end => last = Some(key.to_vec()),
                _ => return Ok(()),
            }
        }
    }

    fn scan_row(&self, keyring: &Keyring, key: &[u8], sealed: &[u8], found: &mut MapScan) -> Result<()> {
        let code = key.first().copied().unwrap_or_default();
        let Some(kind) = kind_of(key) else {
            let name = keys::kind_name(key);
            if [SUBJECT_KEY.code, SET_ASIDE.code].contains(&code) {
                *found.kinds.entry(name).or_default() += 1;
            } else {
                found.unknown.insert(format!("kind {code}"));
            }
            return Ok(());
        };
        if is_of_erased(self, sealed)? {
            return Ok(());
        }
        let Some(plain) = self.plain(keyring, kind, key, sealed)? else {
            found.unreadable += 1;
            return Ok(());
        };
        found.take(kind.name, &(kind.shape)(), &plain);
        if code == AUDIT.code
            && let Ok(record) = serde_json::from_value::<iassistance_domain::audit::SealedAudit>(plain)
            && let Ok(entry) = self.try_open(AUDIT_ENTRY, entry_key(record.seq).bytes(), &record.sealed)
            && let Ok(entry) = serde_json::to_value(entry)
        {
            let shape = <iassistance_domain::audit::AuditEntry as map::Mapped>::shape();
            found.take(AUDIT_ENTRY.name, &shape, &entry);
        }
        Ok(())
    }

    /// The JSON of a record; nothing of one that does not open.
    fn plain(&self, keyring: &Keyring, kind: &AnyKind, key: &[u8], sealed: &[u8]) -> Result<Option<Value>> {
        let vault =
            if kind.code == CHANNEL.code { vault_of(self, keyring, key)? } else { self.vault.clone() };
        let subject = match subject_of(sealed).map(|contact: ContactId| self.subject_key(contact)).transpose()
        {
            Ok(subject) => subject,
            Err(StorageError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let key_ref = subject.as_deref().map_or(KeyRef::Tenant, KeyRef::Subject);
        let place = Place { tree: &self.name, key, schema: kind.schema };
        let Ok(opened) = unseal(&vault, place, key_ref, sealed) else { return Ok(None) };
        Ok(serde_json::from_slice(&opened.plaintext).ok())
    }
}

impl MapScan {
    fn take(&mut self, kind: &'static str, shape: &map::Shape, record: &Value) {
        self.records += 1;
        *self.kinds.entry(kind).or_default() += 1;
        self.unknown.extend(unknown_in(shape, record).into_iter().map(|path| format!("{kind}: {path}")));
        let mut seen = BTreeSet::new();
        seen_in(shape, record, |path| {
            seen.insert(format!("{kind}: {path}"));
        });
        self.seen.extend(seen);
    }
}

impl Core {
    pub(super) async fn scan_map(self: &Arc<Self>) -> Result<MapScan> {
        let (platform, keyring) = (Arc::clone(&self.platform), Arc::clone(&self.keyring));
        let mut found = blocking(move || {
            let mut found = MapScan::default();
            platform.scan(&keyring, &mut found)?;
            Ok(found)
        })
        .await?;
        let platform = Arc::clone(&self.platform);
        let tenants = blocking(move || platform.rows(TENANT.key().bytes(), Page::First, usize::MAX)).await?;
        for tenant in tenants.iter().filter_map(|(key, _)| id_in(key, 1)).map(TenantId::from_bytes) {
            let space = self.space(tenant).await?;
            let keyring = Arc::clone(&self.keyring);
            found = blocking(move || {
                space.scan(&keyring, &mut found)?;
                Ok(found)
            })
            .await?;
        }
        Ok(found)
    }
}
