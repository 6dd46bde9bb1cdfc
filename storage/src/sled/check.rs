//! The examination of a whole store: every record, in the order of keys, a page at a time.
//!
//! It runs beside everything else. What looks wrong in a page may be a write that came between two looks,
//! so it is looked at again in the writing thread, where nothing changes meanwhile, and mended there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, PoisonError};

use iassistance_domain::budget::{Cost, Day};
use iassistance_domain::id::{DocumentId, MediaId, TenantId};

use super::channels::load_directory;
use super::keys::{
    self, CLOSED, CONTACT, DOCUMENT, EVENT, Hash, META_APP, SET_ASIDE, SPENT_CONTACT, SPENT_DAY, TENANT,
    TOMBSTONE, TOMBSTONE_SINCE, UNROUTED, UNROUTED_SEEN, aside, id_in, kind_name, number_in,
};
use super::line::Urgency;
use super::people::{load_key_homes, load_tenants};
use super::quarantine::{Around, hex};
use super::space::{Page, Read, Result, Space};
use super::tx::Tx;
use super::verify::{Lookout, files_of, verify};
use super::{Core, blocking};
use crate::content::ContentStore;
use crate::error::StorageError;
use crate::findings::{Examination, Finding, Findings, Outcome, Problem, Progress};

/// Records that are read at once, and about as many bytes.
const PAGE_ROWS: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;
/// Records that one write looks at again.
const AGAIN_ROWS: usize = 64;
/// Hashes that are held to see whether two indexes agree; of more, one way is left out.
const HASHES_MAX: usize = 1_000_000;
/// How often something is read again that changes meanwhile.
const TRIES: usize = 3;

/// What is gathered on the way through a tree.
#[derive(Default)]
struct Walk {
    last: Option<Vec<u8>>,
    rows: u64,
    set_aside: u64,
    merged: HashSet<[u8; 16]>,
    unrouted: HashSet<Hash>,
    taken_back: Option<HashSet<Hash>>,
    event: Option<u64>,
    gaps: Vec<(u64, u64)>,
    documents: Vec<DocumentId>,
    on_contacts: BTreeMap<u64, Cost>,
}

/// What a page came to.
struct Seen {
    walk: Walk,
    suspects: Vec<Vec<u8>>,
    files: Vec<(Vec<u8>, MediaId)>,
    is_last: bool,
}

