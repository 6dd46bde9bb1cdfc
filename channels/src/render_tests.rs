use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{
    Card, CardButton, CardPhone, ContactCard, Frame, MediaKind, Place as Spot, Section, Template,
    TemplateComponent, TemplatePart,
};
use iassistance_domain::delivery::ProblemClass;
use iassistance_domain::outbox::ReplyTo;
use serde_json::json;

use super::*;
use crate::forms::carried;
use crate::limits::*;
use crate::samples::*;

const WHATSAPP: ChannelKind = ChannelKind::Whatsapp;
const MESSENGER: ChannelKind = ChannelKind::Messenger;
const INSTAGRAM: ChannelKind = ChannelKind::Instagram;
const IMAGE: &str = "https://example.com/i.png";

fn reply(entry: OutboxEntry, provider_id: &str) -> OutboxEntry {
    OutboxEntry { reply_to: Some(ReplyTo::Message { provider_id: pii(provider_id) }), ..entry }
}

fn private(entry: OutboxEntry, comment: &str) -> OutboxEntry {
    OutboxEntry { reply_to: Some(ReplyTo::Comment { id: pii(comment) }), ..entry }
}

fn reaction(target: &str, emoji: Option<&str>) -> Content {
    Content::Reaction { target: pii(target), emoji: emoji.map(ToOwned::to_owned) }
}

fn template(name: &str, language: &str, components: Vec<TemplateComponent>) -> Content {
    Content::Template(Template { name: name.to_owned(), language: language.to_owned(), components })
}

fn body_of(parameters: Vec<TemplateParameter>) -> TemplateComponent {
    TemplateComponent { part: TemplatePart::Body, sub_type: None, index: None, parameters }
}

fn list(rows: Vec<iassistance_domain::content::Choice>, title: &str) -> Content {
    let sections = vec![Section { title: Some(title.to_owned()), rows }];
    Content::List { frame: Frame::default(), body: pii("B"), button: "Choose".to_owned(), sections }
}

fn open(body: &str, title: &str) -> Content {
    let url = "https://example.com".to_owned();
    Content::Link { frame: Frame::default(), body: pii(body), title: title.to_owned(), url }
}

fn place() -> Content {
    Content::Location(Spot {
        latitude: pii("52.2"),
        longitude: pii("21.0"),
        name: Some(pii("N")),
        address: Some(pii("A")),
        url: None,
    })
}

fn contact() -> Content {
    let phone =
        CardPhone { phone: pii("+15550100"), wa_id: Some(pii("15550100")), kind: Some("WORK".to_owned()) };
    let card = ContactCard {
        name: pii("A B"),
        first_name: Some(pii("A")),
        phones: vec![phone],
        ..ContactCard::default()
    };
    Content::Contacts { cards: vec![card] }
}

fn flow() -> Content {
    Content::Flow {
        frame: Frame::default(),
        body: pii("B"),
        flow_id: "1".to_owned(),
        token: "t".to_owned(),
        title: "Start".to_owned(),
        screen: Some("S1".to_owned()),
    }
}

fn card() -> Card {
    Card {
        title: pii("T"),
        subtitle: Some(pii("S")),
        image_url: Some(IMAGE.to_owned()),
        buttons: vec![
            CardButton::Choose(choice("BUY", "Buy")),
            CardButton::Open { title: "Open".to_owned(), url: "https://example.com".to_owned() },
        ],
    }
}

