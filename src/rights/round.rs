//! What the registrar does by the clock: looks for codes that come back, warns while the law's time passes, notes
//! which recipients have it, and lets go of what nobody proved.

use std::sync::PoisonError;

use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::audit::Actor;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{CaseId, DeliveryId, SubscriptionId, TenantId};
use iassistance_domain::privacy::rights::{CaseAct, RightsCase};
use iassistance_domain::subscription::DeliveryState;
use iassistance_domain::tenant::TenantCtx;
use iassistance_identity::mail::Letter;
use iassistance_storage::StorageError;
use iassistance_storage::rights::CaseCommit;

use super::recipients::WEBHOOK;
use super::{DAY_MS, MINUTE_MS, PAGE, Registrar, Result, RightsError};
use crate::identity::recipient;

/// How often it is looked whether something is due, milliseconds.
const ROUND_MS: u64 = 5 * MINUTE_MS;
/// How often it is looked whether a code came back, while one may, milliseconds.
const CODES_MS: u64 = 3_000;
/// Members of a tenant that are told by mail, at most.
const TOLD_MAX: usize = 200;

impl Registrar {
    /// Begins to look.
    pub fn run(&self) {
        let own = self.clone();
        self.0.background.run("rights.round", async move {
            own.remember().await;
            loop {
                own.round().await;
                own.0.clock.sleep_millis(ROUND_MS).await;
            }
        });
        let own = self.clone();
        self.0.background.run("rights.codes", async move {
            loop {
                if own.awaits_codes() {
                    own.look_for_codes().await;
                    own.0.clock.sleep_millis(CODES_MS).await;
                } else {
                    own.0.hurry.notified().await;
                }
            }
        });
    }

    /// Finds the cases that are not over, and the codes that may come back, at the start.
    pub async fn remember(&self) {
        let tenants = match self.0.store.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::warn!(%error, "what people asked about their data could not be looked up");
                return;
            }
        };
        for tenant in tenants {
            if let Err(error) = self.remember_of(tenant.id).await {
                tracing::warn!(tenant = %tenant.id, %error, "what people asked could not be looked up");
            }
        }
    }

    async fn remember_of(&self, tenant: TenantId) -> Result<()> {
        let mut before = None;
        loop {
            let cases = self.0.store.rights().cases(TenantCtx::platform(tenant), before, PAGE).await?;
            before = cases.last().map(|case| case.id);
            let waits = |case: &&RightsCase| case.state.is_open() || case.untold().next().is_some();
            let waiting: Vec<_> = cases.iter().filter(waits).map(|case| (tenant, case.id)).collect();
            self.0.open.lock().unwrap_or_else(PoisonError::into_inner).extend(waiting);
            for case in &cases {
                self.count_codes_of(tenant, case);
                if case.awaits_code(self.now()) {
                    self.await_code(tenant, case.id);
                }
            }
            if cases.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Looks once what is to be done.
    pub async fn round(&self) {
        let open: Vec<_> =
            self.0.open.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let mut late = 0_u32;
        for (tenant, case) in open {
            match self.look_at(tenant, case).await {
                Ok(is_late) => late += u32::from(is_late),
                Err(RightsError::NoSuchCase | RightsError::Storage(StorageError::NoSuchTenant(_))) => {
                    self.0.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, case));
                }
                Err(RightsError::Storage(StorageError::Closed)) => return,
                Err(error) => {
                    tracing::warn!(%tenant, %case, %error, "a case was not looked at; the next round tries again");
                }
            }
        }
        metrics::gauge!("iassistance_rights_overdue").set(f64::from(late));
        if let Err(error) = self.forget_intakes().await {
            tracing::warn!(%error, "old requests of the public page were not removed; the next round tries again");
        }
    }

    /// What is to be done about one case; whether it is overdue.
    async fn look_at(&self, tenant: TenantId, id: CaseId) -> Result<bool> {
        let _one = self.0.changing.lock().await;
        let mut case = self.case(tenant, id).await?;
        self.note_delivered(tenant, &mut case).await?;
        let now = self.now();
        if let Some(percent) = case.alert(now) {
            case.alerted = percent;
            let due = EventKind::RightsDue { case: id, right: case.kind, percent, due_at: case.due_at };
            self.keep(tenant, CaseCommit { case: case.clone(), amendment: None, events: vec![due] }).await?;
            case.revision += 1;
            metrics::counter!("iassistance_rights_alerts_total", "percent" => percent.to_string())
                .increment(1);
            let due_at = case.due_at.to_rfc3339();
            tracing::warn!(%tenant, case = %id, kind = case.kind.name(), percent, due_at, "a right is to be answered");
            self.write_to_admins(tenant, &case, percent).await?;
        }
        let lapses_at = case.received_at.plus_millis(u64::from(self.0.settings.unproven_days) * DAY_MS);
        if !case.is_verified() && case.state.is_open() && now >= lapses_at.max(case.due_at) {
            case.take(CaseAct::Lapse, Actor::Platform, now)?;
            self.commit(tenant, CaseCommit::new(case.clone())).await?;
        }
        Ok(case.state.is_open() && now > case.due_at)
    }

    /// The client's own systems that took the event have been told.
    async fn note_delivered(&self, tenant: TenantId, case: &mut RightsCase) -> Result<()> {
        if case.untold().next().is_none() {
            return Ok(());
        }
        let store = self.0.store.tenant(TenantCtx::platform(tenant)).await?;
        let mut changed = false;
        for told in case.told.iter_mut().filter(|told| told.told_at.is_none()) {
            let id = told.recipient.strip_prefix(WEBHOOK).and_then(|id| id.parse::<SubscriptionId>().ok());
            let event = told.proof.as_deref().and_then(|it| it.strip_prefix("event ")?.parse::<u64>().ok());
            let (Some(id), Some(event)) = (id, event) else { continue };
            let delivery = store.hooks().delivery(id, DeliveryId::of(id, event)).await?;
            if delivery.is_some_and(|delivery| delivery.state == DeliveryState::Delivered) {
                told.told_at = Some(self.now());
                changed = true;
            }
        }
        if changed {
            case.note(Actor::Platform, "recipient_told", self.now());
            *case = self.keep(tenant, CaseCommit::new(case.clone())).await?.0;
        }
        Ok(())
    }

    /// Writes to those who administer the tenant, where mails leave.
    async fn write_to_admins(&self, tenant: TenantId, case: &RightsCase, percent: u8) -> Result<()> {
        let Some(identity) = &self.0.identity else { return Ok(()) };
        let (people, place) = (self.0.store.people(), MemberOf::Tenant(tenant));
        let name = people.tenant_record(tenant).await?.map(|record| record.name).unwrap_or_default();
        let link = identity.link(&format!("/t/{tenant}/privacy"), "");
        let (id, due_at) = (case.id.to_string(), case.due_at.to_rfc3339());
        for member in people.accounts(None, TOLD_MAX, Some(place)).await? {
            let administers = member.membership(place).is_some_and(|it| it.role == Role::TenantAdmin);
            if member.is_active() && administers {
                let letter =
                    Letter::RightDue { tenant: &name, case: &id, percent, due_at: &due_at, link: &link };
                identity.write(&recipient(&member), &letter);
            }
        }
        Ok(())
    }
}
