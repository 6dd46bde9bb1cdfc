//! What contacts and owners do on Messenger and Instagram, as their webhooks tell it.
//!
//! Meta: Messenger Platform, webhooks; Instagram Platform, messaging webhooks and comments.

use serde_json::{Value, json};

use crate::act::{Act, Control, GivenFile, OrderLine};
use crate::core::Core;
use crate::envelope::{self, Place, username};
use crate::graph_social::WEEK_MS;
use crate::scene::{NOT_HERE, Scene};
use crate::settings::SimulatorError;
use crate::shown::{ChoiceKind, MediaKind, Shown, ShownKind};
use crate::statuses;
use crate::webhook;
use crate::world::{Author, Comment, Tick, TranscriptItem};

/// The Page's inbox, which is an app of its own (Meta: Messenger, handover).
pub(crate) const INBOX_APP: &str = "26390203743090";
const EDITS_MAX: u32 = 5;
const POST: u64 = 900_000_000_000_009;

type Made = Result<Option<String>, SimulatorError>;

pub(crate) fn play(scene: &Scene<'_>, act: Act) -> Made {
    let instagram = scene.account.is_instagram();
    match act {
        Act::Text { text } => Ok(Some(said(scene, &text, Shown::default(), json!({ "text": text })))),
        Act::File(given) => file(scene, given),
        Act::Location { latitude, longitude, .. } if !instagram => {
            let payload = json!({"coordinates": {"lat": latitude, "long": longitude}});
            let footer = Some(format!("{latitude}, {longitude}"));
            let shown = Shown { footer, ..Shown::of(ShownKind::Location) };
            Ok(Some(said(
                scene,
                "",
                shown,
                json!({"attachments": [{"type": "location", "payload": payload}]}),
            )))
        }
        Act::React { to, emoji } => react(scene, &to, emoji),
        Act::Edit { of, text } => edit(scene, &of, &text),
        Act::TakeBack { of } => {
            let own = scene.own(&of)?;
            scene.remove(&own.wamid);
            tell(scene, "messages", &json!({"message": {"mid": own.wamid, "is_deleted": true}}), None);
            Ok(Some(own.wamid))
        }
        Act::Choose { of, choice, .. } => choose(scene, &of, &choice),
        Act::Postback { title, payload } => Ok(Some(postback(scene, &title, &payload))),
        Act::Order { items, text } if !instagram => order(scene, &items, &text),
        Act::StoryReply { text } if instagram => {
            let story =
                json!({"id": "17800000000000001", "url": format!("{}/cdn/story", scene.core.base_url())});
            let more = json!({"text": text, "reply_to": {"story": story}});
            Ok(Some(said(scene, &text, Shown::of(ShownKind::Story), more)))
        }
        Act::StoryMention if instagram => story_mention(scene),
        Act::Attachment { sort, payload } => {
            let mut attachment = json!({ "type": sort });
            if let Some(payload) = payload {
                attachment["payload"] = payload;
            }
            Ok(Some(said(
                scene,
                &sort,
                Shown::of(ShownKind::Unsupported),
                json!({ "attachments": [attachment] }),
            )))
        }
        Act::Unsupported => {
            Ok(Some(said(scene, "", Shown::of(ShownKind::Unsupported), json!({"is_unsupported": true}))))
        }
        Act::Comment { text, by_business } => Ok(Some(comment(scene, &text, by_business))),
        Act::Referral { reference } => Ok(referral(scene, &reference)),
        Act::Marketing { wanted } if !instagram => Ok(marketing(scene, wanted)),
        Act::Block { blocked } => {
            if let Some(pair) = scene.core.world().pair_mut(&scene.contact.wa_id, &scene.account) {
                pair.blocked = blocked;
            }
            Ok(None)
        }
        Act::Read => Ok(read(scene)),
        Act::OwnerText { text } => {
            let item = scene.message(Author::Owner, &text, Shown::default());
            Ok(Some(owner(scene, &item)))
        }
        Act::OwnerFile(given) => {
            let stored = scene.store(given)?;
            let item = scene.message(Author::Owner, &stored.caption, stored.shown);
            Ok(Some(owner(scene, &item)))
        }
        Act::OwnerTakeBack { of } => owner_take_back(scene, &of),
        Act::Thread { control } => Ok(thread(scene, control)),
        _ => Err(NOT_HERE),
    }
}