impl Core {
    /// Examines the store; see [`Store::examine`](crate::Store::examine).
    pub(super) async fn examine(
        self: &Arc<Self>,
        how: &Examination,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Findings> {
        self.writer.health()?;
        let mut found = Findings::default();
        if self.closings.end_is_lost(&self.platform)? {
            let problem = Problem::Disagrees {
                what: "file beside the database: the end of the log is lost".to_owned(),
            };
            let mut lost = finding(None, CLOSED.key().bytes(), problem);
            if how.repair {
                self.accept_end().await?;
                lost.outcome = Outcome::Mended;
            }
            found.push(lost);
        }
        let platform = Arc::clone(&self.platform);
        let rows = blocking(move || platform.rows(TENANT.key().bytes(), Page::First, usize::MAX)).await?;
        let tenants: Vec<_> =
            rows.iter().filter_map(|(key, _)| id_in(key, 1)).map(TenantId::from_bytes).collect();
        let at = |tenant: usize, records: u64| Progress { tenant, tenants: tenants.len(), records };
        self.examine_space(&self.platform, how, &mut found, &|records| progress(at(0, records))).await?;
        for (number, tenant) in tenants.iter().enumerate() {
            let tell = |records| progress(at(number + 1, records));
            match self.space(*tenant).await {
                Ok(space) => self.examine_space(&space, how, &mut found, &tell).await?,
                Err(StorageError::NoSuchTenant(_)) => {} // Told of where its record is.
                Err(StorageError::Damaged { kind }) => {
                    let problem = Problem::Missing { what: kind.to_owned() };
                    found.push(finding(None, keys::tenant(*tenant).bytes(), problem));
                }
                Err(error) => return Err(error),
            }
        }
        self.strays(&tenants, &mut found);
        if how.repair || how.put_back {
            self.reload().await?;
        }
        Ok(found)
    }

    async fn examine_space(
        &self,
        space: &Arc<Space>,
        how: &Examination,
        found: &mut Findings,
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        if how.put_back {
            found.put_back += self.put_all_back(space).await?;
        }
        let before = found.records;
        let mut walk = Walk::default();
        loop {
            let seen = self.page(space, walk, how.repair || how.put_back).await?;
            walk = seen.walk;
            found.records = before + walk.rows;
            let unread = self.look_again(space, &mut walk, &seen.suspects, how, found).await?;
            walk.rows -= unread;
            if let (Some(files), Some(tenant)) = (&how.files, space.id) {
                look_for_files(space, tenant, files, seen.files, found).await?;
            }
            found.records = before + walk.rows;
            tell(found.records);
            if seen.is_last {
                break;
            }
        }
        found.set_aside += walk.set_aside;
        let (reader, id) = (Arc::clone(space), space.id);
        let more = blocking(move || reader.sums_and_counts(&walk)).await?;
        for (key, problem) in more {
            found.push(finding(id, &key, problem));
        }
        Ok(())
    }

    /// Reads a page and says which of its records look wrong.
    async fn page(&self, space: &Arc<Space>, walk: Walk, mending: bool) -> Result<Seen> {
        let (space, platform, keyring) =
            (Arc::clone(space), Arc::clone(&self.platform), Arc::clone(&self.keyring));
        blocking(move || {
            let mut walk = walk;
            let (rows, is_last) = space.page(walk.last.as_deref(), PAGE_ROWS, PAGE_BYTES)?;
            let (mut suspects, mut files) = (Vec::new(), Vec::new());
            for (key, sealed) in &rows {
                space.note(&mut walk, key, sealed)?;
                let out = walk.lookout(&keyring, &platform, mending);
                if !verify(&*space, &out, key, sealed)?.is_empty() {
                    suspects.push(key.to_vec());
                }
                files.extend(files_of(&*space, key, sealed).into_iter().map(|id| (key.to_vec(), id)));
            }
            walk.last = rows.last().map(|(key, _)| key.to_vec()).or(walk.last);
            Ok(Seen { walk, suspects, files, is_last })
        })
        .await
    }

    /// Looks again at what looked wrong, where nothing changes meanwhile, and mends it if that is wanted.
    /// How many of them are no records that could be read.
    async fn look_again(
        &self,
        space: &Arc<Space>,
        walk: &mut Walk,
        suspects: &[Vec<u8>],
        how: &Examination,
        found: &mut Findings,
    ) -> Result<u64> {
        if suspects.is_empty() {
            return Ok(0);
        }
        self.gather_again(space, walk, suspects).await?;
        let held = Arc::new(std::mem::take(walk));
        let (mut unread, behind) = (0, hex(&[SET_ASIDE.code]));
        for some in suspects.chunks(AGAIN_ROWS) {
            let (some, walk) = (some.to_vec(), Arc::clone(&held));
            let (keyring, platform) = (Arc::clone(&self.keyring), Arc::clone(&self.platform));
            let around = Around { now: self.clock.now(), entropy: Arc::clone(&self.entropy) };
            let how = (how.repair, how.repair || how.put_back);
            let look = move |tx: &mut Tx<'_>| {
                let out = walk.lookout(&keyring, &platform, how.1);
                let mut findings = Vec::new();
                for key in &some {
                    findings.extend(look_at(tx, &out, &around, how, key)?);
                }
                Ok(findings)
            };
            for finding in self.writer.write_as(Urgency::Patient, space, look).await? {
                let is_unread = matches!(
                    finding.problem,
                    Problem::DoesNotOpen | Problem::Newer { .. } | Problem::Unknown
                );
                unread += u64::from(is_unread);
                // Those that the walk has not come to are counted when it does.
                let is_behind = finding.key.as_str() > behind.as_str();
                found.set_aside += u64::from(finding.outcome == Outcome::SetAside && is_behind);
                found.push(finding);
            }
        }
        // Each write has let go of it before it is answered.
        *walk = Arc::into_inner(held).ok_or(StorageError::Closed)?;
        Ok(unread)
    }

