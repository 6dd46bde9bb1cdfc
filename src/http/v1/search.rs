//! Conversations found by whom they are with.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use iassistance_domain::Pii;
use iassistance_domain::contact::Contact;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::pii::TenantView;

use super::conversations::{ConversationView, view};
use super::input::Body;
use super::page::{self, Page};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// How long what is looked for may be, in characters.
const WORDS_CHARS: std::ops::RangeInclusive<usize> = 2..=80;

/// Whom a conversation is looked for by. It stands in the body: what people are called is in no address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// A part of their name, their number or their id with the channel, whatever the case of its letters; 2 to 80
    /// characters. A number may be written with spaces, dashes, brackets and `+`.
    #[schema(example = "ana", value_type = String, min_length = 2, max_length = 80)]
    words: Pii<String>,
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[schema(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// What is looked for: as words, and as digits where it looks like a number.
struct Sought {
    words: String,
    digits: Option<String>,
}

impl Sought {
    fn new(words: &str) -> Result<Self, Problem> {
        let words = words.trim().to_lowercase();
        if !WORDS_CHARS.contains(&words.chars().count()) {
            return Err(Problem::invalid("`words` must have 2 to 80 characters"));
        }
        let digits: String = words.chars().filter(char::is_ascii_digit).collect();
        let is_number = words.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
        Ok(Self { words, digits: (is_number && digits.len() >= *WORDS_CHARS.start()).then_some(digits) })
    }

    fn is(&self, contact: &Contact) -> bool {
        let has = |text: &Pii<String>, part: &str| text.reveal(TenantView).to_lowercase().contains(part);
        let ids = contact.identity.parts().map(|(_, id)| id);
        let number = contact.identity.wa_id.as_ref().zip(self.digits.as_ref());
        contact.profile_name.iter().chain(ids).any(|text| has(text, &self.words))
            || number.is_some_and(|(number, digits)| has(number, digits))
    }
}

/// Find conversations by whom they are with, newest first
///
/// A page may have fewer items than there are, even none: go on while there is a `next`. Who sees no names finds
/// nobody by one.
#[utoipa::path(post, path = "/tenants/{tenant}/conversations/search", tag = "conversations",
    operation_id = "find_conversations", params(InTenant), request_body = Search,
    responses((status = 200, body = Page<ConversationView>), Problems))]
pub async fn find(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InTenant>,
    body: Body<Search>,
) -> Result<HttpResponse, Problem> {
    let access = allowed.access();
    let Search { words, cursor, limit } = body.value;
    let sought = Sought::new(words.reveal(TenantView))?;
    let (before, limit) = (page::cursor(cursor.as_deref())?, page::limit(limit)?);
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    if access.is_masked() {
        return access.show(&Page::<ConversationView> { items: Vec::new(), next: None });
    }
    // Only of whom they may see is looked at who it is.
    let fetch = async |before, limit| {
        let mut found = Vec::new();
        for conversation in store.conversations(before, limit).await? {
            let seen = access.sees(&conversation);
            let contact = if seen { store.contact(conversation.contact).await? } else { None };
            found.push((conversation, contact));
        }
        Ok(found)
    };
    let wants =
        |(_, contact): &(Conversation, Option<Contact>)| contact.as_ref().is_some_and(|it| sought.is(it));
    let found = page::scan(before, limit, |found: &(Conversation, _)| found.0.id, wants, fetch).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for (conversation, _) in &found.items {
        items.push(view(&state, &*store, conversation).await?);
    }
    access.show(&Page { items, next: found.next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_number_is_looked_for_as_one() {
        let digits = |words| Sought::new(words).ok().unwrap().digits;
        assert_eq!(digits("+1 (555) 010-77"), Some("155501077".to_owned()));
        assert_eq!((digits("Ana 2"), digits("+ 7")), (None, None));
        assert_eq!(Sought::new("  ÁNA ").ok().unwrap().words, "ána");
        assert!(Sought::new(" a ").is_err() && Sought::new(&"é".repeat(81)).is_err());
    }
}
