//! What a `POST /{version}/{page or account}/messages` asks for on Messenger and Instagram.
//!
//! Meta: Messenger Platform, Send API; Instagram Platform, Send API.

use serde_json::Value;

use crate::fields::{Dialect, Fields};
use crate::graph_error::GraphError;
use crate::graph_request::object;
use crate::shown::{Card, Choice, ChoiceKind, MediaKind, Shown, ShownKind, ShownMedia};

const TEXT_CHARS_MAX: usize = 2_000;
const INSTAGRAM_TEXT_BYTES_MAX: usize = 1_000;
const QUICK_REPLIES_MAX: usize = 13;
const BUTTONS_MAX: usize = 3;
const BUTTON_TEXT_CHARS_MAX: usize = 640;
const ELEMENTS_MAX: usize = 10;
const CARD_CHARS_MAX: usize = 80;
const TITLE_CHARS_MAX: usize = 20;
const PAYLOAD_CHARS_MAX: usize = 1_000;
const IMAGES_MAX: usize = 10;
/// Tags that Meta refuses since 27 April 2026.
const GONE_TAGS: [&str; 3] = ["CONFIRMED_EVENT_UPDATE", "ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE"];

/// A well-formed request.
pub(crate) struct SocialRequest {
    pub recipient: To,
    pub action: Action,
    /// A person wrote it: `HUMAN_AGENT`.
    pub by_person: bool,
    pub reply_to: Option<String>,
}

/// Whom it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// Somebody, by their id with the Page or account.
    Person(String),
    /// Whoever wrote a comment, in private.
    Comment(String),
    /// Somebody who is not known here: a `user_ref` or a token.
    Unknown,
}

