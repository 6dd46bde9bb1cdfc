//! The public way in: whoever asks for whomever gets the same answer in the same time. What a request costs before it
//! is answered is one look-up in memory, one read and one write, whether anybody is known by it or not; the rest is
//! done after that.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use iassistance_config::RightsSettings;
use iassistance_domain::account::Language;
use iassistance_domain::audit::Actor;
use iassistance_domain::channel::{Channel, ChannelKind, Connection};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::id::{ChannelId, ContactId, IntakeId, TenantId};
use iassistance_domain::privacy::rights::{Intake, Opened, Proof, Proven, RightKind, RightsCase, Tried};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Pii, Timestamp};
use iassistance_vault::same;
use zeroize::Zeroizing;

use super::{DAY_MS, MINUTE_MS, Registrar, Result, RightsError};

const HOUR_MS: u64 = 60 * MINUTE_MS;
const TOKEN_LABEL: &str = "rights-token";
const TOKEN_BYTES: usize = 32;
/// How long which channels there are is remembered, milliseconds.
const CHANNELS_MS: u64 = MINUTE_MS;
/// A number as people dial it has so many digits.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 6..=18;
/// A request that nobody proved is shown for so long, milliseconds.
const UNPROVEN_MS: u64 = DAY_MS;
/// Any request is shown for so long, milliseconds.
const SHOWN_MS: u64 = 180 * DAY_MS;
/// What a person says of their request, characters.
pub const STATEMENT_CHARS_MAX: usize = 2_000;

/// What somebody asks for on the page.
pub struct Asking {
    /// What.
    pub kind: RightKind,
    /// On which product they write with the business.
    pub product: ChannelKind,
    /// The business: its number, its page's or account's name or id.
    pub business: Pii<String>,
    /// They themselves: their number, or their id there.
    pub person: Pii<String>,
    /// In which language they are written to.
    pub language: Language,
}

/// A request, as the page shows it.
pub struct Entered {
    /// The request.
    pub intake: Intake,
    /// Its case, for the one who proved who they are alone.
    pub case: Option<RightsCase>,
}

/// How many come in, and which channels there are.
pub struct Door {
    per_hour: u32,
    clock: Arc<dyn Clock>,
    hour: std::sync::Mutex<(Timestamp, u32)>,
    channels: tokio::sync::Mutex<Option<(Timestamp, Channels)>>,
}

/// Whose channel a name or number stands for; nothing for one that several have.
type Channels = Arc<BTreeMap<(ChannelKind, String), Option<(TenantId, ChannelId)>>>;

impl Door {
    /// Nobody came in.
    pub(super) fn new(settings: &RightsSettings, clock: &Arc<dyn Clock>) -> Self {
        Self {
            per_hour: settings.page_per_hour,
            clock: Arc::clone(clock),
            hour: std::sync::Mutex::default(),
            channels: tokio::sync::Mutex::default(),
        }
    }

    /// Whether one more may come in in this hour.
    fn admits(&self) -> bool {
        let now = self.clock.now();
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        if now.millis_since(hour.0) >= HOUR_MS {
            *hour = (now, 0);
        }
        hour.1 += 1;
        hour.1 <= self.per_hour
    }
}

impl Registrar {
    /// Takes a request. Nothing where too many came in in this hour.
    ///
    /// # Errors
    /// What the store says.
    pub async fn enter(&self, asking: Asking) -> Result<Option<IntakeId>> {
        if !self.0.door.admits() {
            metrics::counter!("iassistance_limited_total", "limit" => "rights_page").increment(1);
            return Ok(None);
        }
        let named = self.named(&asking).await?;
        let (now, code) = (self.now(), self.new_code());
        let id = IntakeId::new(now, &*self.0.entropy);
        let intake = Intake {
            id,
            kind: asking.kind,
            at: now,
            due_at: self.0.law.due(&self.0.settings.law, asking.kind, now).at,
            tenant: named.map(|(tenant, ..)| tenant),
            channel: named.map(|(_, channel, _)| channel),
            contact: named.and_then(|(.., contact)| contact),
            case: None,
            challenge: self.challenge(&id.to_string(), &code),
            proven: None,
        };
        self.0.store.rights().put_intake(intake.clone()).await?;
        let own = self.clone();
        let language = asking.language;
        self.0.background.spawn("rights.intake", async move {
            if let Err(error) = own.take_up(intake, code, language).await {
                // Whoever asked is not told: it would tell that somebody is known.
                tracing::info!(request = %id, %error, "a request of the public page led to no code");
            }
        });
        Ok(Some(id))
    }

