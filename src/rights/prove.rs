//! Proof of who asks: a code that is sent to the person on the channel on which they write, once, for a short while
//! and for a few tries. It comes back on the page, or in the conversation.

use std::sync::PoisonError;

use iassistance_domain::Pii;
use iassistance_domain::Timestamp;
use iassistance_domain::account::Language;
use iassistance_domain::audit::Actor;
use iassistance_domain::content::Content;
use iassistance_domain::id::{CaseId, ContactId, MessageId, TenantId};
use iassistance_domain::message::{Author, Message};
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::rights::{CaseAct, CaseStep, Challenge, Proof, RightsCase, Tried};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::rights::CaseCommit;
use iassistance_vault::same;
use zeroize::Zeroizing;

use super::{DAY_MS, MINUTE_MS, Registrar, Result, RightsError, words};

/// The steps of a case that tell of a code: it left, or the channel did not let it.
const CODE_SENT: &str = "code_sent";
const CODE_NOT_SENT: &str = "code_not_sent";
const HASH_LABEL: &str = "rights-code";
/// Below it every digit is as likely as any other.
const FAIR_BYTES: u8 = 250;
/// Messages of a conversation that are looked at for a code, newest first.
const MESSAGES: usize = 20;
/// People whose codes are counted at once: beyond that nobody new is sent any.
const COUNTED_MAX: usize = 100_000;

impl Registrar {
    /// A code that nobody can guess.
    pub(super) fn new_code(&self) -> Zeroizing<String> {
        let mut code = Zeroizing::new(String::new());
        while code.len() < usize::from(self.0.settings.code_digits) {
            let mut byte = [0];
            self.0.entropy.fill(&mut byte);
            if byte[0] < FAIR_BYTES {
                code.push(char::from(b'0' + byte[0] % 10));
            }
        }
        code
    }

    /// What is kept of a code: made with the platform's key, and of no use for anything else.
    pub(super) fn code_hash(&self, of: &str, code: &str) -> String {
        hex::encode(self.0.keyring.hash_secret(HASH_LABEL, format!("{of}/{code}").as_bytes()))
    }

    pub(super) fn challenge(&self, of: &str, code: &str) -> Challenge {
        let lasts_ms = u64::from(self.0.settings.code_minutes) * MINUTE_MS;
        Challenge::new(self.code_hash(of, code), self.now(), lasts_ms, self.0.settings.code_tries)
    }

    /// Sends a new code to the person whom a case is about.
    pub(super) async fn send_code(
        &self,
        tenant: TenantId,
        case: RightsCase,
        by: Actor,
    ) -> Result<RightsCase> {
        let code = self.new_code();
        self.send_this_code(tenant, case, by, &code, Language::Es).await
    }

    /// Sends a code. What the channel does not let leave is written down with the case, and said.
    pub(super) async fn send_this_code(
        &self,
        tenant: TenantId,
        mut case: RightsCase,
        by: Actor,
        code: &str,
        language: Language,
    ) -> Result<RightsCase> {
        let mut challenge = self.challenge(&case.id.to_string(), code);
        case.clone().take(CaseAct::Challenge(challenge.clone()), by, self.now())?;
        let (sent, step) = match self.tell_code(tenant, &case, code, language).await {
            Ok(message) => {
                challenge.message = message;
                (Ok(()), CODE_SENT)
            }
            Err(RightsError::NotSent(error)) => {
                challenge.not_sent = Some(error.to_string());
                (Err(RightsError::NotSent(error)), CODE_NOT_SENT)
            }
            Err(error) => return Err(error),
        };
        case.take(CaseAct::Challenge(challenge), by, self.now())?;
        case.note(by, step, self.now());
        let (case, _) = self.commit(tenant, CaseCommit::new(case)).await?;
        sent?;
        self.await_code(tenant, case.id);
        Ok(case)
    }

    /// Sends a code in a case that was proven before: to let its person in again.
    pub(super) async fn send_in(
        &self,
        tenant: TenantId,
        mut case: RightsCase,
        code: &str,
        language: Language,
    ) -> Result<()> {
        let sent = self.tell_code(tenant, &case, code, language).await;
        let step = match sent {
            Ok(_) => CODE_SENT,
            Err(RightsError::NotSent(_)) => CODE_NOT_SENT,
            Err(error) => return Err(error),
        };
        case.note(Actor::Platform, step, self.now());
        self.keep(tenant, CaseCommit::new(case)).await?;
        sent.map(drop)
    }