    /// What is compared with a whole index is compared with it as it is after the suspect was read: both
    /// are written at once, so that what is still there then and has no counterpart has none.
    async fn gather_again(&self, space: &Arc<Space>, walk: &mut Walk, suspects: &[Vec<u8>]) -> Result<()> {
        let of = |code: u8| suspects.iter().any(|key| key.first() == Some(&code));
        if of(UNROUTED_SEEN.code) {
            let reader = Arc::clone(space);
            let read = move || {
                let kept = reader.hashes(UNROUTED.key().bytes(), 9)?.unwrap_or_default();
                let aside = reader.hashes(&aside(UNROUTED.key().bytes()), 10)?.unwrap_or_default();
                Ok(&kept | &aside)
            };
            walk.unrouted = blocking(read).await?;
        }
        if of(TOMBSTONE.code) {
            let reader = Arc::clone(space);
            walk.taken_back = blocking(move || reader.hashes(TOMBSTONE_SINCE.key().bytes(), 9)).await?;
        }
        Ok(())
    }

    /// Puts everything back that opens now; how many that is.
    async fn put_all_back(&self, space: &Arc<Space>) -> Result<u64> {
        let (mut put_back, mut after) = (0, None::<Vec<u8>>);
        loop {
            let (reader, from) = (Arc::clone(space), after.clone());
            let rows = blocking(move || {
                let page = from.as_deref().map_or(Page::First, Page::After);
                reader.rows(&[SET_ASIDE.code], page, AGAIN_ROWS)
            })
            .await?;
            let Some((last, _)) = rows.last() else { return Ok(put_back) };
            after = Some(last.to_vec());
            let (keyring, now) = (Arc::clone(&self.keyring), self.clock.now());
            let put = move |tx: &mut Tx<'_>| {
                let mut count = 0;
                for (key, _) in &rows {
                    count += u64::from(tx.put_back(&keyring, &key[1..], now)?);
                }
                Ok(count)
            };
            put_back += self.writer.write_as(Urgency::Patient, space, put).await?;
        }
    }

    /// Trees that no tenant has: a crash while one was created leaves them.
    fn strays(&self, tenants: &[TenantId], found: &mut Findings) {
        let known: BTreeSet<_> = tenants.iter().map(|tenant| tenant.to_bytes()).collect();
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        let ids = trees.iter().filter_map(|name| <[u8; 16]>::try_from(&name[..]).ok());
        for id in ids.filter(|id| !known.contains(id)) {
            let key = keys::tenant(TenantId::from_bytes(id));
            found.push(finding(None, key.bytes(), Problem::Leftover));
        }
    }

    /// What is held in memory of the platform's records is read anew.
    async fn reload(&self) -> Result<()> {
        let (directory, apps) = (Arc::clone(&self.directory), Arc::clone(&self.meta_apps));
        let (tenants, homes) = (Arc::clone(&self.tenant_records), Arc::clone(&self.key_homes));
        let (platform, keyring) = (Arc::clone(&self.platform), Arc::clone(&self.keyring));
        let reload = move |tx: &mut Tx<'_>| {
            // Once all writes before this one are applied, and in the thread that makes the next.
            tx.afterwards.push(Box::new(move || {
                match load_directory(&platform, &keyring) {
                    Ok(loaded) => *directory.write().unwrap_or_else(PoisonError::into_inner) = loaded,
                    Err(error) => tracing::error!(%error, "the channels could not be read anew"),
                }
                match platform.list(&META_APP.key(), Page::First, usize::MAX) {
                    Ok(loaded) => {
                        let loaded = loaded.into_iter().map(|(_, app)| (app.id, app)).collect();
                        *apps.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                    }
                    Err(error) => tracing::error!(%error, "the Meta apps could not be read anew"),
                }
                match load_tenants(&platform) {
                    Ok(loaded) => *tenants.write().unwrap_or_else(PoisonError::into_inner) = loaded,
                    Err(error) => tracing::error!(%error, "the tenants could not be read anew"),
                }
                match load_key_homes(&platform) {
                    Ok(loaded) => *homes.write().unwrap_or_else(PoisonError::into_inner) = loaded,
                    Err(error) => tracing::error!(%error, "the API keys could not be read anew"),
                }
            }));
            Ok(())
        };
        self.writer.write(&self.platform, reload).await
    }
}

