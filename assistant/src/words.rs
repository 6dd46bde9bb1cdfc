//! Messages of every form in words, as a model reads them. What the platform says about a message
//! stands in square brackets; what its writer said does not.

use iassistance_domain::Pii;
use iassistance_domain::content::{Content, Media, MediaKind, Place, TemplateParameter};
use iassistance_domain::pii::Reply;

/// What a message says, in words; nothing where there is nothing to read in it.
pub fn words(content: &Content) -> Option<String> {
    let text = match content {
        Content::Text { body, .. } => said(body),
        Content::Media { items, caption } => {
            let files = items.iter().map(file).collect::<Vec<_>>().join(" ");
            with(&files, caption.as_ref())
        }
        Content::Location(place) => location(place),
        Content::Contacts { cards } => {
            let names: Vec<_> = cards.iter().map(|card| said(&card.name)).collect();
            format!("[contact cards: {}]", names.join(", "))
        }
        Content::Buttons { body, buttons, .. } => offer(body, buttons.iter().map(|button| &*button.title)),
        Content::QuickReplies { body, replies } => offer(body, replies.iter().map(|reply| &*reply.title)),
        Content::List { body, sections, .. } => {
            offer(body, sections.iter().flat_map(|section| &section.rows).map(|row| &*row.title))
        }
        Content::Link { body, title, url, .. } => format!("{} [button: {title} → {url}]", said(body)),
        Content::Flow { body, title, .. } => format!("{} [form: {title}]", said(body)),
        Content::LocationRequest { body } => format!("{} [asks for the location]", said(body)),
        Content::Cards { cards } => {
            let titles: Vec<_> = cards.iter().map(|card| said(&card.title)).collect();
            format!("[cards: {}]", titles.join(", "))
        }
        Content::Template(template) => {
            let values: Vec<_> = template
                .components
                .iter()
                .flat_map(|component| &component.parameters)
                .filter_map(value)
                .collect();
            format!("[template {}: {}]", template.name, values.join(", "))
        }
        Content::Heart => "[a heart]".to_owned(),
        Content::Selection { title, id, description, .. } => {
            let chosen = [Some(title), description.as_ref()];
            let chosen: Vec<_> =
                chosen.into_iter().flatten().map(said).filter(|text| !text.is_empty()).collect();
            let value = id.as_ref().map(said).filter(|id| !chosen.contains(id));
            let value = value.map_or_else(String::new, |value| format!(" [value: {value}]"));
            format!("{}{value}", chosen.join(": "))
        }
        Content::FlowResponse { name, answers, .. } => {
            format!("[answers to the form {}: {}]", name.as_deref().unwrap_or_default(), said(answers))
        }
        Content::Order { note, items, .. } => {
            let items: Vec<_> =
                items.iter().map(|item| format!("{} × {}", said(&item.quantity), said(&item.id))).collect();
            with(&format!("[order: {}]", items.join(", ")), note.as_ref())
        }
        Content::Shared { kind, title, text, .. } => {
            let title = title.as_ref().map_or_else(String::new, |title| format!(": {}", said(title)));
            with(&format!("[shared {kind}{title}]"), text.as_ref())
        }
        Content::Comment { text, .. } => format!("[public comment] {}", said(text)),
        Content::Unsupported { what, .. } => format!("[something that cannot be shown here: {what}]"),
        // What people of the business write for each other, a note, is nobody else's.
        Content::Note { .. }
        | Content::Reaction { .. }
        | Content::CallPermission { .. }
        | Content::Empty
        | Content::Removed => {
            return None;
        }
        _ => return None,
    };
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn said(text: &Pii<String>) -> String {
    text.reveal(Reply).trim().to_owned()
}

fn with(note: &str, text: Option<&Pii<String>>) -> String {
    text.map_or_else(|| note.to_owned(), |text| format!("{note} {}", said(text)))
}

fn offer<'a>(body: &Pii<String>, titles: impl Iterator<Item = &'a str>) -> String {
    format!("{} [choices: {}]", said(body), titles.collect::<Vec<_>>().join(" | "))
}

/// A file, with what was heard or read in it. What a person says in a recording is their word like any
/// other; a document is marked where it begins and ends.
fn file(media: &Media) -> String {
    let kind = media.kind.name();
    let name = media.filename.as_ref().map_or_else(String::new, |name| format!(": {}", said(name)));
    let text = media.text.as_ref().map(said).filter(|text| !text.is_empty());
    match (text, media.kind) {
        (None, _) => format!("[{kind}{name}]"),
        (Some(text), MediaKind::Document) => {
            format!("[{kind}{name}; its text:]\n{text}\n[end of the {kind}]")
        }
        (Some(text), _) => format!("[{kind}{name}; as it was heard:] {text}"),
    }
}

fn location(place: &Place) -> String {
    let named: Vec<_> = [&place.name, &place.address].into_iter().flatten().map(said).collect();
    let (latitude, longitude) = (said(&place.latitude), said(&place.longitude));
    format!("[location: {}]", [named, vec![format!("{latitude}, {longitude}")]].concat().join("; "))
}

fn value(parameter: &TemplateParameter) -> Option<String> {
    match parameter {
        TemplateParameter::Text { text, .. } => Some(said(text)),
        TemplateParameter::Currency { fallback, .. } | TemplateParameter::DateTime { fallback } => {
            Some(said(fallback))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use iassistance_domain::content::{MediaSource, SelectionKind};

    use super::*;

    fn image(caption: Option<&str>) -> Content {
        let source = MediaSource::Meta { id: None, url: None };
        let media =
            Media { kind: MediaKind::Image, mime: None, filename: None, sha256: None, source, text: None };
        Content::Media { items: vec![media], caption: caption.map(|text| text.to_owned().into()) }
    }

    fn with_text(kind: MediaKind, name: Option<&str>, text: &str) -> Content {
        let mut content = image(None);
        for media in content.media_mut() {
            media.kind = kind;
            media.filename = name.map(|name| name.to_owned().into());
            media.text = Some(text.to_owned().into());
        }
        content
    }

    #[test]
    fn what_was_heard_and_read_in_files_is_told() {
        let voice = with_text(MediaKind::Voice, None, " hola ");
        assert_eq!(words(&voice).as_deref(), Some("[voice; as it was heard:] hola"));
        let menu = with_text(MediaKind::Document, Some("menu.pdf"), "Soup 5");
        let read = "[document: menu.pdf; its text:]\nSoup 5\n[end of the document]";
        assert_eq!(words(&menu).as_deref(), Some(read));
        let silent = with_text(MediaKind::Voice, None, "  ");
        assert_eq!(words(&silent).as_deref(), Some("[voice]"));
    }

    #[test]
    fn what_the_platform_says_is_told_from_what_its_writer_said() {
        assert_eq!(words(&Content::text(" hi ")).as_deref(), Some("hi"));
        assert_eq!(words(&image(None)).as_deref(), Some("[image]"));
        assert_eq!(words(&image(Some("receipt"))).as_deref(), Some("[image] receipt"));
        let chosen = Content::Selection {
            of: SelectionKind::Button,
            title: "Yes".to_owned().into(),
            id: Some("yes_1".to_owned().into()),
            description: None,
        };
        assert_eq!(words(&chosen).as_deref(), Some("Yes [value: yes_1]"));
    }

    #[test]
    fn what_has_no_words_is_left_out() {
        let note = Content::Note { body: "she is a friend of mine".to_owned().into() };
        for nothing in [Content::Empty, Content::Removed, Content::text(" \n"), note] {
            assert!(words(&nothing).is_none());
        }
    }
}
