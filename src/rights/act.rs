//! What is done with a case, by the client's people, a program or the command line.

use iassistance_domain::Pii;
use iassistance_domain::audit::Actor;
use iassistance_domain::contact::Contact;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{CaseId, SubscriptionId, TenantId};
use iassistance_domain::privacy::ErasureGround;
use iassistance_domain::privacy::rights::{
    Amendment, CaseAct, CaseProblem, CaseState, Mark, NOTE_CHARS_MAX, Proof, RefusalGround, RightKind,
    RightsCase, Told,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::rights::CaseCommit;

use super::recipients::WEBHOOK;
use super::{PAGE, Registrar, Result, RightsError};

/// What is to be done with a case.
#[derive(Clone, PartialEq, Eq)]
pub enum Act {
    /// Send a code to the person, on the channel on which they write.
    SendCode,
    /// A document was seen that proves who they are; what kind of document. It is not kept.
    SeeDocument(String),
    /// Correct fields, by name: what they say from now on, or nothing for what is to go.
    Correct(Vec<(String, Option<Pii<String>>)>),
    /// How the record is kept while it is in dispute.
    Dispute(Mark),
    /// Whether it is for administrators alone.
    Restrict(bool),
    /// Whether no machine answers them.
    RefuseAssistant(bool),
    /// Erase all that there is of them.
    Erase,
    /// It is done, and this is what they are told.
    Answer(Option<Pii<String>>),
    /// It is not done: why, and what they are told.
    Refuse(RefusalGround, Pii<String>),
    /// They took it back.
    Withdraw,
    /// It takes longer.
    Extend,
    /// A recipient was told by hand: who, and how.
    Told(String, String),
}

impl Act {
    /// Its name, for the record.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SendCode => "rights.code_sent",
            Self::SeeDocument(_) => "rights.document_seen",
            Self::Correct(_) => "rights.corrected",
            Self::Dispute(_) => "rights.disputed",
            Self::Restrict(_) => "rights.restricted",
            Self::RefuseAssistant(_) => "rights.assistant_refused",
            Self::Erase => "rights.erased",
            Self::Answer(_) => "rights.answered",
            Self::Refuse(..) => "rights.refused",
            Self::Withdraw => "rights.withdrawn",
            Self::Extend => "rights.extended",
            Self::Told(..) => "rights.recipient_told",
        }
    }
}

/// A change of a case in the making.
struct Change {
    commit: CaseCommit,
    by: Actor,
}

impl Change {
    fn amend(&mut self, contact: &Contact, amendment: Amendment) -> Result<()> {
        amendment.check(contact)?;
        let mut after = contact.clone();
        after.amend(&amendment, self.by, None, 1, self.commit.case.received_at);
        if after.standing != contact.standing {
            self.commit.events.push(EventKind::ContactStandingChanged { standing: after.standing });
        }
        self.commit.amendment = Some((amendment, self.by));
        Ok(())
    }
}

impl Registrar {
    /// Does something with a case. It is on the audit log before it is done.
    ///
    /// # Errors
    /// [`RightsError`]: nothing is done then.
    pub async fn act(&self, tenant: TenantId, id: CaseId, act: Act, by: Actor) -> Result<RightsCase> {
        let case = self.case(tenant, id).await?;
        self.audit(tenant, by, act.name(), &id).await?;
        let _one = self.0.changing.lock().await;
        match act {
            Act::SendCode => self.send_code(tenant, case, by).await,
            Act::SeeDocument(kind) => {
                note(&kind)?;
                self.verify(tenant, case, Proof::Document { seen_by: by, kind }, by).await
            }
            Act::Erase => self.erase(tenant, case, by).await,
            Act::RefuseAssistant(refused) => self.refuse_assistant(tenant, case, refused, by).await,
            Act::Told(recipient, proof) => self.note_told(tenant, case, recipient, proof, by).await,
            other => self.change(tenant, case, other, by).await,
        }
    }

    /// Notes that it is proven who asks; what is disputed is marked from then on.
    pub(super) async fn verify(
        &self,
        tenant: TenantId,
        mut case: RightsCase,
        proof: Proof,
        by: Actor,
    ) -> Result<RightsCase> {
        case.take(CaseAct::Verify(proof), by, self.now())?;
        self.forget_code(tenant, case.id);
        let (amendment, events) = match self.contact(tenant, &case).await? {
            Some(contact) => Self::of_mark(&contact, &case),
            None => (None, Vec::new()),
        };
        let amendment = amendment.map(|amendment| (amendment, by));
        Ok(self.commit(tenant, CaseCommit { case, amendment, events }).await?.0)
    }

