//! `GET /{version}/{node}?fields=`: numbers, business accounts, Pages, Instagram accounts, people and files.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::accounts::{Account, AccountKind, Token, TokenKind};
use crate::core::Core;
use crate::envelope::username;
use crate::graph::answer;
use crate::graph_error::GraphError;
use crate::graph_media;
use crate::server::{Call, Reply, json_reply};

/// The app-scoped id of whoever gave the tokens.
pub(crate) const OWNER_ID: &str = "122100000000001";

/// What an object has, and which of it is told when nothing is asked for.
struct Object {
    fields: Map<String, Value>,
    usual: &'static [&'static str],
}

impl Object {
    fn new(fields: Value, usual: &'static [&'static str]) -> Self {
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self { fields, usual }
    }

    /// The fields that were asked for; the id always (Meta: Graph API, fields).
    fn select(self, asked: Option<&str>) -> Result<Value, GraphError> {
        let wanted: Vec<String> = match asked {
            None => self.usual.iter().map(|field| (*field).to_owned()).collect(),
            Some(asked) => top_level(asked),
        };
        let mut told = Map::new();
        for field in wanted {
            let value = self.fields.get(&field).ok_or_else(|| {
                GraphError::param(&format!("Tried accessing nonexisting field ({field}) on node"))
            })?;
            told.insert(field, value.clone());
        }
        if let Some(id) = self.fields.get("id") {
            told.insert("id".to_owned(), id.clone());
        }
        Ok(Value::Object(told))
    }
}

