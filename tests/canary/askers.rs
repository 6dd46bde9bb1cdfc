//! Who asks, and what they may see: told from who they are in the store, not from what the server lets them.

use std::collections::BTreeSet;

use iassistance::app::App;
use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::agency::AgencyState;
use iassistance_domain::id::{AccountId, AgencyId, ApiKeyId, TenantId};
use iassistance_domain::key::Scope;
use iassistance_domain::tenant::TenantCtx;

use crate::marks::{Mark, Sort};

pub const TENANTS: u8 = 20;
/// The numbers of what else has canaries: agencies, from here on.
pub const AGENCIES: u8 = 20;
pub const AGENCIES_COUNT: u8 = 4;
/// What all see who set things up: Meta apps.
pub const SHARED: u8 = 30;
/// What the platform's owners alone see.
pub const OWNERS: u8 = 31;
/// What nobody sees: written by who has no credential.
pub const NOBODY: u8 = 32;
/// People of two tenants, from here on.
pub const JOINT: u8 = 40;
/// The tenants of each of them.
pub const JOINTS: [[u8; 2]; 2] = [[2, 13], [5, 18]];

/// What somebody is known by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Nobody,
    Account(AccountId),
    Key(ApiKeyId),
}

/// Somebody who asks.
#[derive(Clone)]
pub struct Asker {
    pub known: Known,
    /// What they are, for who reads of a failure.
    pub name: String,
    /// Whose what they write is where they do not belong.
    pub home: u8,
    /// The tenants where they belong.
    pub tenants: Vec<u8>,
    /// What they send along.
    pub credential: String,
}

/// What somebody may see.
#[derive(Debug, Default)]
pub struct View {
    set_up: BTreeSet<u8>,
    content: BTreeSet<u8>,
}

impl View {
    pub fn sees(&self, mark: Mark) -> bool {
        match mark.sort {
            Sort::SetUp => self.set_up.contains(&mark.owner),
            Sort::Content => self.content.contains(&mark.owner),
        }
    }

    fn both(&mut self, owner: u8) {
        self.set_up.insert(owner);
        self.content.insert(owner);
    }

    /// What it was and what it is: an act may change it.
    pub fn or(mut self, other: Self) -> Self {
        self.set_up.extend(other.set_up);
        self.content.extend(other.content);
        self
    }
}

/// The numbers of tenants and agencies.
pub struct Places {
    pub tenants: Vec<TenantId>,
    pub agencies: Vec<AgencyId>,
}

impl Places {
    fn number(&self, tenant: TenantId) -> Option<u8> {
        let place = self.tenants.iter().position(|id| *id == tenant)?;
        u8::try_from(place).ok()
    }

    /// What somebody may see at this moment.
    pub async fn view(&self, app: &App, asker: &Asker) -> View {
        let mut view = View::default();
        view.set_up.insert(asker.home);
        match asker.known {
            Known::Nobody => view.both(NOBODY),
            Known::Key(id) => self.of_key(app, id, &mut view).await,
            Known::Account(id) => self.of_person(app, id, &mut view).await,
        }
        for (place, tenants) in (JOINT..).zip(JOINTS) {
            if tenants.iter().any(|tenant| view.set_up.contains(tenant)) {
                view.set_up.insert(place);
            }
        }
        view
    }

    async fn of_key(&self, app: &App, id: ApiKeyId, view: &mut View) {
        let Some(key) = app.store.api_key(id).await.unwrap() else { return };
        match key.tenant.map(|tenant| self.number(tenant)) {
            Some(Some(own)) => {
                view.set_up.insert(own);
                if key.scopes.contains(&Scope::Read) {
                    view.content.insert(own);
                }
            }
            Some(None) => {}
            // Agencies name the tenants that they make, and the platform's key lists all of them.
            None => {
                view.set_up.extend((0..TENANTS).chain(AGENCIES..AGENCIES + AGENCIES_COUNT).chain([SHARED]));
            }
        }
    }

    async fn of_person(&self, app: &App, id: AccountId, view: &mut View) {
        let people = app.store.people();
        let Some(account) = people.account(id).await.unwrap() else { return };
        if account.owner {
            view.set_up.extend(0..=u8::MAX);
            let now = app.engine.clock().now();
            for (number, tenant) in (0..TENANTS).zip(&self.tenants) {
                let looks = people.break_glasses(TenantCtx::platform(*tenant), None, 50).await.unwrap();
                if looks.iter().any(|look| look.is_open(id, now)) {
                    view.content.insert(number);
                }
            }
        }
        for membership in &account.memberships {
            match membership.of {
                MemberOf::Tenant(tenant) => {
                    let Some(own) = self.number(tenant) else { continue };
                    view.set_up.extend([own]);
                    if membership.role != Role::Viewer {
                        view.content.insert(own);
                    }
                    if membership.role == Role::TenantAdmin {
                        view.set_up.insert(SHARED);
                    }
                }
                MemberOf::Agency(agency) => self.of_agency(app, agency, view).await,
            }
        }
    }

    async fn of_agency(&self, app: &App, agency: AgencyId, view: &mut View) {
        let people = app.store.people();
        let state = people.agency(agency).await.unwrap().map(|agency| agency.state);
        if state != Some(AgencyState::Active) {
            return;
        }
        let number = (AGENCIES..).zip(&self.agencies).find(|(_, id)| **id == agency);
        view.set_up.extend(number.map(|(number, _)| number).into_iter().chain([SHARED]));
        for (number, tenant) in (0..TENANTS).zip(&self.tenants) {
            let record = people.tenant_record(*tenant).await.unwrap().unwrap();
            if record.agency == Some(agency) {
                view.set_up.insert(number);
                if record.agency_reads {
                    view.content.insert(number);
                }
            }
        }
    }
}