    /// Opens the case that a request is about, or goes on with one that waits for the same, and sends its code.
    async fn take_up(&self, intake: Intake, code: Zeroizing<String>, language: Language) -> Result<()> {
        let case = match (intake.tenant, intake.contact) {
            (Some(tenant), Some(contact)) => Some((tenant, self.case_for(&intake, tenant, contact).await?)),
            _ => None,
        };
        {
            // For whoever it is: a try that comes meanwhile waits as long.
            let _one = self.0.trying.lock().await;
            // Its tries may have begun.
            let mut known = self.0.store.rights().intake(intake.id).await?.unwrap_or(intake);
            known.case = case.as_ref().map(|(_, case)| case.id);
            self.0.store.rights().put_intake(known).await?;
        }
        let Some((tenant, case)) = case else { return Ok(()) };
        let _one = self.0.changing.lock().await;
        if case.verified_at.is_none() {
            self.send_this_code(tenant, case, Actor::Platform, &code, language).await?;
        } else {
            self.send_in(tenant, case, &code, language).await?;
        }
        Ok(())
    }

    async fn case_for(&self, intake: &Intake, tenant: TenantId, contact: ContactId) -> Result<RightsCase> {
        let _one = self.0.changing.lock().await;
        if let Some(case) = self.waiting(tenant, contact, intake.kind).await? {
            return Ok(case);
        }
        let opened = Opened::Page { intake: intake.id };
        self.audit(tenant, Actor::Platform, "rights.opened", &contact).await?;
        self.open_at(tenant, contact, intake.kind, opened, intake.at, Actor::Platform).await
    }

    /// A case of this person and kind that came by the page and is not over.
    async fn waiting(
        &self,
        tenant: TenantId,
        contact: ContactId,
        kind: RightKind,
    ) -> Result<Option<RightsCase>> {
        let open: Vec<_> = {
            let open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.iter().filter(|(of, _)| *of == tenant).map(|(_, case)| *case).collect()
        };
        for id in open {
            let case = self.case(tenant, id).await?;
            let by_page = matches!(case.opened, Opened::Page { .. });
            if by_page && case.state.is_open() && case.contact == contact && case.kind == kind {
                return Ok(Some(case));
            }
        }
        Ok(None)
    }

    /// Takes a try of a request's code: the token that lets whoever gave the right one in. It takes as long whether
    /// anybody is known by the request or not.
    ///
    /// # Errors
    /// What the store says.
    pub async fn try_code(&self, id: IntakeId, code: &str) -> Result<Option<Zeroizing<String>>> {
        let one = self.0.trying.lock().await;
        let known = self.0.store.rights().intake(id).await?;
        let Some(mut intake) = known.filter(|intake| self.is_shown(intake)) else { return Ok(None) };
        let now = self.now();
        let given: String = code.chars().filter(|it| !it.is_whitespace()).collect();
        let tried = intake.challenge.take(&self.code_hash(&id.to_string(), &given), now, same);
        let token = self.new_token();
        let is_right = tried == Tried::Right && intake.case.is_some();
        if is_right {
            let until = now.plus_millis(u64::from(self.0.settings.link_minutes) * MINUTE_MS);
            intake.proven = Some(Proven { hash: self.token_hash(&token), until });
        }
        self.0.store.rights().put_intake(intake.clone()).await?;
        drop(one);
        let (true, Some(tenant), Some(case)) = (is_right, intake.tenant, intake.case) else {
            return Ok(None);
        };
        let _one = self.0.changing.lock().await;
        let case = self.case(tenant, case).await?;
        if case.verified_at.is_none() && case.state.is_open() {
            self.verify(tenant, case, Proof::Code { on_page: true }, Actor::Platform).await?;
        }
        Ok(Some(token))
    }