/// The names in `a,b{c,d},e`, without what stands in braces.
fn top_level(fields: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut depth = 0_u32;
    for letter in fields.chars() {
        match letter {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => names.push(String::new()),
            _ if depth > 0 || letter.is_whitespace() => {}
            _ => {
                if let Some(name) = names.last_mut() {
                    name.push(letter);
                }
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

pub(crate) fn object(core: &Core, call: &Call, node: &str) -> Reply {
    let now = core.clock.now();
    if let Err(error) = core.accounts().token(call.bearer(), now).map(drop) {
        return error.reply(core);
    }
    if let Some(reply) = graph_media::look_up(core, call, node) {
        return reply;
    }
    if let Some(person) = person(core, call, node) {
        return answer(core, person.select(call.query("fields").as_deref()));
    }
    let found = if node == "me" { me(core, call) } else { owned(core, call, node) };
    match found.and_then(|object| object.select(call.query("fields").as_deref())) {
        Ok(value) => json_reply(StatusCode::OK, &value),
        Err(error) => error.reply(core),
    }
}

/// Whose token it is.
fn me(core: &Core, call: &Call) -> Result<Object, GraphError> {
    let accounts = core.accounts();
    let token: &Token = accounts.token(call.bearer(), core.clock.now())?;
    if token.kind == TokenKind::System {
        return Ok(Object::new(json!({"id": OWNER_ID, "name": "Simulated system user"}), &["name"]));
    }
    let account = token.accounts.first().ok_or_else(|| GraphError::unknown_object("me"))?;
    let node = match &account.kind {
        AccountKind::InstagramPage { page_id, .. } => page_id.clone(),
        _ => account.id().to_owned(),
    };
    drop(accounts);
    owned(core, call, &node)
}

fn owned(core: &Core, call: &Call, node: &str) -> Result<Object, GraphError> {
    let owners = core.accounts().owners(call.bearer(), node, core.clock.now())?;
    let account = owners.first().ok_or_else(|| GraphError::unknown_object(node))?;
    Ok(match &account.kind {
        AccountKind::Whatsapp { waba_id, .. } if waba_id == node => {
            let fields = json!({"id": waba_id, "name": account.name, "currency": "USD", "timezone_id": "1",
                                "account_review_status": "APPROVED", "message_template_namespace": "simulated"});
            Object::new(fields, &["name", "currency", "timezone_id", "message_template_namespace"])
        }
        AccountKind::Whatsapp { .. } => number(account),
        AccountKind::Messenger { page_id } | AccountKind::InstagramPage { page_id, .. }
            if page_id == node =>
        {
            let linked = owners.iter().find(|owner| owner.is_instagram());
            let mut fields = json!({"id": page_id, "name": account.name, "category": "Shopping",
                                    "tasks": ["MESSAGING", "MODERATE", "MANAGE"]});
            if let Some(linked) = linked {
                fields["instagram_business_account"] = json!({"id": linked.id()});
            }
            Object::new(fields, &["name"])
        }
        _ => instagram(account),
    })
}

/// Meta: Cloud API, phone numbers.
pub(crate) fn number_fields(account: &Account) -> Value {
    let shown = match &account.kind {
        AccountKind::Whatsapp { display_phone_number, .. } => display_phone_number.as_str(),
        _ => "",
    };
    json!({
        "id": account.id(),
        "display_phone_number": shown,
        "verified_name": account.name,
        "quality_rating": "GREEN",
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "name_status": "APPROVED",
        "status": "CONNECTED",
        "account_mode": "LIVE",
        "messaging_limit_tier": "TIER_1K",
        "is_on_biz_app": true,
    })
}

fn number(account: &Account) -> Object {
    Object::new(number_fields(account), &["display_phone_number", "verified_name", "quality_rating"])
}

/// Meta: Instagram Platform, user; with Instagram Login `id` is the app-scoped one.
fn instagram(account: &Account) -> Object {
    let handle = account.name.to_lowercase().replace(' ', ".");
    let scoped = match &account.kind {
        AccountKind::InstagramLogin { user_id, .. } => user_id.as_str(),
        _ => account.id(),
    };
    let fields = json!({"id": scoped, "user_id": account.id(), "username": handle, "name": account.name,
                        "account_type": "BUSINESS", "media_count": 0, "followers_count": 0,
                        "profile_picture_url": Value::Null});
    Object::new(fields, &["username"])
}

/// Somebody who wrote to one of the token's accounts (Meta: Messenger, user profile; Instagram, user profile).
fn person(core: &Core, call: &Call, node: &str) -> Option<Object> {
    let now = core.clock.now();
    let accounts = core.accounts();
    let token = accounts.token(call.bearer(), now).ok()?;
    let world = core.world();
    let wa_id = world.contacts.find(node)?;
    let theirs = |account: &Account| {
        world.pair(&wa_id, account).is_some_and(|pair| pair.scoped_id.as_deref() == Some(node))
    };
    let account = token.accounts.iter().find(|account| theirs(account))?;
    let contact = &world.contacts.get(&wa_id)?.contact;
    if account.is_instagram() {
        let fields = json!({"id": node, "name": contact.name, "username": username(contact),
                            "follower_count": 0, "is_user_follow_business": false,
                            "is_business_follow_user": false, "is_verified_user": false,
                            "profile_pic": Value::Null});
        return Some(Object::new(fields, &["name", "username"]));
    }
    let (first, last) = contact.name.split_once(' ').unwrap_or((&contact.name, ""));
    let fields = json!({"id": node, "name": contact.name, "first_name": first, "last_name": last,
                        "locale": "en_US", "timezone": 0, "profile_pic": Value::Null});
    Some(Object::new(fields, &["first_name", "last_name"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_without_what_stands_in_braces() {
        assert_eq!(
            top_level("id, name,instagram_business_account{id,username},x"),
            ["id", "name", "instagram_business_account", "x"]
        );
        assert!(top_level("").is_empty());
    }

    #[test]
    fn an_unknown_field_is_refused_and_the_id_is_always_told() {
        let object = || Object::new(json!({"id": "1", "name": "N", "more": 2}), &["name"]);
        assert_eq!(object().select(None).ok(), Some(json!({"id": "1", "name": "N"})));
        assert_eq!(object().select(Some("more")).ok(), Some(json!({"id": "1", "more": 2})));
        assert_eq!(object().select(Some("nmae")).map_err(|error| error.code), Err(100));
    }
}