/// The contact's id with this account.
fn scoped(scene: &Scene<'_>) -> String {
    scene.core.world().scoped_id(&scene.contact.wa_id, &scene.account).unwrap_or_default()
}

/// Where events of this conversation stand: on standby while another app has it.
fn place(scene: &Scene<'_>) -> Place {
    let world = scene.core.world();
    let held = world.pair(&scene.contact.wa_id, &scene.account).is_some_and(|pair| pair.held_by.is_some());
    if held { Place::Standby } else { Place::Messaging }
}

/// An event of the contact's.
fn tell(scene: &Scene<'_>, field: &str, told: &Value, inbound: Option<String>) {
    let place = place(scene);
    let mut event = json!({"sender": {"id": scoped(scene)}, "recipient": {"id": scene.account.id()},
                           "timestamp": scene.now.as_millis()});
    if let (Some(event), Value::Object(told)) = (event.as_object_mut(), told.clone()) {
        event.extend(told);
    }
    let heard = if place == Place::Standby { "standby" } else { field };
    if scene.core.hears(&scene.account, heard) {
        let whole = envelope::event(&scene.account, field, scene.now, place, &event);
        webhook::emit(scene.core, &scene.account, &whole, inbound);
    }
}

/// A message of the contact's.
fn said(scene: &Scene<'_>, text: &str, shown: Shown, more: Value) -> String {
    let item = scene.message(Author::Contact, text, shown);
    let mut message = json!({ "mid": item.wamid });
    if let Some(quoting) = &item.quoting {
        message["reply_to"] = json!({ "mid": quoting });
    }
    if let (Some(message), Value::Object(more)) = (message.as_object_mut(), more) {
        message.extend(more);
    }
    if scene.came_from_ad {
        message["referral"] = json!({
            "ref": "simulated-ad", "ad_id": "500000000000001", "source": "ADS", "type": "OPEN_THREAD",
            "ads_context_data": {"ad_title": "A simulated ad", "photo_url": "https://example.com/ad.jpg",
                                 "post_id": POST.to_string()}});
        if let Some(pair) = scene.core.world().pair_mut(&scene.contact.wa_id, &scene.account) {
            pair.ad_until = Some(scene.now.plus_millis(WEEK_MS));
        }
    }
    scene.keep(&item);
    tell(scene, "messages", &json!({ "message": message }), Some(item.wamid.clone()));
    item.wamid
}

/// A file comes without words; words follow in a message of their own.
fn file(scene: &Scene<'_>, given: GivenFile) -> Made {
    let stored = scene.store(given)?;
    let urls = stored.shown.media.iter().map(|media| {
        let payload = json!({"url": scene.core.media_url(media)});
        json!({"type": media.kind.social(), "payload": payload})
    });
    let attachments: Vec<Value> = urls.collect();
    let mut more = json!({ "attachments": attachments });
    // What is said with a voice note is said in it.
    if !stored.caption.is_empty() && stored.file.kind != MediaKind::Voice {
        more["text"] = json!(stored.caption);
    }
    Ok(Some(said(scene, &stored.caption, stored.shown, more)))
}

fn story_mention(scene: &Scene<'_>) -> Made {
    let stored = scene.store(GivenFile::sample(crate::shown::MediaKind::Image))?;
    let url = stored.shown.media.first().map(|media| scene.core.media_url(media));
    let attachment = json!({"type": "story_mention", "payload": {"url": url}});
    let shown = Shown { kind: ShownKind::Story, ..stored.shown };
    Ok(Some(said(scene, "", shown, json!({ "attachments": [attachment] }))))
}

/// Messenger has words for six reactions; the rest is `other`.
fn reaction_word(emoji: &str) -> &'static str {
    match emoji {
        "❤" | "❤️" | "😍" => "love",
        "👍" => "like",
        "👎" => "dislike",
        "😆" | "😂" => "smile",
        "😮" => "wow",
        "😢" => "sad",
        "😠" | "😡" => "angry",
        _ => "other",
    }
}

fn react(scene: &Scene<'_>, to: &str, emoji: Option<String>) -> Made {
    let fits =
        |item: &TranscriptItem| item.author != Author::Contact && item.shown.kind != ShownKind::Reaction;
    let target = scene.item(to, fits)?;
    let emoji = emoji.filter(|emoji| !emoji.is_empty());
    let reaction = match &emoji {
        Some(emoji) => json!({"mid": target.wamid, "action": "react", "reaction": reaction_word(emoji),
                              "emoji": emoji}),
        None => json!({"mid": target.wamid, "action": "unreact"}),
    };
    scene.change(&target.wamid, |item| item.contact_reaction = emoji);
    scene.open_window();
    tell(scene, "message_reactions", &json!({ "reaction": reaction }), None);
    Ok(Some(target.wamid))
}