/// Looks at one record in a write, and mends it: `how` says whether records may be set aside, and
/// whether indexes may be made anew.
fn look_at(
    tx: &mut Tx<'_>,
    out: &Lookout<'_>,
    around: &Around,
    how: (bool, bool),
    key: &[u8],
) -> Result<Vec<Finding>> {
    let Some(sealed) = tx.sealed(key)? else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    for trouble in verify(tx, out, key, &sealed)? {
        let sets_aside = matches!(trouble.mend, super::verify::Mend::SetAside);
        let may = if sets_aside { how.0 } else { how.1 };
        let outcome = if may { tx.mend(around, key, trouble.mend)? } else { Outcome::Left };
        findings.push(Finding { outcome, ..finding(tx.space.id, key, trouble.problem) });
        if outcome == Outcome::SetAside {
            break;
        }
    }
    Ok(findings)
}

async fn look_for_files(
    space: &Arc<Space>,
    tenant: TenantId,
    files: &ContentStore,
    named: Vec<(Vec<u8>, MediaId)>,
    found: &mut Findings,
) -> Result<()> {
    let failed = |error: crate::content::ContentError| StorageError::Disk {
        doing: "looking for the files of messages",
        reason: error.to_string(),
    };
    for (key, id) in named {
        if files.has(tenant, id).await.map_err(failed)? {
            continue;
        }
        // It may have been taken back since: then nothing names it any more.
        let names = space.sealed(&key)?.is_some_and(|sealed| files_of(&**space, &key, &sealed).contains(&id));
        if names {
            found.push(finding(space.id, &key, Problem::Missing { what: "file".to_owned() }));
        }
    }
    Ok(())
}

impl Walk {
    fn lookout<'a>(
        &'a self,
        keyring: &'a iassistance_vault::Keyring,
        platform: &'a Space,
        mending: bool,
    ) -> Lookout<'a> {
        let (merged, unrouted) = (&self.merged, &self.unrouted);
        Lookout { keyring, platform, mending, merged, unrouted, taken_back: self.taken_back.as_ref() }
    }
}