    /// A request, with its case for whoever has the token that its code was given for. Nothing where there is none.
    ///
    /// # Errors
    /// What the store says.
    pub async fn entered(&self, id: IntakeId, token: Option<&str>) -> Result<Option<Entered>> {
        let known = self.0.store.rights().intake(id).await?;
        let Some(intake) = known.filter(|intake| self.is_shown(intake)) else { return Ok(None) };
        let lets_in = |proven: &Proven| {
            let is_it =
                token.is_some_and(|token| same(self.token_hash(token).as_bytes(), proven.hash.as_bytes()));
            is_it && self.now() < proven.until
        };
        let inside = intake.proven.as_ref().is_some_and(lets_in);
        let case = match (inside, intake.tenant, intake.case) {
            (true, Some(tenant), Some(case)) => {
                self.0.store.rights().case(TenantCtx::platform(tenant), case).await?
            }
            _ => None,
        };
        Ok(Some(Entered { intake, case }))
    }

    /// What the person says of their request, for the business's people: a note in their conversation, which is
    /// theirs and goes with it.
    ///
    /// # Errors
    /// [`RightsError::Note`], [`RightsError::Offline`], and what the conversation says.
    pub async fn say(&self, tenant: TenantId, case: &RightsCase, text: &str) -> Result<()> {
        if text.trim().is_empty() || text.chars().nth(STATEMENT_CHARS_MAX).is_some() {
            return Err(RightsError::Note { max: STATEMENT_CHARS_MAX });
        }
        let engine = self.0.engine.as_ref().ok_or(RightsError::Offline)?;
        let note = Pii::new(format!("{} · {}\n{}", case.id, case.kind.name(), text.trim()));
        let by = case.id.to_string();
        engine
            .note(TenantCtx::platform(tenant), case.conversation, by, note)
            .await
            .map_err(RightsError::NotSent)?;
        Ok(())
    }

    /// Forgets requests that are shown no more.
    pub(super) async fn forget_intakes(&self) -> Result<()> {
        let now = self.now();
        let (before, unproven) = (now.minus_millis(SHOWN_MS), now.minus_millis(UNPROVEN_MS));
        self.0.store.rights().forget_intakes(before, unproven).await?;
        Ok(())
    }

    fn is_shown(&self, intake: &Intake) -> bool {
        let now = self.now();
        !intake.is_over(now.minus_millis(SHOWN_MS), now.minus_millis(UNPROVEN_MS))
    }

    fn new_token(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        self.0.entropy.fill(&mut *bytes);
        Zeroizing::new(hex::encode(*bytes))
    }

    fn token_hash(&self, token: &str) -> String {
        hex::encode(self.0.keyring.hash_secret(TOKEN_LABEL, token.as_bytes()))
    }

    /// Whom a request names: the client and channel, and the person if they are known there.
    async fn named(&self, asking: &Asking) -> Result<Option<(TenantId, ChannelId, Option<ContactId>)>> {
        let business = handle(asking.product, asking.business.reveal(iassistance_domain::pii::Rights));
        let channels = self.channels().await?;
        let Some(Some((tenant, channel))) = channels.get(&(asking.product, business)).copied() else {
            return Ok(None);
        };
        let person = asking.person.reveal(iassistance_domain::pii::Rights);
        let mut found = None;
        for identity in identities(asking.product, person) {
            let rights = self.0.store.rights();
            found = found.or(rights.contact_at(TenantCtx::platform(tenant), channel, identity).await?);
        }
        Ok(Some((tenant, channel, found)))
    }