/// What it does.
pub(crate) enum Action {
    /// Sends a message.
    Message(Box<SocialMessage>),
    /// Shows or hides typing, or marks as seen.
    Sender(&'static str),
    /// Puts a reaction on a message, or takes it back.
    React { to: String, emoji: Option<String> },
}

/// A message.
pub(crate) struct SocialMessage {
    pub text: String,
    pub shown: Shown,
    pub metadata: Option<String>,
    /// A file that is to be kept for further sends.
    pub reusable: bool,
}

fn refuse(message: &str) -> GraphError {
    GraphError::social(100, None, message)
}

pub(crate) fn parse(body: &[u8]) -> Result<SocialRequest, GraphError> {
    const KNOWN: [&str; 9] = [
        "recipient",
        "message",
        "messaging_type",
        "tag",
        "sender_action",
        "payload",
        "reply_to",
        "notification_type",
        "platform",
    ];
    let body = object(body)?;
    let body = Fields::root(&body, Dialect::Social);
    body.only(&KNOWN)?;
    let recipient = parse_recipient(&body.need_object("recipient")?)?;
    if body.has("sender_action") && (body.has("message") || body.has("messaging_type")) {
        return Err(GraphError::social(
            100,
            Some(2_018_014),
            "Cannot specify both sender_action and message or messaging_type",
        ));
    }
    let by_person = parse_type(&body)?;
    let reply_to = match body.object("reply_to")? {
        Some(reply) => {
            reply.only(&["mid"])?;
            Some(reply.need("mid", 2_000)?.to_owned())
        }
        None => None,
    };
    let action = if body.has("sender_action") {
        parse_action(&body)?
    } else {
        Action::Message(Box::new(parse_message(&body.need_object("message")?)?))
    };
    Ok(SocialRequest { recipient, action, by_person, reply_to })
}

fn parse_recipient(recipient: &Fields<'_>) -> Result<To, GraphError> {
    const WAYS: [&str; 5] = ["id", "comment_id", "post_id", "user_ref", "notification_messages_token"];
    recipient.only(&WAYS)?;
    let given: Vec<&str> = WAYS.into_iter().filter(|way| recipient.has(way)).collect();
    let [way] = given.as_slice() else {
        return Err(refuse(
            "The parameter recipient must name exactly one of id, comment_id, post_id, user_ref",
        ));
    };
    let id = recipient.need(way, 1_000)?.to_owned();
    Ok(match *way {
        "id" => To::Person(id),
        "comment_id" => To::Comment(id),
        _ => To::Unknown,
    })
}

/// `messaging_type` and `tag`; whether it is a person's answer.
fn parse_type(body: &Fields<'_>) -> Result<bool, GraphError> {
    let tag = body.optional("tag", 100)?;
    if tag.is_some_and(|tag| GONE_TAGS.contains(&tag)) {
        return Err(refuse("This message tag is no longer supported."));
    }
    let typed = body.has("messaging_type");
    let kind =
        typed.then(|| body.one_of("messaging_type", &["RESPONSE", "UPDATE", "MESSAGE_TAG"])).transpose()?;
    match (kind, tag) {
        (Some("MESSAGE_TAG") | None, Some("HUMAN_AGENT")) => Ok(true),
        (Some("MESSAGE_TAG"), None) => Err(refuse("The parameter tag is required with MESSAGE_TAG")),
        (Some("MESSAGE_TAG") | None, Some(_)) => Err(refuse("Param tag must be one of {HUMAN_AGENT}")),
        (Some(_), Some(_)) => Err(refuse("Param tag is only for the messaging_type MESSAGE_TAG")),
        (_, None) => Ok(false),
    }
}

fn parse_action(body: &Fields<'_>) -> Result<Action, GraphError> {
    const ACTIONS: [&str; 5] = ["typing_on", "typing_off", "mark_seen", "react", "unreact"];
    let action = body.one_of("sender_action", &ACTIONS)?;
    if !matches!(action, "react" | "unreact") {
        return Ok(Action::Sender(action));
    }
    let payload = body.need_object("payload")?;
    payload.only(&["message_id", "reaction"])?;
    let to = payload.need("message_id", 2_000)?.to_owned();
    if action == "unreact" {
        return Ok(Action::React { to, emoji: None });
    }
    let emoji = match payload.need("reaction", 20)? {
        "love" => "❤",
        word if word.is_ascii() => return Err(payload.bad("reaction", "must be love or an emoji")),
        emoji => emoji,
    };
    Ok(Action::React { to, emoji: Some(emoji.to_owned()) })
}

fn parse_message(message: &Fields<'_>) -> Result<SocialMessage, GraphError> {
    message.only(&["text", "attachment", "attachments", "quick_replies", "metadata"])?;
    let bodies = ["text", "attachment", "attachments"].iter().filter(|body| message.has(body)).count();
    if bodies != 1 {
        return Err(refuse("The message must have exactly one of text, attachment and attachments"));
    }
    let metadata = message.optional("metadata", 1_000)?.map(str::to_owned);
    let mut made = SocialMessage { text: String::new(), shown: Shown::default(), metadata, reusable: false };
    if message.has("text") {
        message.need("text", TEXT_CHARS_MAX)?.clone_into(&mut made.text);
    } else if let Some(attachment) = message.object("attachment")? {
        parse_attachment(&attachment, &mut made)?;
    } else {
        let attachments = message.list("attachments", IMAGES_MAX)?;
        for attachment in &attachments {
            attachment.one_of("type", &["image"])?;
            parse_attachment(attachment, &mut made)?;
        }
    }
    for reply in message.list_or_empty("quick_replies", QUICK_REPLIES_MAX)? {
        made.shown.choices.push(parse_quick_reply(&reply)?);
    }
    if message.has("text") && !made.shown.choices.is_empty() {
        made.shown.kind = ShownKind::Choices;
    }
    Ok(made)
}

fn parse_quick_reply(reply: &Fields<'_>) -> Result<Choice, GraphError> {
    reply.only(&["content_type", "title", "payload", "image_url"])?;
    let kind = reply.one_of("content_type", &["text", "user_phone_number", "user_email"])?;
    if kind != "text" {
        return Ok(Choice::new(ChoiceKind::QuickReply, kind, kind));
    }
    if reply.has("image_url") {
        reply.web("image_url")?;
    }
    let (title, payload) = (reply.need("title", TITLE_CHARS_MAX)?, reply.need("payload", PAYLOAD_CHARS_MAX)?);
    Ok(Choice::new(ChoiceKind::QuickReply, payload, title))
}

fn parse_attachment(attachment: &Fields<'_>, made: &mut SocialMessage) -> Result<(), GraphError> {
    const KINDS: [&str; 7] = ["image", "audio", "video", "file", "template", "like_heart", "MEDIA_SHARE"];
    attachment.only(&["type", "payload"])?;
    let kind = attachment.one_of("type", &KINDS)?;
    let sort = match kind {
        "template" => return parse_template(&attachment.need_object("payload")?, made),
        "like_heart" => {
            "❤".clone_into(&mut made.text);
            return Ok(());
        }
        "MEDIA_SHARE" => {
            let id = attachment.need_object("payload")?.need("id", 100)?.to_owned();
            made.text = format!("shared post {id}");
            return Ok(());
        }
        "image" => MediaKind::Image,
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        _ => MediaKind::Document,
    };
    made.shown.kind = ShownKind::Media;
    let (media, reusable) = parse_file(&attachment.need_object("payload")?, sort)?;
    made.shown.media.push(media);
    made.reusable |= reusable;
    Ok(())
}

/// A file by its address or by the id of an upload, and whether it is to be kept.
pub(crate) fn parse_file(payload: &Fields<'_>, kind: MediaKind) -> Result<(ShownMedia, bool), GraphError> {
    payload.only(&["url", "attachment_id", "is_reusable"])?;
    let reusable = payload.get("is_reusable").is_some_and(|flag| *flag == Value::Bool(true));
    let none = ShownMedia { kind, id: None, link: None, name: None };
    match (payload.has("url"), payload.has("attachment_id")) {
        (true, false) => Ok((ShownMedia { link: Some(payload.web("url")?.to_owned()), ..none }, reusable)),
        (false, true) => {
            let id = payload.need("attachment_id", 100)?.to_owned();
            Ok((ShownMedia { id: Some(id), ..none }, false))
        }
        _ => Err(refuse("The attachment needs exactly one of url and attachment_id")),
    }
}

fn parse_template(payload: &Fields<'_>, made: &mut SocialMessage) -> Result<(), GraphError> {
    match payload.one_of("template_type", &["button", "generic"])? {
        "button" => {
            payload.only(&["template_type", "text", "buttons", "sharable"])?;
            made.shown.kind = ShownKind::Choices;
            payload.need("text", BUTTON_TEXT_CHARS_MAX)?.clone_into(&mut made.text);
            for button in payload.list("buttons", BUTTONS_MAX)? {
                made.shown.choices.push(parse_button(&button)?);
            }
        }
        _ => {
            payload.only(&["template_type", "elements", "sharable", "image_aspect_ratio"])?;
            made.shown.kind = ShownKind::Cards;
            for element in payload.list("elements", ELEMENTS_MAX)? {
                made.shown.cards.push(parse_element(&element)?);
            }
            let titles: Vec<&str> = made.shown.cards.iter().map(|card| card.title.as_str()).collect();
            made.text = titles.join("\n");
        }
    }
    Ok(())
}

fn parse_element(element: &Fields<'_>) -> Result<Card, GraphError> {
    element.only(&["title", "subtitle", "image_url", "default_action", "buttons"])?;
    if element.has("image_url") {
        element.web("image_url")?;
    }
    let title = element.need("title", CARD_CHARS_MAX)?.to_owned();
    let subtitle = element.optional("subtitle", CARD_CHARS_MAX)?.map(str::to_owned);
    let buttons = element.list_or_empty("buttons", BUTTONS_MAX)?;
    if subtitle.is_none() && buttons.is_empty() && !element.has("image_url") && !element.has("default_action")
    {
        return Err(refuse("An element needs more than a title"));
    }
    let choices = buttons.iter().map(parse_button).collect::<Result<_, _>>()?;
    Ok(Card { title, subtitle, choices })
}

fn parse_button(button: &Fields<'_>) -> Result<Choice, GraphError> {
    let kind = button.one_of("type", &["postback", "web_url", "phone_number"])?;
    let title = button.need("title", TITLE_CHARS_MAX)?;
    match kind {
        "postback" => {
            button.only(&["type", "title", "payload"])?;
            Ok(Choice::new(ChoiceKind::Postback, button.need("payload", PAYLOAD_CHARS_MAX)?, title))
        }
        "web_url" => {
            button.only(&["type", "title", "url", "webview_height_ratio"])?;
            Ok(Choice::new(ChoiceKind::Link, button.web("url")?, title))
        }
        _ => {
            button.only(&["type", "title", "payload"])?;
            Ok(Choice::new(ChoiceKind::Link, button.need("payload", 20)?, title))
        }
    }
}

/// What Instagram takes less of than Messenger.
pub(crate) fn check_product(message: &SocialMessage, instagram: bool) -> Result<(), GraphError> {
    if instagram && message.text.len() > INSTAGRAM_TEXT_BYTES_MAX && message.shown.kind == ShownKind::Text {
        return Err(refuse("Length of param message[text] must be less than or equal to 1000 bytes"));
    }
    let several = message.shown.media.len() > 1;
    if several && !instagram {
        return Err(refuse("Param message[attachments] is not supported here"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(value: &Value) -> u32 {
        parse(value.to_string().as_bytes()).map_or_else(|error| error.code, |_| 0)
    }

    fn text(message: &Value) -> Value {
        json!({"recipient": {"id": "910000000000001"}, "messaging_type": "RESPONSE", "message": message})
    }

    #[test]
    fn each_limit_is_held() {
        let quick = |count: usize, title: &str| {
            let reply = json!({"content_type": "text", "title": title, "payload": "P"});
            text(&json!({"text": "?", "quick_replies": vec![reply; count]}))
        };
        let template =
            |payload: Value| text(&json!({"attachment": {"type": "template", "payload": payload}}));
        let buttons = |count: usize, words: usize| {
            let button = json!({"type": "postback", "title": "Yes", "payload": "Y"});
            template(
                json!({"template_type": "button", "text": "x".repeat(words), "buttons": vec![button; count]}),
            )
        };
        let generic = |count: usize, words: usize| {
            let element = json!({"title": "x".repeat(words), "subtitle": "s"});
            template(json!({"template_type": "generic", "elements": vec![element; count]}))
        };
        let images = |count: usize| {
            let image = json!({"type": "image", "payload": {"url": "https://example.com/i.png"}});
            text(&json!({"attachments": vec![image; count]}))
        };
        let table = [
            (text(&json!({"text": "x".repeat(2_000)})), 0),
            (text(&json!({"text": "x".repeat(2_001)})), 100),
            (text(&json!({"text": ""})), 100),
            (text(&json!({})), 100),
            (text(&json!({"text": "x", "attachment": {"type": "like_heart"}})), 100),
            (quick(13, "Red"), 0),
            (quick(14, "Red"), 100),
            (quick(1, &"x".repeat(21)), 100),
            (buttons(3, 640), 0),
            (buttons(4, 1), 100),
            (buttons(0, 1), 100),
            (buttons(1, 641), 100),
            (generic(10, 80), 0),
            (generic(11, 80), 100),
            (generic(1, 81), 100),
            (images(10), 0),
            (images(11), 100),
        ];
        for (body, expected) in table {
            assert_eq!(code(&body), expected, "{body}");
        }
    }

    #[test]
    fn types_tags_and_actions_go_together_as_meta_says() {
        let with = |pairs: Value| {
            let mut body = text(&json!({"text": "x"}));
            for (key, value) in pairs.as_object().unwrap() {
                body[key] = value.clone();
            }
            body
        };
        let action = |pairs: Value| {
            let mut body = with(pairs);
            body.as_object_mut().unwrap().remove("message");
            body.as_object_mut().unwrap().remove("messaging_type");
            body
        };
        let table = [
            (with(json!({"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"})), 0),
            (with(json!({"messaging_type": "MESSAGE_TAG"})), 100),
            (with(json!({"messaging_type": "MESSAGE_TAG", "tag": "ACCOUNT_UPDATE"})), 100),
            (with(json!({"messaging_type": "MESSAGE_TAG", "tag": "ANYTHING"})), 100),
            (with(json!({"tag": "HUMAN_AGENT"})), 100),
            (with(json!({"messaging_type": "SUBSCRIPTION"})), 100),
            (with(json!({"sender_action": "typing_on"})), 100),
            (with(json!({"recipient": {"id": "1", "comment_id": "2"}})), 100),
            (action(json!({"sender_action": "typing_on"})), 0),
            (action(json!({"sender_action": "dance"})), 100),
            (
                action(json!({"sender_action": "react", "payload": {"message_id": "m", "reaction": "love"}})),
                0,
            ),
            (action(json!({"sender_action": "react"})), 100),
        ];
        for (body, expected) in table {
            assert_eq!(code(&body), expected, "{body}");
        }
    }
}