    /// Tells a code to the person whom a case is about, in their conversation; the message that it is in.
    async fn tell_code(
        &self,
        tenant: TenantId,
        case: &RightsCase,
        code: &str,
        language: Language,
    ) -> Result<Option<MessageId>> {
        let engine = self.0.engine.as_ref().ok_or(RightsError::Offline)?;
        if !self.count_code(tenant, case.contact) {
            return Err(RightsError::Codes);
        }
        let text = words::code(language, case.kind, code, self.0.settings.code_minutes);
        let name = self.0.store.people().tenant_record(tenant).await?.map(|it| it.name).unwrap_or_default();
        let ctx = TenantCtx::platform(tenant);
        let sent = engine.notify(ctx, case.conversation, name, Content::text(text)).await;
        sent.map(|done| done.message).map_err(RightsError::NotSent)
    }

    /// Counts the codes of the last day that a case tells of: after a restart.
    pub(super) fn count_codes_of(&self, tenant: TenantId, case: &RightsCase) {
        let since = self.now().minus_millis(DAY_MS);
        let is_code = |step: &&CaseStep| step.at > since && [CODE_SENT, CODE_NOT_SENT].contains(&&*step.what);
        let mut told = case.steps.iter().filter(is_code).map(|step| step.at).peekable();
        if told.peek().is_some() {
            let mut sent = self.0.sent.lock().unwrap_or_else(PoisonError::into_inner);
            let times = sent.entry((tenant, case.contact)).or_default();
            times.extend(told);
            // One that was counted before its case was read is one.
            times.sort_unstable();
            times.dedup();
        }
    }

    /// Counts a code to somebody; not if they had as many as may be in a day. Whoever asks: nobody is molested.
    fn count_code(&self, tenant: TenantId, contact: ContactId) -> bool {
        let (now, most) = (self.now(), usize::from(self.0.settings.codes_per_day));
        let mut sent = self.0.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.minus_millis(DAY_MS);
        if sent.len() >= COUNTED_MAX {
            sent.retain(|_, times: &mut Vec<Timestamp>| times.iter().any(|at| *at > since));
        }
        if sent.len() >= COUNTED_MAX && !sent.contains_key(&(tenant, contact)) {
            return false;
        }
        let times = sent.entry((tenant, contact)).or_default();
        times.retain(|at| *at > since);
        let may = times.len() < most;
        if may {
            times.push(now);
        }
        may
    }

    pub(super) fn await_code(&self, tenant: TenantId, case: CaseId) {
        self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner).insert((tenant, case));
        self.0.hurry.notify_one();
    }

    pub(super) fn forget_code(&self, tenant: TenantId, case: CaseId) {
        self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, case));
    }

    /// Whether codes may come back in conversations.
    pub(super) fn awaits_codes(&self) -> bool {
        !self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Looks whether somebody answered with their code.
    pub async fn look_for_codes(&self) {
        let awaited = self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (tenant, case) in awaited {
            match self.look_for_code(tenant, case).await {
                Ok(()) => {}
                Err(RightsError::NoSuchCase) => self.forget_code(tenant, case),
                Err(error) => {
                    tracing::warn!(%tenant, %case, %error, "a code was not looked for; tried again");
                }
            }
        }
    }

    async fn look_for_code(&self, tenant: TenantId, id: CaseId) -> Result<()> {
        let _one = self.0.changing.lock().await;
        let mut case = self.case(tenant, id).await?;
        let Some(mut challenge) = case.challenge.clone().filter(|it| it.is_open(self.now())) else {
            self.forget_code(tenant, id);
            return Ok(());
        };
        let store = self.0.store.tenant(TenantCtx::platform(tenant)).await?;
        let messages = store.messages(case.conversation, None, MESSAGES).await?;
        let since = challenge.tried.max(challenge.message);
        let after = |message: &&Message| Some(message.id) > since && message.author == Author::Contact;
        let mut tried = None;
        // In the order of writing.
        for message in messages.iter().rev().filter(after) {
            let Some(code) = code_in(message, self.0.settings.code_digits) else { continue };
            challenge.tried = Some(message.id);
            tried = Some(challenge.take(&self.code_hash(&id.to_string(), &code), self.now(), same));
            if tried != Some(Tried::Wrong) {
                break;
            }
        }
        match tried {
            None => {}
            Some(Tried::Right) => {
                self.verify(tenant, case, Proof::Code { on_page: false }, Actor::Platform).await?;
            }
            Some(Tried::Wrong | Tried::Over) => {
                case.challenge = Some(challenge);
                self.keep(tenant, CaseCommit::new(case)).await?;
            }
        }
        Ok(())
    }
}

/// The code that a message is, if it is one and nothing else.
fn code_in(message: &Message, digits: u8) -> Option<Zeroizing<String>> {
    let Content::Text { body, .. } = &message.content else { return None };
    let said = |body: &Pii<String>| {
        let text: String = body.reveal(Rights).chars().filter(|it| !it.is_whitespace()).collect();
        let is_code = text.len() == usize::from(digits) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| Zeroizing::new(text))
    };
    said(body)
}
