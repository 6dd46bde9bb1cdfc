//! The interactive messages of WhatsApp: buttons, lists, links, forms, a request for a place.
//!
//! Meta: Cloud API, interactive messages, with their limits.

use crate::fields::Fields;
use crate::graph_error::GraphError;
use crate::graph_request::Outbound;
use crate::shown::{Choice, ChoiceKind, MediaKind, Shown, ShownKind};

const BUTTONS_MAX: usize = 3;
const SECTIONS_MAX: usize = 10;
const ROWS_MAX: usize = 10;
const BODY_CHARS_MAX: usize = 1_024;
const LIST_BODY_CHARS_MAX: usize = 4_096;
const HEADER_CHARS_MAX: usize = 60;
const TITLE_CHARS_MAX: usize = 20;
const KINDS: [&str; 5] = ["button", "list", "cta_url", "flow", "location_request_message"];

pub(crate) fn parse(part: &Fields<'_>) -> Result<Outbound, GraphError> {
    part.only(&["type", "header", "body", "footer", "action"])?;
    let kind = part.one_of("type", &KINDS)?;
    let body_max = if kind == "list" { LIST_BODY_CHARS_MAX } else { BODY_CHARS_MAX };
    let text = part.need_object("body")?.need("text", body_max)?.to_owned();
    let mut shown = Shown::of(ShownKind::Choices);
    if let Some(footer) = part.object("footer")? {
        footer.only(&["text"])?;
        shown.footer = Some(footer.need("text", HEADER_CHARS_MAX)?.to_owned());
    }
    if let Some(header) = part.object("header")? {
        parse_header(&header, kind, &mut shown)?;
    }
    let action = part.need_object("action")?;
    match kind {
        "button" => buttons(&action, &mut shown)?,
        "list" => list(&action, &mut shown)?,
        "cta_url" => link(&action, &mut shown)?,
        "flow" => flow(&action, &mut shown)?,
        _ => {
            action.only(&["name"])?;
            action.one_of("name", &["send_location"])?;
            shown.choices.push(Choice::new(ChoiceKind::Location, "", "Share my place"));
        }
    }
    Ok(Outbound::Message { text, shown })
}

/// Lists and requests for a place have headers of text, if any; the others files too.
fn parse_header(header: &Fields<'_>, kind: &str, shown: &mut Shown) -> Result<(), GraphError> {
    let sort = header.one_of("type", &["text", "image", "video", "document"])?;
    header.only(&["type", sort])?;
    if sort == "text" {
        shown.header = Some(header.need("text", HEADER_CHARS_MAX)?.to_owned());
        return Ok(());
    }
    if kind == "list" || kind == "location_request_message" {
        return Err(header.bad("type", "must be text here"));
    }
    let file = header.need_object(sort)?;
    file.only(&["id", "link", "filename"])?;
    let sort = match sort {
        "image" => MediaKind::Image,
        "video" => MediaKind::Video,
        _ => MediaKind::Document,
    };
    shown.media.push(file.media(sort)?);
    Ok(())
}

fn unique<'a>(seen: &mut Vec<&'a str>, id: &'a str, of: &Fields<'_>) -> Result<(), GraphError> {
    if seen.contains(&id) {
        return Err(of.bad("id", "must be unique"));
    }
    seen.push(id);
    Ok(())
}

fn buttons(action: &Fields<'_>, shown: &mut Shown) -> Result<(), GraphError> {
    action.only(&["buttons"])?;
    let mut seen = Vec::new();
    let mut titles = Vec::new();
    for button in action.list("buttons", BUTTONS_MAX)? {
        button.only(&["type", "reply"])?;
        button.one_of("type", &["reply"])?;
        let reply = button.need_object("reply")?;
        reply.only(&["id", "title"])?;
        let (id, title) = (reply.need("id", 256)?, reply.need("title", TITLE_CHARS_MAX)?);
        unique(&mut seen, id, &reply)?;
        unique(&mut titles, title, &reply)?;
        shown.choices.push(Choice::new(ChoiceKind::Button, id, title));
    }
    Ok(())
}

fn list(action: &Fields<'_>, shown: &mut Shown) -> Result<(), GraphError> {
    action.only(&["button", "sections"])?;
    shown.opens_list = Some(action.need("button", TITLE_CHARS_MAX)?.to_owned());
    let sections = action.list("sections", SECTIONS_MAX)?;
    let several = sections.len() > 1;
    let mut seen = Vec::new();
    for section in &sections {
        section.only(&["title", "rows"])?;
        if several {
            section.need("title", 24)?;
        } else {
            section.optional("title", 24)?;
        }
        for row in section.list("rows", ROWS_MAX)? {
            row.only(&["id", "title", "description"])?;
            let (id, title) = (row.need("id", 200)?, row.need("title", 24)?);
            unique(&mut seen, id, &row)?;
            let description = row.optional("description", 72)?.map(str::to_owned);
            shown.choices.push(Choice { description, ..Choice::new(ChoiceKind::Row, id, title) });
        }
    }
    // Ten rows in all, however many sections there are.
    if shown.choices.len() > ROWS_MAX {
        return Err(action.bad("sections", "must have at most 10 rows in all"));
    }
    Ok(())
}

fn link(action: &Fields<'_>, shown: &mut Shown) -> Result<(), GraphError> {
    action.only(&["name", "parameters"])?;
    action.one_of("name", &["cta_url"])?;
    let parameters = action.need_object("parameters")?;
    parameters.only(&["display_text", "url"])?;
    let title = parameters.need("display_text", TITLE_CHARS_MAX)?;
    shown.choices.push(Choice::new(ChoiceKind::Link, parameters.web("url")?, title));
    Ok(())
}

fn flow(action: &Fields<'_>, shown: &mut Shown) -> Result<(), GraphError> {
    const KNOWN: [&str; 8] = [
        "flow_message_version",
        "flow_id",
        "flow_name",
        "flow_token",
        "flow_cta",
        "flow_action",
        "flow_action_payload",
        "mode",
    ];
    action.only(&["name", "parameters"])?;
    action.one_of("name", &["flow"])?;
    let parameters = action.need_object("parameters")?;
    parameters.only(&KNOWN)?;
    parameters.one_of("flow_message_version", &["3"])?;
    let id = if parameters.has("flow_name") { "flow_name" } else { "flow_id" };
    parameters.need(id, 256)?;
    let token = parameters.optional("flow_token", 1_000)?.unwrap_or("unused");
    if parameters.has("flow_action") {
        parameters.one_of("flow_action", &["navigate", "data_exchange"])?;
    }
    let title = parameters.need("flow_cta", 30)?;
    shown.choices.push(Choice::new(ChoiceKind::Flow, token, title));
    Ok(())
}