fn edit(scene: &Scene<'_>, of: &str, text: &str) -> Made {
    let own = scene.own(of)?;
    if own.edits >= EDITS_MAX {
        return Err(SimulatorError::Act("a message can be changed five times"));
    }
    scene.change(&own.wamid, |item| {
        text.clone_into(&mut item.text);
        item.edits += 1;
    });
    let edit = json!({"mid": own.wamid, "text": text, "num_edit": own.edits + 1});
    tell(scene, "message_edits", &json!({ "message_edit": edit }), None);
    Ok(Some(own.wamid))
}

fn choose(scene: &Scene<'_>, of: &str, wanted: &str) -> Made {
    let (_, choice) = scene.offered(of, wanted)?;
    match choice.kind {
        ChoiceKind::QuickReply => {
            let more = json!({"text": choice.title, "quick_reply": {"payload": choice.id}});
            Ok(Some(said(scene, &choice.title, Shown::of(ShownKind::Chosen), more)))
        }
        ChoiceKind::Postback => Ok(Some(postback(scene, &choice.title, &choice.id))),
        ChoiceKind::Link => Err(SimulatorError::Act("a link opens elsewhere and tells nobody")),
        _ => Err(NOT_HERE),
    }
}

/// On standby the payload is left out (Meta: standby).
fn postback(scene: &Scene<'_>, title: &str, payload: &str) -> String {
    let item = scene.message(Author::Contact, title, Shown::of(ShownKind::Chosen));
    scene.keep(&item);
    let told = match place(scene) {
        Place::Standby => json!({"postback": {"title": title}}),
        Place::Messaging => json!({"postback": {"mid": item.wamid, "title": title, "payload": payload}}),
    };
    tell(scene, "messaging_postbacks", &told, Some(item.wamid.clone()));
    item.wamid
}

fn order(scene: &Scene<'_>, items: &[OrderLine], note: &str) -> Made {
    if items.is_empty() {
        return Err(SimulatorError::Act("an order has at least one line"));
    }
    let products = items.iter().enumerate().map(|(index, line)| {
        json!({"id": (index + 1).to_string(), "retailer_id": line.product_retailer_id,
               "name": line.product_retailer_id, "unit_price": line.item_price, "currency": line.currency,
               "quantity": line.quantity})
    });
    let products: Vec<Value> = products.collect();
    let item = scene.message(Author::Contact, note, Shown::of(ShownKind::Order));
    scene.keep(&item);
    tell(
        scene,
        "messages",
        &json!({"order": {"products": products, "note": note}}),
        Some(item.wamid.clone()),
    );
    Ok(Some(item.wamid))
}

/// A comment is no message: it opens no window but lets the business answer in private once.
fn comment(scene: &Scene<'_>, text: &str, by_business: bool) -> String {
    let core: &Core = scene.core;
    let account = &scene.account;
    let author = if by_business { account.id().to_owned() } else { scoped(scene) };
    let (id, field, value) = if account.is_instagram() {
        let id = core.new_object_id(1_790);
        let name = if by_business { account.name.clone() } else { username(&scene.contact) };
        let value = json!({"id": id, "from": {"id": author, "username": name},
                           "media": {"id": "17910000000000001", "media_product_type": "FEED"}, "text": text});
        (id, "comments", value)
    } else {
        let post = format!("{}_{POST}", account.id());
        let id = format!("{POST}_{}", core.new_object_id(8));
        let name = if by_business { &account.name } else { &scene.contact.name };
        let seconds = scene.now.as_millis().div_euclid(1_000);
        let value = json!({"item": "comment", "verb": "add", "comment_id": id, "post_id": post,
                           "from": {"id": author, "name": name}, "message": text, "created_time": seconds});
        (id, "feed", value)
    };
    let by = if by_business { Author::Owner } else { Author::Contact };
    let item = TranscriptItem { wamid: id.clone(), ..scene.message(by, text, Shown::of(ShownKind::Comment)) };
    scene.keep(&item);
    if !by_business {
        let comment = Comment {
            wa_id: scene.contact.wa_id.clone(),
            account: account.id().to_owned(),
            at: scene.now,
            answered: false,
        };
        core.world().comments.keep(id.clone(), comment);
    }
    if core.hears(account, field) {
        let whole = envelope::page_change(account, field, scene.now, &value);
        webhook::emit(scene.core, account, &whole, Some(id.clone()));
    }
    id
}