    /// Which channels there are, as people name them.
    async fn channels(&self) -> Result<Channels> {
        let mut known = self.0.door.channels.lock().await;
        let now = self.now();
        if let Some((at, channels)) = &*known
            && now.millis_since(*at) < CHANNELS_MS
        {
            return Ok(Arc::clone(channels));
        }
        let mut found: BTreeMap<(ChannelKind, String), Option<(TenantId, ChannelId)>> = BTreeMap::new();
        for app in self.0.store.meta_apps().await? {
            for channel in self.0.store.channels_of_app(app.id).await? {
                let whose = (channel.tenant, channel.id);
                for name in names(&channel) {
                    let place = found.entry((channel.kind(), name)).or_insert(Some(whose));
                    // A name that several have says nobody's.
                    *place = place.filter(|known| *known == whose);
                }
            }
        }
        let channels = Arc::new(found);
        *known = Some((now, Arc::clone(&channels)));
        Ok(channels)
    }
}

/// How a channel is named by people: its id, its number, what it is called.
fn names(channel: &Channel) -> Vec<String> {
    let kind = channel.kind();
    let mut names = vec![channel.external_id.clone(), handle(kind, &channel.name)];
    if let Connection::CloudApi { number: Some(number), .. } = &channel.connection {
        names.push(handle(kind, number));
    }
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

/// A number's digits; a name without `@`, spaces around it and capitals.
fn handle(kind: ChannelKind, text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let is_number = text.chars().all(|it| it.is_ascii_digit() || " +-().\u{a0}".contains(it));
    if kind == ChannelKind::Whatsapp && is_number && NUMBER_DIGITS.contains(&digits.len()) {
        return digits;
    }
    text.trim().trim_start_matches('@').to_lowercase()
}

/// What a person may be known by. Always as many, so that it takes as long.
fn identities(kind: ChannelKind, person: &str) -> Vec<ContactIdentity> {
    let said = handle(kind, person);
    let all = if kind == ChannelKind::Whatsapp {
        // Mobile numbers of Argentina have a 9 that people leave out, and of Mexico a 1.
        let other = match (said.strip_prefix("549"), said.strip_prefix("54")) {
            (Some(rest), _) => format!("54{rest}"),
            (None, Some(rest)) => format!("549{rest}"),
            _ => match (said.strip_prefix("521"), said.strip_prefix("52")) {
                (Some(rest), _) => format!("52{rest}"),
                (None, Some(rest)) => format!("521{rest}"),
                _ => said.clone(),
            },
        };
        [ContactIdentity::new(Some(said.clone()), Some(said)), ContactIdentity::new(Some(other), None)]
    } else {
        [ContactIdentity::scoped(Some(person.trim().to_owned())), ContactIdentity::scoped(Some(said))]
    };
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_digits_and_a_name_has_no_capitals() {
        let whatsapp = |text| handle(ChannelKind::Whatsapp, text);
        assert_eq!(whatsapp("+54 9 11 2345-6789"), "5491123456789");
        assert_eq!(whatsapp(" Panadería 24 "), "panadería 24");
        assert_eq!(handle(ChannelKind::Instagram, "@Panaderia.Sol "), "panaderia.sol");
        assert_eq!(handle(ChannelKind::Messenger, "1234567"), "1234567");
    }

    #[test]
    fn a_mobile_number_is_known_with_and_without_what_people_leave_out() {
        let parts = |text: &str| {
            let all = identities(ChannelKind::Whatsapp, text);
            let of = |it: &ContactIdentity| {
                it.wa_id.as_ref().map(|id| id.reveal(iassistance_domain::pii::Rights).clone())
            };
            all.iter().filter_map(of).collect::<Vec<_>>()
        };
        assert_eq!(parts("54 11 2345 6789"), ["541123456789", "5491123456789"]);
        assert_eq!(parts("5491123456789"), ["5491123456789", "541123456789"]);
        assert_eq!(parts("15550199001").len(), 2, "as many look-ups for everybody");
        assert!(identities(ChannelKind::Whatsapp, "").is_empty());
    }
}
