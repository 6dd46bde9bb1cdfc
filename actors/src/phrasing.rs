//! What is said besides the model's own words: the tenant's sentences, and the platform's where the
//! tenant has none.

use iassistance_assistant::phrases::Phrase;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::content::Content;

/// That a machine speaks.
pub(crate) fn disclosure(settings: &AssistantSettings) -> String {
    own_or(&settings.disclosure.text, Phrase::Disclosure, settings)
}

/// That a person was asked for; other words where nobody is there now.
pub(crate) fn waiting(settings: &AssistantSettings, is_closed: bool) -> Content {
    let closed = settings.hours.as_ref().filter(|_| is_closed);
    Content::text(match closed {
        Some(hours) => own_or(&hours.closed_text, Phrase::WaitingClosed, settings),
        None => own_or(&settings.people.waiting_text, Phrase::Waiting, settings),
    })
}

/// That nobody is there, and no assistant either.
pub(crate) fn closed(settings: &AssistantSettings) -> Content {
    let own = settings.hours.as_ref().map_or("", |hours| &hours.closed_text);
    Content::text(own_or(own, Phrase::Closed, settings))
}

/// What is said where no answer could be had; nothing where the tenant wants nothing said.
pub(crate) fn fallback(settings: &AssistantSettings) -> Option<Content> {
    let text = settings.fallback_text.trim();
    (!text.is_empty()).then(|| Content::text(text))
}

fn own_or(own: &str, phrase: Phrase, settings: &AssistantSettings) -> String {
    match own.trim() {
        "" => phrase.said_in(&settings.languages).to_owned(),
        own => own.to_owned(),
    }
}