/// A link opens the window of a conversation that there is already.
fn referral(scene: &Scene<'_>, reference: &str) -> Option<String> {
    let known = {
        let world = scene.core.world();
        world.pair(&scene.contact.wa_id, &scene.account).is_some_and(|pair| pair.last_inbound.is_some())
    };
    if known {
        scene.open_window();
    }
    let (source, field) = if scene.account.is_instagram() {
        ("IGME-SOURCE-LINK", "messaging_referral")
    } else {
        ("SHORTLINK", "messaging_referrals")
    };
    let told = json!({"referral": {"ref": reference, "source": source, "type": "OPEN_THREAD"}});
    tell(scene, field, &told, None);
    None
}

fn marketing(scene: &Scene<'_>, wanted: bool) -> Option<String> {
    if let Some(pair) = scene.core.world().pair_mut(&scene.contact.wa_id, &scene.account) {
        pair.no_marketing = !wanted;
    }
    let status = if wanted { "RESUME_NOTIFICATIONS" } else { "STOP_NOTIFICATIONS" };
    let optin = json!({"type": "notification_messages", "payload": "simulated",
                       "notification_messages_token": scene.core.new_trace(),
                       "token_expiry_timestamp": scene.now.plus_millis(300 * 24 * 3_600_000).as_millis(),
                       "user_token_status": "NOT_REFRESHED", "notification_messages_status": status});
    tell(scene, "messaging_optins", &json!({ "optin": optin }), None);
    None
}

fn read(scene: &Scene<'_>) -> Option<String> {
    let unread = |item: &TranscriptItem| {
        item.author != Author::Contact && item.phone_number_id == scene.account.id() && item.tick < Tick::Read
    };
    let mut items = scene.core.world().transcript(&scene.contact.wa_id);
    items.retain(unread);
    let last = items.last().cloned()?;
    for item in items {
        scene.change(&item.wamid, |item| item.tick = Tick::Read);
    }
    let told = statuses::read(&scene.account, &last, scene.now.as_millis());
    tell(scene, statuses::read_field(&scene.account), &told, None);
    Some(last.wamid)
}

fn owner(scene: &Scene<'_>, item: &TranscriptItem) -> String {
    scene.keep(item);
    statuses::echo(scene.core, &scene.account, &scene.contact, item, Some(INBOX_APP));
    item.wamid.clone()
}

fn owner_take_back(scene: &Scene<'_>, of: &str) -> Made {
    let target = scene.item(of, |item| item.author != Author::Contact && !item.removed)?;
    if target.author == Author::Contact {
        return Err(SimulatorError::Act("the owner takes back what the business wrote"));
    }
    scene.remove(&target.wamid);
    let message = json!({"mid": target.wamid, "is_echo": true, "is_deleted": true});
    statuses::emit_echo(scene.core, &scene.account, &scoped(scene), &message);
    Ok(Some(target.wamid))
}

fn thread(scene: &Scene<'_>, control: Control) -> Option<String> {
    let ours = scene.core.app_id(&scene.account).to_owned();
    let told = match control {
        Control::Take => json!({"take_thread_control": {
            "previous_owner_app_id": ours, "new_owner_app_id": INBOX_APP, "metadata": "simulated"}}),
        Control::Pass => json!({"pass_thread_control": {
            "previous_owner_app_id": INBOX_APP, "new_owner_app_id": ours, "metadata": "simulated"}}),
        Control::Request => json!({"request_thread_control": {
            "requested_owner_app_id": INBOX_APP, "metadata": "simulated"}}),
    };
    let field = if scene.account.is_instagram() { "messaging_handover" } else { "messaging_handovers" };
    // The event itself comes outside standby: it is about who has the conversation.
    let set = |held: Option<String>| {
        if let Some(pair) = scene.core.world().pair_mut(&scene.contact.wa_id, &scene.account) {
            pair.held_by = held;
        }
    };
    match control {
        Control::Pass => {
            set(None);
            tell(scene, field, &told, None);
        }
        Control::Take => {
            tell(scene, field, &told, None);
            set(Some(INBOX_APP.to_owned()));
        }
        Control::Request => tell(scene, field, &told, None),
    }
    None
}
