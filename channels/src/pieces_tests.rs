use super::*;
use crate::samples::{at_meta, buttons, choices, files_of, link, pii};

const WHATSAPP: ChannelKind = ChannelKind::Whatsapp;
const MESSENGER: ChannelKind = ChannelKind::Messenger;
const INSTAGRAM: ChannelKind = ChannelKind::Instagram;

fn names(pieces: &[Content]) -> Vec<&'static str> {
    pieces.iter().map(Content::name).collect()
}

fn text(content: &Content) -> &str {
    match content {
        Content::Text { body, .. } => body.reveal(Deliver),
        other => panic!("{} is no text", other.name()),
    }
}

#[test]
fn texts_are_divided_between_words_and_nothing_is_lost() {
    let text = "one two three four five six seven";
    let pieces = divide(text, Limit::Chars(12));
    assert!(pieces.iter().all(|piece| piece.chars().count() <= 12));
    assert_eq!(pieces.join(" "), text);
}

#[test]
fn what_is_seen_as_one_character_stays_whole() {
    let family = "👩‍👩‍👧‍👦";
    let text = family.repeat(9);
    for limit in [Limit::Chars(20), Limit::Bytes(60)] {
        let pieces = divide(&text, limit);
        assert!(pieces.iter().all(|piece| piece.len() % family.len() == 0 && limit.holds(piece)));
        assert_eq!(pieces.concat(), text);
    }
    let endless = format!("e{}", "\u{301}".repeat(50));
    for limit in [Limit::Chars(20), Limit::Bytes(21)] {
        let pieces = divide(&endless, limit);
        assert!(pieces.iter().all(|piece| limit.holds(piece)));
        assert_eq!(pieces.concat(), endless);
    }
}

#[test]
fn each_channel_divides_at_its_own_limit() {
    for (kind, word, fits) in [(WHATSAPP, "ż", 4_096), (MESSENGER, "ż", 2_000), (INSTAGRAM, "ż", 500)] {
        assert_eq!(pieces(kind, Content::text(word.repeat(fits))).len(), 1, "{kind}");
        let two = pieces(kind, Content::Text { body: pii(&word.repeat(fits + 1)), preview: true });
        assert_eq!(two.len(), 2, "{kind}");
        assert!(two.iter().all(|piece| matches!(piece, Content::Text { preview: true, .. })));
        assert_eq!(text(&two[0]).chars().count(), fits);
    }
    assert_eq!(names(&pieces(WHATSAPP, Content::text(" ".repeat(5_000)))), ["text"]);
}

#[test]
fn files_go_one_by_one_and_pictures_on_instagram_together() {
    let picture = || link(MediaKind::Image, "https://example.com/i.png");
    let album = |items, caption: &str| Content::Media { items, caption: Some(pii(caption)) };

    let on_whatsapp =
        pieces(WHATSAPP, album(vec![at_meta(MediaKind::Voice, "1"), picture(), picture()], "c"));
    assert_eq!(names(&on_whatsapp), ["media", "media", "media"]);
    let captions = on_whatsapp.iter().map(|piece| matches!(piece, Content::Media { caption: Some(_), .. }));
    assert_eq!(captions.collect::<Vec<_>>(), [false, true, false]);
    let voice = pieces(WHATSAPP, album(vec![at_meta(MediaKind::Voice, "1")], "c"));
    assert_eq!(names(&voice), ["media", "text"]);
    let long = pieces(WHATSAPP, album(vec![picture()], &"c".repeat(WHATSAPP_CAPTION_CHARS_MAX + 1)));
    assert_eq!(names(&long), ["media", "text"]);

    let on_messenger = pieces(MESSENGER, album(vec![picture(), picture()], "c"));
    assert_eq!(names(&on_messenger), ["media", "media", "text"]);
    let on_instagram = pieces(INSTAGRAM, album((0..12).map(|_| picture()).collect(), " "));
    assert_eq!(on_instagram.iter().map(|piece| piece.media().len()).collect::<Vec<_>>(), [10, 2]);
    let mixed = files_of(vec![picture(), link(MediaKind::Video, "https://example.com/v.mp4"), picture()]);
    assert_eq!(pieces(INSTAGRAM, mixed).len(), 3);
    assert_eq!(names(&pieces(WHATSAPP, files_of(Vec::new()))), ["media"]);
}

#[test]
fn a_picture_above_a_text_goes_before_it_where_it_cannot_stand_there() {
    let with_picture = || {
        let picture = link(MediaKind::Image, "https://example.com/i.png");
        let frame = Frame { header_media: Some(picture), ..Frame::default() };
        Content::Buttons { frame, body: pii("B"), buttons: choices(2) }
    };
    assert_eq!(names(&pieces(WHATSAPP, with_picture())), ["buttons"]);
    assert_eq!(names(&pieces(MESSENGER, with_picture())), ["media", "buttons"]);
    assert_eq!(names(&pieces(INSTAGRAM, with_picture())), ["media", "buttons"]);
}

#[test]
fn a_list_in_words_is_divided_too() {
    let long = buttons(&"word ".repeat(300), choices(2));
    let divided = pieces(INSTAGRAM, long);
    assert!(divided.len() >= 2);
    assert!(text(divided.last().unwrap()).ends_with("1. title0\n2. title1"));
}