    async fn contact(&self, tenant: TenantId, case: &RightsCase) -> Result<Option<Contact>> {
        Ok(self.0.store.tenant(TenantCtx::platform(tenant)).await?.contact(case.contact).await?)
    }

    async fn known(&self, tenant: TenantId, case: &RightsCase) -> Result<Contact> {
        self.contact(tenant, case).await?.ok_or(RightsError::NoSuchContact)
    }

    /// What changes the case, and what is known of the contact, in one write.
    async fn change(&self, tenant: TenantId, case: RightsCase, act: Act, by: Actor) -> Result<RightsCase> {
        let now = self.now();
        let mut change = Change { commit: CaseCommit::new(case), by };
        let mut told_by_hooks = false;
        match act {
            Act::Correct(fields) => {
                if fields.is_empty() {
                    return Err(iassistance_domain::privacy::rights::AmendmentProblem::Fields.into());
                }
                if ![RightKind::Rectify, RightKind::Update].contains(&change.commit.case.kind) {
                    return Err(CaseProblem::OtherKind(change.commit.case.kind.name()).into());
                }
                let contact = self.known(tenant, &change.commit.case).await?;
                change.commit.case.take(CaseAct::Amend, by, now)?;
                let names = fields.iter().map(|(name, _)| name.clone()).collect();
                change.amend(&contact, Amendment { fields, ..Amendment::default() })?;
                let case = &mut change.commit.case;
                let (subject, id) = (case.contact, case.id);
                change.commit.events.push(EventKind::PrivacyCorrect { subject, case: id, names });
                self.to_tell(tenant, &mut change.commit.case).await?;
                told_by_hooks = true;
            }
            Act::Dispute(mark) => {
                if !change.commit.case.disputes() {
                    return Err(match change.commit.case.state {
                        CaseState::Received => CaseProblem::NotVerified,
                        CaseState::Verified => CaseProblem::OtherKind(change.commit.case.kind.name()),
                        ref other => CaseProblem::Over(other.name()),
                    }
                    .into());
                }
                let contact = self.known(tenant, &change.commit.case).await?;
                change.amend(&contact, Amendment { mark: Some(Some(mark)), ..Amendment::default() })?;
                change.commit.case.note(by, "disputed", now);
            }
            Act::Restrict(confidential) => {
                if change.commit.case.kind != RightKind::Confidential {
                    return Err(CaseProblem::OtherKind(change.commit.case.kind.name()).into());
                }
                let contact = self.known(tenant, &change.commit.case).await?;
                change.commit.case.take(CaseAct::Amend, by, now)?;
                let amendment = Amendment { confidential: Some(confidential), ..Amendment::default() };
                change.amend(&contact, amendment)?;
            }
            Act::Answer(text) => self.decide(tenant, &mut change, CaseAct::Answer(text)).await?,
            Act::Refuse(ground, text) => {
                self.decide(tenant, &mut change, CaseAct::Refuse(ground, text)).await?;
            }
            Act::Withdraw => self.decide(tenant, &mut change, CaseAct::Withdraw).await?,
            Act::Extend => {
                let case = &mut change.commit.case;
                let until = self.0.law.extended(&self.0.settings.law, case.kind, case.received_at);
                case.take(CaseAct::Extend(until.ok_or(RightsError::NoExtension)?.at), by, now)?;
            }
            _ => {}
        }
        let (case, seq) = self.commit(tenant, change.commit).await?;
        if told_by_hooks { self.note_hooks(tenant, case, seq.0, "privacy.correct").await } else { Ok(case) }
    }

    /// Ends a case; what it disputed is marked no more, unless another case disputes it too.
    async fn decide(&self, tenant: TenantId, change: &mut Change, act: CaseAct) -> Result<()> {
        change.commit.case.take(act, change.by, self.now())?;
        self.forget_code(tenant, change.commit.case.id);
        let Some(contact) = self.contact(tenant, &change.commit.case).await? else { return Ok(()) };
        let (amendment, events) = Self::of_mark(&contact, &change.commit.case);
        let Some(amendment) = amendment else { return Ok(()) };
        if self.is_disputed_else(tenant, &change.commit.case).await? {
            return Ok(());
        }
        change.commit.amendment = Some((amendment, change.by));
        change.commit.events.extend(events);
        Ok(())
    }

    async fn is_disputed_else(&self, tenant: TenantId, than: &RightsCase) -> Result<bool> {
        let (ctx, mut before) = (TenantCtx::platform(tenant), None);
        loop {
            let cases = self.0.store.rights().cases(ctx, before, PAGE).await?;
            let disputes =
                |case: &RightsCase| case.id != than.id && case.contact == than.contact && case.disputes();
            if cases.iter().any(disputes) {
                return Ok(true);
            }
            match cases.last() {
                Some(last) if cases.len() == PAGE => before = Some(last.id),
                _ => return Ok(false),
            }
        }
    }