fn whatsapp_samples() -> Vec<(&'static str, OutboxEntry)> {
    let on = |content| entry(WHATSAPP, content);
    let captioned = |media, caption| Content::Media { items: vec![media], caption: Some(pii(caption)) };
    let mut pdf = at_meta(MediaKind::Document, "300000000000002");
    pdf.filename = Some(pii("a.pdf"));
    let mut by_user_id = on(Content::text("hello"));
    by_user_id.to = ContactIdentity::new(None, Some("US.EXAMPLEUSER1".to_owned())).unwrap();
    let framed = Frame { header: Some(pii("H")), footer: Some(pii("F")), header_media: None };
    let two = vec![choice("yes", "Yes"), choice("no", "No")];
    let mut row = choice("r1", "Row");
    row.description = Some("d".to_owned());
    let text =
        |name: Option<&str>| TemplateParameter::Text { text: pii("Ada"), name: name.map(ToOwned::to_owned) };
    let quick_reply = TemplateComponent {
        part: TemplatePart::Button,
        sub_type: Some("quick_reply".to_owned()),
        index: Some(0),
        parameters: vec![TemplateParameter::Payload { payload: pii("P") }],
    };
    vec![
        ("wa_text", on(Content::text("hello"))),
        ("wa_text_reply", reply(on(Content::text("re")), "wamid.IN1")),
        ("wa_text_bsuid", by_user_id),
        ("wa_text_opaque", on(Content::text("x"))),
        ("wa_image_link", on(captioned(link(MediaKind::Image, IMAGE), "c"))),
        ("wa_image_id", on(files_of(vec![at_meta(MediaKind::Image, "300000000000001")]))),
        ("wa_document", on(captioned(pdf, "c"))),
        ("wa_audio", on(files_of(vec![at_meta(MediaKind::Audio, "300000000000003")]))),
        ("wa_video", on(files_of(vec![link(MediaKind::Video, "https://example.com/v.mp4")]))),
        ("wa_sticker", on(files_of(vec![at_meta(MediaKind::Sticker, "300000000000004")]))),
        ("wa_location", on(place())),
        ("wa_location_request", on(Content::LocationRequest { body: pii("B") })),
        ("wa_contacts", on(contact())),
        ("wa_reaction", on(reaction("wamid.IN1", Some("👍")))),
        ("wa_reaction_remove", on(reaction("wamid.IN1", None))),
        ("wa_buttons", on(Content::Buttons { frame: framed, body: pii("B"), buttons: two })),
        ("wa_list", on(list(vec![row], "S"))),
        ("wa_cta_url", on(open("B", "Open"))),
        ("wa_flow", on(flow())),
        ("wa_template", on(template("order_update", "pl", vec![body_of(vec![text(None)]), quick_reply]))),
        (
            "wa_template_named_params",
            on(template("order_update2", "en_US", vec![body_of(vec![text(Some("name"))])])),
        ),
    ]
}

fn page_samples() -> Vec<(&'static str, OutboxEntry)> {
    let fb = |content| entry(MESSENGER, content);
    let ig = |content| entry(INSTAGRAM, content);
    let picture = |at: &str| link(MediaKind::Image, &format!("https://example.com/{at}.png"));
    let replies = vec![choice("RED", "Red")];
    vec![
        ("fb_text", fb(Content::text("hello"))),
        ("fb_reply_to", reply(fb(Content::text("re")), "m_IN1")),
        ("fb_human_agent", fb(Content::text("hello"))),
        ("fb_private_reply", private(fb(Content::text("hi")), "1_2")),
        ("fb_attachment_url", fb(files_of(vec![picture("i")]))),
        ("fb_quick_replies", fb(Content::QuickReplies { body: pii("?"), replies })),
        ("fb_button_template", fb(buttons("B", vec![choice("Y", "Yes")]))),
        ("fb_generic_template", fb(Content::Cards { cards: vec![card()] })),
        ("ig_text", ig(Content::text("hello"))),
        ("ig_human_agent", ig(Content::text("x"))),
        ("ig_image", ig(files_of(vec![picture("i")]))),
        ("ig_images", ig(files_of(vec![picture("1"), picture("2")]))),
        ("ig_like_heart", ig(Content::Heart)),
        ("ig_private_reply", private(ig(Content::text("hi")), "17900000000000001")),
        ("ig_react", ig(reaction("aWdIN1", Some("love")))),
    ]
}

/// What only one side has: our id, and what Meta's sample leaves to its default.
fn without_own(mut body: Value, sample: &Value) -> Value {
    if let Some(body) = body.as_object_mut() {
        body.remove("biz_opaque_callback_data");
    }
    if let Some(message) = body.get_mut("message").and_then(Value::as_object_mut) {
        message.remove("metadata");
    }
    if let Some(text) = body.get_mut("text").and_then(Value::as_object_mut)
        && sample["text"].get("preview_url").is_none()
    {
        text.remove("preview_url");
    }
    body
}

