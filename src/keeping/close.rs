//! The end of a tenant: destruction, with a certificate.

use iassistance_domain::account::MemberOf;
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::id::TenantId;
use iassistance_domain::privacy::{
    CertificateOf, DestructionCertificate, How, Place, Receipt, Remainder, Remains,
};
use iassistance_domain::tenant::{Tenant, TenantState};
use iassistance_storage::StorageError;

use super::{DAY_MS, Keeper, KeepingError, Result};
use crate::erasures::Erased;

/// Accounts that are looked at at once.
const PAGE: usize = 200;

impl Keeper {
    /// Destroys all that there is of a tenant, and certifies it: its records and files, what the platform has of
    /// it, and its keys. Its people's accounts stay, without belonging to it.
    ///
    /// # Errors
    /// [`KeepingError::Held`] while a legal hold keeps anything of it, [`KeepingError::Busy`], and what the store,
    /// the files or the list say: then it goes on in the next round.
    pub async fn destroy_tenant(
        &self,
        tenant: TenantId,
        by: Actor,
        export_sha256: Option<String>,
    ) -> Result<DestructionCertificate> {
        let known = self.0.store.keeping().certificate(tenant).await?;
        let record = self.0.store.people().tenant_record(tenant).await?;
        let certificate = match (known, record) {
            (Some(known), None) if matches!(known.state, CertificateOf::Done { .. }) => return Ok(known),
            (Some(known), _) if matches!(known.state, CertificateOf::Begun { .. }) => known,
            (_, None) => return Err(StorageError::NoSuchTenant(tenant).into()),
            (_, Some(record)) => {
                if let Some(hold) = self.holds_in_force(tenant).await?.first() {
                    return Err(KeepingError::Held(hold.id));
                }
                DestructionCertificate {
                    tenant,
                    closed_at: closed_at(&record),
                    export_sha256,
                    by,
                    state: CertificateOf::Begun { at: self.now() },
                    receipt: Receipt::default(),
                    note: None,
                }
            }
        };
        let entry = AuditEntry::new(self.now(), by, "tenant.destroyed").on(&tenant);
        self.0.store.trail().append_audit(None, entry).await?;
        self.0.store.keeping().put_certificate(certificate.clone()).await?;
        self.go_on_ending(certificate).await
    }

    async fn go_on_ending(&self, mut certificate: DestructionCertificate) -> Result<DestructionCertificate> {
        let tenant = certificate.tenant;
        let _one = self.0.doing.lock().await;
        self.write_down(vec![Erased { tenant, contact: None, keep: Vec::new(), refused: None }]).await?;
        let held = match &self.0.engine {
            Some(engine) => {
                Some(engine.hold_tenant(tenant, self.0.aside_ms).await.ok_or(KeepingError::Busy)?)
            }
            None => None,
        };
        let files = self.0.content.delete_of_tenant(tenant).await?;
        self.let_its_people_go(tenant).await?;
        let counts = self.0.store.keeping().destroy_tenant(tenant).await?;
        drop(held);
        for (place, count) in counts {
            let how = if place == Place::TenantKeys { How::Shredded } else { How::Removed };
            certificate.receipt.add(place, how, count);
        }
        certificate.receipt.add(Place::Files, How::Removed, files);
        let now = self.now();
        certificate.receipt.remains = self.remains_of_tenant();
        certificate.state = CertificateOf::Done { at: now, finality: self.0.finality };
        let text =
            serde_json::to_string(&certificate).map_err(|error| KeepingError::Export(error.to_string()))?;
        let signer = self.0.keyring.note_signer()?;
        certificate.note = Some(signer.sign(&format!("iassistance/destruction\n{text}\n")));
        self.0.store.keeping().put_certificate(certificate.clone()).await?;
        tracing::info!(%tenant, "a tenant was destroyed");
        Ok(certificate)
    }

    fn remains_of_tenant(&self) -> Vec<Remains> {
        let mut remains = vec![Remains { what: Remainder::Ids, until: None }];
        if self.0.has_backups {
            remains.push(Remains { what: Remainder::Backups, until: None });
        }
        if self.0.copies.days() > 0 {
            let until = self.now().plus_millis(self.0.copies.days() * DAY_MS);
            remains.push(Remains { what: Remainder::KeyCopies, until: Some(until) });
        }
        remains
    }

    /// Nobody belongs to it any more.
    async fn let_its_people_go(&self, tenant: TenantId) -> Result<()> {
        let (people, place) = (self.0.store.people(), MemberOf::Tenant(tenant));
        loop {
            let accounts = people.accounts(None, PAGE, Some(place)).await?;
            if accounts.is_empty() {
                return Ok(());
            }
            for mut account in accounts {
                let revision = account.revision;
                account.memberships.retain(|membership| membership.of != place);
                people.put_account(account, revision).await?;
            }
        }
    }

    /// Endings that were interrupted go on.
    pub(super) async fn go_on_with_endings(&self) {
        let begun = match self.0.store.keeping().certificates().await {
            Ok(certificates) => certificates,
            Err(StorageError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "certificates could not be read; the next round tries again");
                return;
            }
        };
        for certificate in begun.into_iter().filter(|it| matches!(it.state, CertificateOf::Begun { .. })) {
            let tenant = certificate.tenant;
            if let Err(error) = self.go_on_ending(certificate).await {
                tracing::warn!(%tenant, %error, "a tenant was not destroyed to the end; the next round goes on");
            }
        }
    }

    /// A tenant that was closed long enough ago goes.
    pub(super) async fn destroy_if_due(&self, tenant: &Tenant) -> Result<()> {
        let Some(since) = closed_at(tenant) else { return Ok(()) };
        if self.now() < since.plus_millis(self.0.closed_days * DAY_MS) {
            return Ok(());
        }
        match self.destroy_tenant(tenant.id, Actor::Platform, None).await {
            Ok(_) => Ok(()),
            Err(KeepingError::Held(hold)) => {
                tracing::info!(tenant = %tenant.id, %hold, "a closed tenant stays, for a legal hold");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// A backup brought a tenant back that was destroyed: its keys are gone, and so is the rest now.
    pub(super) async fn destroy_again(&self, tenant: TenantId) -> Result<()> {
        self.let_its_people_go(tenant).await?;
        self.0.content.delete_of_tenant(tenant).await?;
        self.0.store.keeping().destroy_tenant(tenant).await?;
        Ok(())
    }
}

const fn closed_at(tenant: &Tenant) -> Option<iassistance_domain::Timestamp> {
    match tenant.state {
        TenantState::Closed { since } => Some(since),
        _ => None,
    }
}