    async fn refuse_assistant(
        &self,
        tenant: TenantId,
        mut case: RightsCase,
        refused: bool,
        by: Actor,
    ) -> Result<RightsCase> {
        if case.kind != RightKind::Object {
            return Err(CaseProblem::OtherKind(case.kind.name()).into());
        }
        let engine = self.0.engine.as_ref().ok_or(RightsError::Offline)?;
        let contact = self.known(tenant, &case).await?;
        case.take(CaseAct::Amend, by, self.now())?;
        // Before it is written down: what is written down is so.
        let ctx = TenantCtx::platform(tenant);
        engine.refuse_assistant(ctx, case.conversation, refused).await.map_err(RightsError::NotSent)?;
        let mut change = Change { commit: CaseCommit::new(case), by };
        change.amend(&contact, Amendment { objected: Some(refused), ..Amendment::default() })?;
        Ok(self.commit(tenant, change.commit).await?.0)
    }

    async fn erase(&self, tenant: TenantId, mut case: RightsCase, by: Actor) -> Result<RightsCase> {
        // Tried on a copy: nothing is erased that the case does not allow.
        case.clone().take(
            CaseAct::Erase(iassistance_domain::id::ErasureId::from_bytes([0; 16])),
            by,
            self.now(),
        )?;
        self.to_tell(tenant, &mut case).await?;
        let ground = ErasureGround::Asked { by };
        let erasure = self.0.keeper.erase(tenant, case.contact, ground, case.due_at).await?;
        case.take(CaseAct::Erase(erasure.id), by, self.now())?;
        let events = vec![EventKind::PrivacyRedact { subject: case.contact, case: case.id }];
        let (case, seq) = self.commit(tenant, CaseCommit { case, amendment: None, events }).await?;
        self.note_hooks(tenant, case, seq.0, "privacy.redact").await
    }

    /// Writes down who is to be told of what is done, and until when.
    async fn to_tell(&self, tenant: TenantId, case: &mut RightsCase) -> Result<()> {
        let due_at = self.0.law.tell_due(&self.0.settings.law, self.now()).at;
        for recipient in self.recipients(tenant, case.contact).await? {
            if !case.told.iter().any(|told| told.recipient == recipient.name && told.told_at.is_none()) {
                case.told.push(Told { recipient: recipient.name, due_at, told_at: None, proof: None });
            }
        }
        Ok(())
    }

    /// The client's own systems are told by an event: which one is written down, so that its delivery proves it.
    /// `last` is the place of the case's own event, which stands after it.
    async fn note_hooks(
        &self,
        tenant: TenantId,
        mut case: RightsCase,
        last: u64,
        kind: &str,
    ) -> Result<RightsCase> {
        let store = self.0.store.tenant(TenantCtx::platform(tenant)).await?;
        let mut changed = false;
        for told in case.told.iter_mut().filter(|told| told.told_at.is_none()) {
            let Some(id) =
                told.recipient.strip_prefix(WEBHOOK).and_then(|id| id.parse::<SubscriptionId>().ok())
            else {
                continue;
            };
            let wants = store.hooks().subscription(id).await?.is_some_and(|it| it.wants(kind));
            if wants {
                told.proof = Some(format!("event {}", last.saturating_sub(1)));
                changed = true;
            }
        }
        if changed { Ok(self.keep(tenant, CaseCommit::new(case)).await?.0) } else { Ok(case) }
    }

    async fn note_told(
        &self,
        tenant: TenantId,
        mut case: RightsCase,
        recipient: String,
        proof: String,
        by: Actor,
    ) -> Result<RightsCase> {
        note(&proof)?;
        let now = self.now();
        let waits = |told: &&mut Told| told.recipient == recipient && told.told_at.is_none();
        let Some(told) = case.told.iter_mut().find(waits) else {
            return Err(RightsError::NoSuchRecipient(recipient));
        };
        (told.told_at, told.proof) = (Some(now), Some(proof));
        case.note(by, "recipient_told", now);
        Ok(self.commit(tenant, CaseCommit::new(case)).await?.0)
    }
}

fn note(text: &str) -> Result<()> {
    let fits = !text.trim().is_empty() && text.chars().nth(NOTE_CHARS_MAX).is_none();
    if fits { Ok(()) } else { Err(RightsError::Note { max: NOTE_CHARS_MAX }) }
}