#[test]
fn every_sample_of_meta_is_produced() {
    let kind = |name: &str| match &name[..2] {
        "wa" => WHATSAPP,
        "fb" => MESSENGER,
        _ => INSTAGRAM,
    };
    let samples: Vec<_> = whatsapp_samples().into_iter().chain(page_samples()).collect();
    for (name, entry) in &samples {
        let now = if name.ends_with("human_agent") { LATER } else { NOW };
        let produced =
            render(kind(name), entry, now).unwrap_or_else(|problem| panic!("{name}: {}", problem.title));
        let sample = &fixture(name)["body"];
        assert_eq!(without_own(produced, sample), without_own(sample.clone(), sample), "{name}");
    }
    // These are produced where they are sent.
    let elsewhere = ["wa_mark_read", "wa_mark_read_typing", "fb_mark_seen", "fb_typing_on", "ig_typing_on"];
    let files = ["wa_media_upload", "wa_media_get", "wa_media_delete"];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/outbound");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap().replace(".json", "");
        let produced = samples.iter().any(|(sample, _)| *sample == name);
        assert!(produced || elsewhere.contains(&&*name) || files.contains(&&*name), "{name} is not produced");
    }
}

#[test]
fn our_own_id_travels_where_it_comes_back() {
    let ours = json!(entry(WHATSAPP, Content::Heart).message.to_string());
    let body = |kind| render(kind, &entry(kind, Content::text("x")), NOW).unwrap();
    assert_eq!(body(WHATSAPP)["biz_opaque_callback_data"], ours);
    assert_eq!(body(MESSENGER)["message"]["metadata"], ours);
    assert_eq!(body(INSTAGRAM)["message"].get("metadata"), None);
}

#[test]
fn only_a_person_may_write_after_the_time_for_answers() {
    for kind in [MESSENGER, INSTAGRAM] {
        for content in [Content::text("x"), reaction("m_1", Some("love"))] {
            let bot = by_assistant(entry(kind, content.clone()));
            assert!(render(kind, &bot, NOW).is_ok());
            let refused = render(kind, &bot, LATER).unwrap_err();
            assert_eq!(refused.class, ProblemClass::Window);
        }
        let bot = by_assistant(entry(kind, Content::text("x")));
        assert_eq!(render(kind, &bot, NOW).unwrap().get("tag"), None);
        assert!(render(kind, &private(bot, "1_2"), LATER).unwrap().get("tag").is_none());
    }
}

fn chars(number: usize) -> String {
    "ż".repeat(number)
}

