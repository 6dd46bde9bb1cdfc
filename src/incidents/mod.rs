//! Incidents: opened with their clocks, looked up in the access and audit logs, told to each party with proof. While a
//! clock runs, whoever runs the platform is reminded: in the log, by a metric, and by mail where mail leaves.

mod drafts;
mod scope;

use std::sync::Arc;

use tokio::sync::Mutex;

use iassistance_actors::kernel::{Background, StillRunning};
use iassistance_config::PrivacySettings;
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::id::IncidentId;
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::{
    Incident, IncidentFacts, IncidentHours, IncidentProblem, Party, Suspect, Told,
};
use iassistance_domain::{Clock, Entropy, Pii, Timestamp};
use iassistance_identity::mail::Letter;
use iassistance_storage::{StorageError, Store};

use crate::identity::{Identity, recipient};

pub use drafts::{Draft, dossier, drafts};

/// How often the clocks are looked at, milliseconds.
const ROUND_MS: u64 = 15 * 60 * 1_000;
/// Incidents that are looked at in a round: the newest; older ones are closed, or long overdue and told of.
const LOOKED_AT: usize = 200;
/// Accounts among which owners are looked for.
const ACCOUNTS_MAX: usize = 1_000;

/// Why something about an incident was not done.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// There is no such incident.
    #[error("there is no such incident")]
    NoSuchIncident,
    /// It does not say what it must, or does not allow it.
    #[error(transparent)]
    Problem(#[from] IncidentProblem),
    /// A proof is missing.
    #[error("say what proves that they were told and where that is kept, in 1 to 1000 characters")]
    Proof,
    /// The store refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

type Result<T> = std::result::Result<T, IncidentError>;

/// What is known of an incident when it is opened, or after a while.
#[derive(Clone)]
pub struct NewIncident {
    /// What it is called.
    pub title: Pii<String>,
    /// When it was known.
    pub known_at: Timestamp,
    /// What may have been misused.
    pub suspects: Vec<Suspect>,
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What is known.
    pub facts: IncidentFacts,
}

/// Looks after incidents. Clones are the same.
#[derive(Clone)]
pub struct Incidents {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    hours: IncidentHours,
    /// One change at a time.
    changing: Arc<Mutex<()>>,
    background: Background,
}

impl Incidents {
    /// Of an open store.
    pub fn new(
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
        settings: &PrivacySettings,
    ) -> Self {
        let hours = settings.incident_hours;
        Self {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            hours: IncidentHours {
                meta: hours.meta,
                clients: hours.clients,
                authority: hours.authority,
                people: hours.people,
            },
            changing: Arc::default(),
            background: Background::new(),
        }
    }

    /// Looks at the clocks now and then.
    pub fn run(&self, identity: &Arc<Identity>) {
        let (own, identity) = (self.clone(), Arc::clone(identity));
        self.background.run("incidents.round", async move {
            loop {
                own.round(Some(&identity)).await;
                own.clock.sleep_millis(ROUND_MS).await;
            }
        });
    }

    /// Ends that.
    pub async fn stop(&self, limit_ms: u64) -> std::result::Result<(), StillRunning> {
        self.background.stop(&*self.clock, limit_ms).await
    }

    /// Opens an incident: its clocks run from when it was known.
    ///
    /// # Errors
    /// [`IncidentError`]
    pub async fn open(&self, new: NewIncident, by: Actor) -> Result<Incident> {
        let now = self.clock.now();
        let NewIncident { title, known_at, suspects, from, until, facts } = new;
        let incident = Incident {
            id: IncidentId::new(now, &*self.entropy),
            title,
            known_at,
            opened_at: now,
            opened_by: by,
            suspects,
            from,
            until,
            facts,
            scope: None,
            duties: Incident::duties(known_at, &self.hours),
            closed_at: None,
        };
        checked(&incident)?;
        self.keep(incident, by, "incident.opened").await
    }

    /// One incident.
    ///
    /// # Errors
    /// [`IncidentError`]
    pub async fn incident(&self, id: IncidentId) -> Result<Incident> {
        self.store.leaving().incident(id).await?.ok_or(IncidentError::NoSuchIncident)
    }

    /// Writes down what is known by now. The clocks stay as they are; what was looked up is looked up anew when it is
    /// asked for.
    ///
    /// # Errors
    /// [`IncidentError`]
    pub async fn amend(&self, id: IncidentId, new: NewIncident, by: Actor) -> Result<Incident> {
        let _one = self.changing.lock().await;
        let incident = self.open_one(id).await?;
        let NewIncident { title, known_at: _, suspects, from, until, facts } = new;
        let incident = Incident { title, suspects, from, until, facts, ..incident };
        checked(&incident)?;
        self.keep(incident, by, "incident.changed").await
    }

    /// Looks up in the logs whose data was reached, and writes it down.
    ///
    /// # Errors
    /// [`IncidentError`]
    pub async fn look_up(&self, id: IncidentId, by: Actor) -> Result<Incident> {
        let _one = self.changing.lock().await;
        let incident = self.open_one(id).await?;
        let scope = scope::read(&*self.store, &incident, self.clock.now()).await?;
        self.keep(Incident { scope: Some(scope), ..incident }, by, "incident.looked_up").await
    }

    /// Marks a party as told.
    ///
    /// # Errors
    /// [`IncidentError`]
    pub async fn tell(
        &self,
        id: IncidentId,
        party: Party,
        proof: Pii<String>,
        by: Actor,
    ) -> Result<Incident> {
        if !(1..=1_000).contains(&proof.reveal(Rights).trim().chars().count()) {
            return Err(IncidentError::Proof);
        }
        let _one = self.changing.lock().await;
        let mut incident = self.incident(id).await?;
        incident.tell(party, Told { at: self.clock.now(), by, proof })?;
        self.keep(incident, by, "incident.told").await
    }

    /// Closes it, once everybody was told.
    ///
    /// # Errors
    /// [`IncidentError`]
    pub async fn close(&self, id: IncidentId, by: Actor) -> Result<Incident> {
        let _one = self.changing.lock().await;
        let mut incident = self.incident(id).await?;
        incident.close(self.clock.now())?;
        self.keep(incident, by, "incident.closed").await
    }

    async fn open_one(&self, id: IncidentId) -> Result<Incident> {
        let incident = self.incident(id).await?;
        if incident.closed_at.is_some() { Err(IncidentProblem::Closed.into()) } else { Ok(incident) }
    }

    async fn keep(&self, incident: Incident, by: Actor, act: &str) -> Result<Incident> {
        let entry = AuditEntry::new(self.clock.now(), by, act).on(&incident.id);
        self.store.trail().append_audit(None, entry).await?;
        self.store.leaving().put_incident(incident.clone()).await?;
        Ok(incident)
    }

    /// Reminds of the clocks that came so far; says how many reminders there were.
    pub async fn round(&self, identity: Option<&Identity>) -> usize {
        let _one = self.changing.lock().await;
        let found = match self.store.leaving().incidents(None, LOOKED_AT).await {
            Ok(found) => found,
            Err(StorageError::Closed) => return 0,
            Err(error) => {
                tracing::warn!(%error, "the clocks of incidents could not be looked at; the next round tries again");
                return 0;
            }
        };
        let now = self.clock.now();
        let (mut said, mut overdue) = (0, 0_u32);
        for mut incident in found {
            let due = incident.remind(now);
            let is_late =
                |duty: &&iassistance_domain::privacy::Duty| duty.told.is_none() && duty.due_at <= now;
            if incident.closed_at.is_none() {
                overdue += u32::try_from(incident.duties.iter().filter(is_late).count()).unwrap_or(u32::MAX);
            }
            if due.is_empty() {
                continue;
            }
            for (party, share) in &due {
                let (incident, party) = (incident.id, party.name());
                tracing::warn!(%incident, party, share, "an incident's clock runs: somebody is still to be told");
                metrics::counter!("iassistance_incident_reminders_total", "party" => party).increment(1);
            }
            said += due.len();
            if let Some(identity) = identity {
                self.write(identity, &incident, &due).await;
            }
            if let Err(error) = self.store.leaving().put_incident(incident).await {
                tracing::warn!(%error, "a reminder could not be written down; it is said again");
            }
        }
        metrics::gauge!("iassistance_incident_duties_overdue").set(f64::from(overdue));
        said
    }

    async fn write(&self, identity: &Identity, incident: &Incident, due: &[(Party, u8)]) {
        let accounts = match self.store.people().accounts(None, ACCOUNTS_MAX, None).await {
            Ok(accounts) => accounts,
            Err(error) => return tracing::warn!(%error, "nobody could be reminded of an incident by mail"),
        };
        let link = identity.link("/platform/incidents", "");
        for owner in accounts.iter().filter(|account| account.owner && account.is_active()) {
            for (party, share) in due {
                let letter = Letter::IncidentClock {
                    incident: &incident.id.to_string(),
                    party: party.name(),
                    share: *share,
                    link: &link,
                };
                identity.write(&recipient(owner), &letter);
            }
        }
    }
}

fn checked(incident: &Incident) -> Result<()> {
    let chars = |text: &Pii<String>| text.reveal(Rights).chars().count();
    let longest = incident.facts.all().into_iter().map(|(_, text)| chars(text)).max().unwrap_or_default();
    Ok(incident.check(incident.title.reveal(Rights).trim().chars().count(), longest)?)
}