impl Space {
    /// Notes what only shows when many records have been seen.
    fn note(&self, walk: &mut Walk, key: &[u8], sealed: &[u8]) -> Result<()> {
        let Some(&code) = key.first() else { return Ok(()) };
        if code == SET_ASIDE.code {
            walk.set_aside += 1;
            if key.get(1) == Some(&UNROUTED.code) {
                walk.unrouted.extend(id_in(key, 10));
            }
            return Ok(());
        }
        walk.rows += 1;
        match code {
            _ if code == CONTACT.code => {
                if let Ok(contact) = self.try_open(CONTACT, key, sealed) {
                    walk.merged.extend(contact.merged.iter().map(|id| id.to_bytes()));
                }
            }
            _ if code == EVENT.code => {
                let (seq, last) = (number_in(key, 1).unwrap_or_default(), walk.event);
                if let Some(last) = last.filter(|last| last + 1 < seq) {
                    walk.gaps.push((last + 1, seq - 1));
                }
                walk.event = Some(seq);
            }
            _ if code == TOMBSTONE.code && walk.taken_back.is_none() => {
                walk.taken_back = self.hashes(TOMBSTONE_SINCE.key().bytes(), 9)?;
            }
            _ if code == UNROUTED.code => walk.unrouted.extend(id_in(key, 9)),
            _ if code == DOCUMENT.code => walk.documents.extend(id_in(key, 1).map(DocumentId::from_bytes)),
            _ if code == SPENT_CONTACT.code => {
                if let (Some(day), Ok(spent)) = (number_in(key, 1), self.try_open(SPENT_CONTACT, key, sealed))
                {
                    let sum = walk.on_contacts.entry(day).or_default();
                    *sum = sum.plus(spent);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The hashes that stand at a place in the keys of some records; nothing when they are too many.
    fn hashes(&self, prefix: &[u8], at: usize) -> Result<Option<HashSet<Hash>>> {
        let mut hashes = HashSet::new();
        let mut last: Option<Vec<u8>> = None;
        loop {
            let rows = self.rows(prefix, last.as_deref().map_or(Page::First, Page::After), PAGE_ROWS)?;
            hashes.extend(rows.iter().filter_map(|(key, _)| id_in(key, at)));
            if hashes.len() > HASHES_MAX {
                return Ok(None);
            }
            if rows.len() < PAGE_ROWS {
                return Ok(Some(hashes));
            }
            last = rows.last().map(|(key, _)| key.to_vec());
        }
    }

    /// What does not come out even.
    fn sums_and_counts(&self, walk: &Walk) -> Result<Vec<(Vec<u8>, Problem)>> {
        let mut troubles = Vec::new();
        let mut tell = |key: &[u8], what: &str| {
            troubles.push((key.to_vec(), Problem::Disagrees { what: what.to_owned() }));
        };
        for (from, to) in &walk.gaps {
            for seq in *from..=*to {
                let key = keys::event(seq);
                if !self.has(&key)? && self.sealed(&aside(key.bytes()))?.is_none() {
                    // One line for the whole gap.
                    tell(key.bytes(), "successor in the log");
                    break;
                }
            }
        }
        for document in &walk.documents {
            if self.lacks_passages(*document)? {
                tell(keys::document(*document).bytes(), "number of passages");
            }
        }
        for day in walk.on_contacts.keys() {
            if self.day_is_short(Day(*day))? {
                tell(keys::spent(Day(*day)).bytes(), "contacts' sums");
            }
        }
        let (counted, real) = self.counted()?;
        for (counted, is, kind) in [
            (counted.letters, real.letters, keys::INBOX.code),
            (counted.parked, real.parked, keys::PARKED_SINCE.code),
            (counted.unrouted, real.unrouted, UNROUTED.code),
            (counted.event, real.event, EVENT.code),
        ] {
            if counted != is {
                tell(&[kind], "count");
            }
        }
        Ok(troubles)
    }

    /// Whether a document has not as many passages as it says, while nothing changes it.
    fn lacks_passages(&self, id: DocumentId) -> Result<bool> {
        let key = keys::document(id);
        for _ in 0..TRIES {
            let counted = |space: &Self| -> Result<_> {
                let Some(sealed) = space.sealed(key.bytes())? else { return Ok(None) };
                Ok(space.try_open(DOCUMENT, key.bytes(), &sealed).ok().and_then(|stored| stored.counted()))
            };
            let Some((edition, passages)) = counted(self)? else { return Ok(false) };
            let prefix = keys::passages(id).number(edition);
            let found = self.count_rows(prefix.bytes())? + self.count_rows(&aside(prefix.bytes()))?;
            if counted(self)? == Some((edition, passages)) {
                return Ok(found != passages);
            }
        }
        Ok(false)
    }

    fn count_rows(&self, prefix: &[u8]) -> Result<usize> {
        const ROWS: usize = 64;
        let (mut rows, mut last) = (0, None::<Vec<u8>>);
        loop {
            let page = self.rows(prefix, last.as_deref().map_or(Page::First, Page::After), ROWS)?;
            rows += page.len();
            if page.len() < ROWS {
                return Ok(rows);
            }
            last = page.last().map(|(key, _)| key.to_vec());
        }
    }

    /// Whether more was spent on contacts in a day than by the tenant, while nothing changes.
    fn day_is_short(&self, day: Day) -> Result<bool> {
        let key = keys::spent(day);
        let spent = |space: &Self| -> Result<_> {
            let Some(sealed) = space.sealed(key.bytes())? else { return Ok(None) };
            Ok(space.try_open(SPENT_DAY, key.bytes(), &sealed).ok())
        };
        for _ in 0..TRIES {
            let Some(before) = spent(self)? else { return Ok(false) };
            let (mut sum, mut last) = (Cost::default(), None::<Vec<u8>>);
            loop {
                let page = last.as_deref().map_or(Page::First, Page::After);
                let rows = self.rows(SPENT_CONTACT.key().number(day.0).bytes(), page, PAGE_ROWS)?;
                for (key, sealed) in &rows {
                    sum = sum.plus(self.try_open(SPENT_CONTACT, key, sealed).unwrap_or_default());
                }
                if rows.len() < PAGE_ROWS {
                    break;
                }
                last = rows.last().map(|(key, _)| key.to_vec());
            }
            if spent(self)? == Some(before) {
                return Ok(sum > before);
            }
        }
        Ok(false)
    }
}

fn finding(tenant: Option<TenantId>, key: &[u8], problem: Problem) -> Finding {
    Finding { tenant, kind: kind_name(key).to_owned(), key: hex(key), problem, outcome: Outcome::Left }
}