/// A content at a limit and over it, and the words that tell which.
type AtLimit = (ChannelKind, usize, &'static str, Box<dyn Fn(usize) -> Content>);

fn whatsapp_limits() -> Vec<AtLimit> {
    let titled = |title: String| vec![choice("i", &title)];
    let described = |description: String| {
        let mut row = choice("i", "t");
        row.description = Some(description);
        row
    };
    let header = |n| Frame { header: Some(pii(&chars(n))), ..Frame::default() };
    let footer = |n| Frame { footer: Some(pii(&chars(n))), ..Frame::default() };
    let in_frame = |frame| Content::Buttons { frame, body: pii("B"), buttons: choices(1) };
    let sections = |n: usize| {
        let section =
            |at: usize| Section { title: Some("t".to_owned()), rows: vec![choice(&at.to_string(), "t")] };
        let sections = (0..n).map(section).collect();
        Content::List { frame: Frame::default(), body: pii("B"), button: "b".to_owned(), sections }
    };
    let long_list = |body: String, button: String| {
        let sections = vec![Section { title: None, rows: choices(1) }];
        Content::List { frame: Frame::default(), body: pii(&body), button, sections }
    };
    let captioned =
        |n| Content::Media { items: vec![link(MediaKind::Image, IMAGE)], caption: Some(pii(&chars(n))) };
    vec![
        (WHATSAPP, WHATSAPP_TEXT_CHARS_MAX, "the text", Box::new(|n| Content::text(chars(n)))),
        (WHATSAPP, WHATSAPP_CAPTION_CHARS_MAX, "the caption", Box::new(captioned)),
        (WHATSAPP, WHATSAPP_BODY_CHARS_MAX, "the text", Box::new(|n| buttons(&chars(n), choices(1)))),
        (WHATSAPP, WHATSAPP_BUTTONS_MAX, "buttons", Box::new(|n| buttons("B", choices(n)))),
        (WHATSAPP, WHATSAPP_BUTTON_CHARS_MAX, "button 1", Box::new(move |n| buttons("B", titled(chars(n))))),
        (
            WHATSAPP,
            WHATSAPP_BUTTON_ID_CHARS_MAX,
            "the id of button 1",
            Box::new(|n| buttons("B", vec![choice(&chars(n), "t")])),
        ),
        (WHATSAPP, WHATSAPP_FRAME_CHARS_MAX, "the header", Box::new(move |n| in_frame(header(n)))),
        (WHATSAPP, WHATSAPP_FRAME_CHARS_MAX, "the footer", Box::new(move |n| in_frame(footer(n)))),
        (
            WHATSAPP,
            WHATSAPP_LIST_BODY_CHARS_MAX,
            "the text",
            Box::new(move |n| long_list(chars(n), "b".to_owned())),
        ),
        (
            WHATSAPP,
            WHATSAPP_BUTTON_CHARS_MAX,
            "the text that opens the list",
            Box::new(move |n| long_list("B".to_owned(), chars(n))),
        ),
        (WHATSAPP, WHATSAPP_SECTIONS_MAX, "parts of the list", Box::new(sections)),
        (WHATSAPP, WHATSAPP_ROWS_MAX, "lines of the list", Box::new(|n| list(choices(n), "S"))),
        (WHATSAPP, WHATSAPP_ROW_CHARS_MAX, "the title of part 1", Box::new(|n| list(choices(1), &chars(n)))),
        (WHATSAPP, WHATSAPP_ROW_CHARS_MAX, "line 1", Box::new(move |n| list(titled(chars(n)), "S"))),
        (
            WHATSAPP,
            WHATSAPP_ROW_DESCRIPTION_CHARS_MAX,
            "the description of line 1",
            Box::new(move |n| list(vec![described(chars(n))], "S")),
        ),
        (
            WHATSAPP,
            WHATSAPP_ROW_ID_CHARS_MAX,
            "the id of line 1",
            Box::new(|n| list(vec![choice(&chars(n), "t")], "S")),
        ),
        (WHATSAPP, WHATSAPP_BUTTON_CHARS_MAX, "the text on the button", Box::new(|n| open("B", &chars(n)))),
    ]
}

fn page_limits(kind: ChannelKind) -> Vec<AtLimit> {
    let quick = |replies| Content::QuickReplies { body: pii("?"), replies };
    let one = |card| Content::Cards { cards: vec![card] };
    let buttons_on_card = |n| {
        let buttons = choices(n).into_iter().map(CardButton::Choose).collect();
        Content::Cards { cards: vec![Card { buttons, ..card() }] }
    };
    vec![
        (kind, PAGE_QUICK_REPLIES_MAX, "suggestions", Box::new(move |n| quick(choices(n)))),
        (kind, PAGE_BUTTON_CHARS_MAX, "suggestion 1", Box::new(move |n| quick(vec![choice("i", &chars(n))]))),
        (
            kind,
            PAGE_PAYLOAD_CHARS_MAX,
            "the id of suggestion 1",
            Box::new(move |n| quick(vec![choice(&chars(n), "t")])),
        ),
        (
            kind,
            PAGE_BUTTON_TEXT_CHARS_MAX,
            "the text above the buttons",
            Box::new(|n| buttons(&chars(n), choices(1))),
        ),
        (kind, PAGE_BUTTONS_MAX, "buttons", Box::new(|n| buttons("B", choices(n)))),
        (kind, PAGE_BUTTON_CHARS_MAX, "button 1", Box::new(|n| buttons("B", vec![choice("i", &chars(n))]))),
        (kind, PAGE_BUTTON_CHARS_MAX, "button 1", Box::new(|n| open("B", &chars(n)))),
        (
            kind,
            PAGE_CARDS_MAX,
            "cards",
            Box::new(|n| Content::Cards { cards: (0..n).map(|_| card()).collect() }),
        ),
        (
            kind,
            PAGE_CARD_CHARS_MAX,
            "the title of card 1",
            Box::new(move |n| one(Card { title: pii(&chars(n)), ..card() })),
        ),
        (
            kind,
            PAGE_CARD_CHARS_MAX,
            "the subtitle of card 1",
            Box::new(move |n| one(Card { subtitle: Some(pii(&chars(n))), ..card() })),
        ),
        (kind, PAGE_BUTTONS_MAX, "buttons on card 1", Box::new(buttons_on_card)),
    ]
}

#[test]
fn one_over_a_limit_is_refused_and_the_limit_named() {
    let mut limits = whatsapp_limits();
    limits.extend(page_limits(MESSENGER));
    limits.extend(page_limits(INSTAGRAM));
    limits.push((MESSENGER, MESSENGER_TEXT_CHARS_MAX, "the text", Box::new(|n| Content::text(chars(n)))));
    limits.push((INSTAGRAM, INSTAGRAM_TEXT_BYTES_MAX, "bytes", Box::new(|n| Content::text("x".repeat(n)))));
    let pictures = |n| files_of((0..n).map(|_| link(MediaKind::Image, IMAGE)).collect());
    limits.push((INSTAGRAM, INSTAGRAM_IMAGES_MAX, "pictures", Box::new(pictures)));
    for (kind, max, what, content) in limits {
        let sent = |n| render(kind, &entry(kind, content(n)), NOW);
        assert!(sent(max).is_ok(), "{kind}: {what} at {max}");
        let problem = sent(max + 1).unwrap_err();
        assert_eq!((problem.class, problem.code), (ProblemClass::Request, 0));
        let title = &problem.title;
        let names_it = title.contains(what) && title.contains(&format!("takes {max}"));
        assert!(names_it && title.contains(&(max + 1).to_string()), "{what}: {title}");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
fn refusal(kind: ChannelKind, content: Content) -> String {
    check(kind, &content).unwrap_err().title
}

#[test]
fn what_says_nothing_or_contradicts_itself_is_refused() {
    let twice = vec![choice("a", "A"), choice("a", "B")];
    let both =
        Frame { header: Some(pii("H")), header_media: Some(link(MediaKind::Image, IMAGE)), footer: None };
    let untitled = || Section { title: None, rows: choices(1) };
    let two_untitled = Content::List {
        frame: Frame::default(),
        body: pii("B"),
        button: "b".to_owned(),
        sections: vec![untitled(), Section { rows: vec![choice("other", "t")], ..untitled() }],
    };
    let nowhere = Spot { latitude: pii("91"), longitude: pii("0"), name: None, address: None, url: None };
    let bare = Card { title: pii("T"), subtitle: None, image_url: None, buttons: Vec::new() };
    let cases = [
        (WHATSAPP, Content::text(" \n"), "the text is empty"),
        (INSTAGRAM, Content::text(""), "the text is empty"),
        (WHATSAPP, files_of(Vec::new()), "no file"),
        (MESSENGER, files_of(Vec::new()), "no file"),
        (WHATSAPP, buttons("B", Vec::new()), "no buttons"),
        (WHATSAPP, buttons("B", twice), "two buttons' ids are the same"),
        (WHATSAPP, Content::Buttons { frame: both, body: pii("B"), buttons: choices(1) }, "not both"),
        (WHATSAPP, two_untitled, "part 1 of the list has no title"),
        (WHATSAPP, Content::Location(nowhere), "not on the map"),
        (WHATSAPP, template("", "pl", Vec::new()), "name and its language"),
        (WHATSAPP, files_of(vec![link(MediaKind::Image, "i.png")]), "not a web address"),
        (MESSENGER, files_of(vec![link(MediaKind::Image, "ftp://example.com/i.png")]), "not a web address"),
        (MESSENGER, Content::Cards { cards: vec![bare] }, "only a title"),
        (WHATSAPP, Content::Empty, "only comes in"),
        (INSTAGRAM, Content::Removed, "only comes in"),
        (INSTAGRAM, reaction("m", Some("🦀")), "one of love"),
    ];
    for (kind, content, words) in cases {
        let title = refusal(kind, content);
        assert!(title.contains(words), "{words}: {title}");
    }
}

#[test]
fn what_a_channel_cannot_carry_is_refused_before_it_is_committed() {
    for kind in [MESSENGER, INSTAGRAM] {
        assert!(refusal(kind, flow()).contains("no flows"));
        assert!(
            refusal(kind, Content::LocationRequest { body: pii("B") }).contains("cannot ask for a place")
        );
        assert!(refusal(kind, template("t", "pl", Vec::new())).contains("no templates"));
    }
    assert!(refusal(WHATSAPP, Content::Cards { cards: vec![card()] }).contains("no cards"));
    let stored_picture = || files_of(vec![stored(MediaKind::Image, 1)]);
    assert_eq!(
        refusal(INSTAGRAM, stored_picture()),
        "Instagram takes files only by a public address: give a link"
    );
    assert!(check(WHATSAPP, &stored_picture()).is_ok() && check(MESSENGER, &stored_picture()).is_ok());
}

#[test]
fn every_channel_takes_what_it_can_say_in_some_way() {
    let contents = [
        Content::text("x".repeat(10_000)),
        files_of(vec![link(MediaKind::Image, IMAGE), link(MediaKind::Video, "https://example.com/v.mp4")]),
        place(),
        contact(),
        buttons(&chars(1_000), choices(3)),
        list(choices(10), "S"),
        Content::QuickReplies { body: pii("?"), replies: choices(13) },
        open("B", "Open"),
        Content::Heart,
        reaction("m", Some("❤️")),
    ];
    for kind in ChannelKind::ALL {
        for content in &contents {
            assert!(check(kind, content).is_ok(), "{} on {kind}", content.name());
        }
    }
}

#[test]
fn files_that_a_channel_would_not_take_are_refused_before_they_are_uploaded() {
    let limits = [
        (WHATSAPP, MediaKind::Image, 5 << 20),
        (WHATSAPP, MediaKind::Video, 16 << 20),
        (WHATSAPP, MediaKind::Voice, 16 << 20),
        (WHATSAPP, MediaKind::Document, 100 << 20),
        (WHATSAPP, MediaKind::Sticker, 500 << 10),
        (MESSENGER, MediaKind::Image, 25 << 20),
        (MESSENGER, MediaKind::Document, 25 << 20),
    ];
    for (kind, file, max) in limits {
        assert!(check(kind, &files_of(vec![stored(file, max)])).is_ok());
        let title = refusal(kind, files_of(vec![stored(file, max + 1)]));
        assert!(title.contains(&format!("{kind} takes {max}")), "{title}");
    }
    let typed = |kind, mime: &str| files_of(vec![Media { mime: Some(mime.to_owned()), ..stored(kind, 1) }]);
    assert!(check(WHATSAPP, &typed(MediaKind::Voice, "audio/ogg; codecs=opus")).is_ok());
    assert!(check(WHATSAPP, &typed(MediaKind::Document, "application/pdf")).is_ok());
    assert!(refusal(WHATSAPP, typed(MediaKind::Image, "image/gif")).contains("image/jpeg, image/png"));
    assert!(refusal(WHATSAPP, typed(MediaKind::Document, "application/zip")).contains("application/pdf"));
    assert!(refusal(MESSENGER, typed(MediaKind::Video, "text/html")).contains("video/"));
    let gif = Media { mime: Some("image/gif".to_owned()), ..link(MediaKind::Image, IMAGE) };
    assert!(refusal(INSTAGRAM, files_of(vec![gif])).contains("image/png"));
}

fn words(kind: ChannelKind, content: Content) -> String {
    match carried(kind, content) {
        Content::Text { body, .. } => body.reveal(Deliver).clone(),
        other => panic!("{} is no text", other.name()),
    }
}

#[test]
fn choices_become_numbered_lines_where_there_are_no_buttons() {
    let quick = |replies| Content::QuickReplies { body: pii("Which?"), replies };
    assert_eq!(carried(WHATSAPP, quick(choices(3))).name(), "buttons");
    assert_eq!(words(WHATSAPP, quick(choices(4))), "Which?\n\n1. title0\n2. title1\n3. title2\n4. title3");
    let long = vec![choice("a", "longer than a button may be")];
    assert_eq!(words(WHATSAPP, quick(long.clone())), "Which?\n\n1. longer than a button may be");
    assert_eq!(words(MESSENGER, buttons("Which?", long)), "Which?\n\n1. longer than a button may be");
    assert_eq!(carried(INSTAGRAM, buttons("Which?", choices(3))).name(), "buttons");

    let mut row = choice("a", "A");
    row.description = Some("the first".to_owned());
    let several = Content::List {
        frame: Frame { header: Some(pii("H")), footer: Some(pii("F")), header_media: None },
        body: pii("Which?"),
        button: "b".to_owned(),
        sections: vec![
            Section { title: Some("S1".to_owned()), rows: vec![row] },
            Section { title: Some("S2".to_owned()), rows: vec![choice("b", "B")] },
        ],
    };
    assert_eq!(words(INSTAGRAM, several), "H\n\nWhich?\n\nS1\n1. A – the first\n\nS2\n2. B\n\nF");
}

#[test]
fn places_cards_and_long_links_become_text() {
    assert_eq!(words(MESSENGER, place()), "N\nA\nhttps://maps.google.com/?q=52.2,21.0");
    assert_eq!(words(INSTAGRAM, contact()), "A B\n+15550100");
    assert_eq!(
        words(MESSENGER, open("Read", "longer than a button may be")),
        "Read\n\nlonger than a button may be: https://example.com"
    );
    assert_eq!(words(MESSENGER, Content::Heart), "❤️");
    assert_eq!(words(WHATSAPP, Content::Heart), "❤️");
}

#[test]
fn templates_take_every_kind_of_value() {
    let spot = Spot { latitude: pii("1"), longitude: pii("2"), name: None, address: None, url: None };
    let values = vec![
        TemplateParameter::CouponCode { code: pii("SAVE") },
        TemplateParameter::Currency { fallback: pii("$1"), code: "USD".to_owned(), amount_1000: 1_000 },
        TemplateParameter::DateTime { fallback: pii("today") },
        TemplateParameter::Media { media: at_meta(MediaKind::Image, "7") },
        TemplateParameter::Location { place: spot },
    ];
    let body = render(WHATSAPP, &entry(WHATSAPP, template("t", "pl", vec![body_of(values)])), NOW).unwrap();
    let expected = json!([
        {"type": "coupon_code", "coupon_code": "SAVE"},
        {"type": "currency", "currency": {"fallback_value": "$1", "code": "USD", "amount_1000": 1_000}},
        {"type": "date_time", "date_time": {"fallback_value": "today"}},
        {"type": "image", "image": {"id": "7"}},
        {"type": "location", "location": {"latitude": "1", "longitude": "2"}},
    ]);
    assert_eq!(body["template"]["components"][0]["parameters"], expected);
}

#[test]
fn a_voice_message_says_that_it_is_one_and_a_reaction_has_no_context() {
    let voice = entry(WHATSAPP, files_of(vec![at_meta(MediaKind::Voice, "7")]));
    assert_eq!(render(WHATSAPP, &voice, NOW).unwrap()["audio"], json!({"id": "7", "voice": true}));
    let reacted = reply(entry(WHATSAPP, reaction("wamid.1", None)), "wamid.1");
    assert_eq!(render(WHATSAPP, &reacted, NOW).unwrap().get("context"), None);
    let unreacted = entry(MESSENGER, reaction("m_1", None));
    assert_eq!(render(MESSENGER, &unreacted, NOW).unwrap()["sender_action"], "unreact");
}

#[test]
fn a_contact_of_another_channel_has_no_address() {
    let stray =
        OutboxEntry { to: entry(MESSENGER, Content::Heart).to, ..entry(WHATSAPP, Content::text("x")) };
    assert!(render(WHATSAPP, &stray, NOW).unwrap_err().title.contains("no WhatsApp address"));
    assert!(
        render(INSTAGRAM, &OutboxEntry { to: entry(WHATSAPP, Content::Heart).to, ..stray }, NOW)
            .unwrap_err()
            .title
            .contains("no Instagram address")
    );
    let comment = private(entry(WHATSAPP, Content::text("x")), "1_2");
    assert!(render(WHATSAPP, &comment, NOW).unwrap_err().title.contains("no comments"));
}
