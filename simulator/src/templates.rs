//! Message templates of WhatsApp: what a business account has, and what becomes of one that is sent.
//!
//! Meta: Cloud API, message templates; errors 132000, 132001, 132005, 132012, 132015, 132016.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fields::Fields;
use crate::graph_error::GraphError;
use crate::shown::{Choice, ChoiceKind, MediaKind, Shown, ShownKind, ShownMedia};

const BODY_CHARS_MAX: usize = 1_024;
const FIRST_ID: usize = 700_000_000_000_001;

/// A button of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum TemplateButton {
    /// Answers with words; the send may give it a payload.
    QuickReply {
        /// What is written on it.
        text: String,
    },
    /// Opens an address; with `{{1}}` in it, the send gives that part.
    Url {
        /// What is written on it.
        text: String,
        /// The address.
        url: String,
    },
}

/// What stands above the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateHeader {
    /// A picture, which the send gives.
    Image,
    /// A video, which the send gives.
    Video,
    /// A document, which the send gives.
    Document,
}

/// A message template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Its language, as a code.
    pub language: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    pub category: String,
    /// `APPROVED`, `PENDING`, `REJECTED`, `PAUSED` or `DISABLED`.
    pub status: String,
    /// What stands above the words.
    #[serde(default)]
    pub header: Option<TemplateHeader>,
    /// Its words, with places such as `{{1}}` or `{{name}}`.
    pub body: String,
    /// What stands below the words.
    #[serde(default)]
    pub footer: Option<String>,
    /// Its buttons.
    #[serde(default)]
    pub buttons: Vec<TemplateButton>,
}

/// The templates that every business account begins with.
pub fn seeded() -> Vec<Template> {
    let template = |name: &str, language: &str, category: &str, body: &str| Template {
        name: name.to_owned(),
        language: language.to_owned(),
        category: category.to_owned(),
        status: "APPROVED".to_owned(),
        header: None,
        body: body.to_owned(),
        footer: None,
        buttons: Vec::new(),
    };
    let quick = |text: &str| TemplateButton::QuickReply { text: text.to_owned() };
    vec![
        template("hello_world", "en_US", "UTILITY", "Welcome and congratulations!"),
        Template {
            buttons: vec![quick("Gdzie jest paczka?")],
            ..template("order_update", "pl", "UTILITY", "Dzień dobry {{1}}, zamówienie jest w drodze.")
        },
        Template {
            buttons: vec![quick("Where is it?")],
            ..template("order_update", "en_US", "UTILITY", "Hello {{1}}, your order is on its way.")
        },
        template("order_update2", "en_US", "UTILITY", "Hello {{name}}, your order is on its way."),
        Template {
            header: Some(TemplateHeader::Image),
            footer: Some("Reply STOP to hear no more.".to_owned()),
            buttons: vec![
                TemplateButton::Url { text: "Look".to_owned(), url: "https://example.com/{{1}}".to_owned() },
                quick("Not now"),
            ],
            ..template("weekly_offer", "en_US", "MARKETING", "This week for you: {{1}} at {{2}}.")
        },
        Template { status: "PAUSED".to_owned(), ..template("old_offer", "en_US", "MARKETING", "Old news.") },
    ]
}

/// A template that a send names.
pub(crate) struct TemplateCall {
    pub name: String,
    pub language: String,
    components: Vec<Component>,
}

struct Component {
    kind: String,
    sub_type: String,
    index: usize,
    parameters: Vec<Parameter>,
}

struct Parameter {
    name: Option<String>,
    kind: String,
    text: String,
    media: Option<ShownMedia>,
}

impl TemplateCall {
    pub fn parse(template: &Fields<'_>) -> Result<Self, GraphError> {
        template.only(&["name", "language", "components", "namespace"])?;
        let language = template.need_object("language")?;
        language.only(&["code", "policy"])?;
        let components = template.list_or_empty("components", 20)?;
        Ok(Self {
            name: template.need("name", 512)?.to_owned(),
            language: language.need("code", 20)?.to_owned(),
            components: components.iter().map(parse_component).collect::<Result<_, _>>()?,
        })
    }

    /// The files that it brings.
    pub fn media(&self) -> impl Iterator<Item = &ShownMedia> {
        self.components
            .iter()
            .flat_map(|one| &one.parameters)
            .filter_map(|parameter| parameter.media.as_ref())
    }

    fn parameters(&self, kind: &str) -> &[Parameter] {
        let found = self.components.iter().find(|component| component.kind == kind);
        found.map_or(&[], |component| &component.parameters)
    }

    fn button(&self, index: usize) -> Option<&Component> {
        self.components.iter().find(|component| component.kind == "button" && component.index == index)
    }
}

fn parse_component(component: &Fields<'_>) -> Result<Component, GraphError> {
    component.only(&["type", "sub_type", "index", "parameters"])?;
    let kind = component.one_of("type", &["header", "body", "button"])?;
    let button = kind == "button";
    let sub_type =
        if button { component.one_of("sub_type", &["quick_reply", "url", "copy_code", "flow"])? } else { "" };
    let index = match component.get("index") {
        None if button => return Err(GraphError::missing("Parameter 'index' is mandatory for a button.")),
        None => 0,
        Some(index) => {
            let index = index.as_u64().or_else(|| index.as_str().and_then(|text| text.parse().ok()));
            let index = index.filter(|index| *index < 10).and_then(|index| usize::try_from(index).ok());
            index.ok_or_else(|| GraphError::bad_value("Param index of a button is 0 to 9."))?
        }
    };
    let parameters = component.list_or_empty("parameters", 100)?;
    let parameters = parameters.iter().map(parse_parameter).collect::<Result<_, _>>()?;
    Ok(Component { kind: kind.to_owned(), sub_type: sub_type.to_owned(), index, parameters })
}

fn parse_parameter(parameter: &Fields<'_>) -> Result<Parameter, GraphError> {
    const KINDS: [&str; 9] =
        ["text", "payload", "currency", "date_time", "image", "video", "document", "coupon_code", "action"];
    let kind = parameter.one_of("type", &KINDS)?;
    parameter.only(&["type", "parameter_name", kind])?;
    let mut media = None;
    let text = match kind {
        "text" | "payload" | "coupon_code" => parameter.need(kind, 32_768)?.to_owned(),
        "currency" | "date_time" => parameter.need_object(kind)?.need("fallback_value", 1_024)?.to_owned(),
        "image" | "video" | "document" => {
            let sort = match kind {
                "image" => MediaKind::Image,
                "video" => MediaKind::Video,
                _ => MediaKind::Document,
            };
            let file = parameter.need_object(kind)?;
            file.only(&["id", "link", "filename"])?;
            media = Some(file.media(sort)?);
            String::new()
        }
        _ => String::new(),
    };
    let name = parameter.optional("parameter_name", 60)?.map(str::to_owned);
    Ok(Parameter { name, kind: kind.to_owned(), text, media })
}

/// The places of a text: what stands between `{{` and `}}`, in order, each once.
fn places(text: &str) -> Vec<&str> {
    let mut places = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((place, left)) = after.split_once("}}") else { break };
        if !places.contains(&place.trim()) {
            places.push(place.trim());
        }
        rest = left;
    }
    places
}

fn count_mismatch(of: &str, expected: usize, given: usize) -> GraphError {
    GraphError::coded(
        132_000,
        &format!(
            "{of}: number of localizable_params ({given}) does not match the expected number of params ({expected})"
        ),
    )
}

fn format_mismatch(details: &str) -> GraphError {
    GraphError::coded(132_012, details)
}

impl Template {
    /// What is sent when this is called; refuses a call that does not fit.
    pub(crate) fn render(&self, call: &TemplateCall) -> Result<(String, Shown), GraphError> {
        match self.status.as_str() {
            "APPROVED" => {}
            "PAUSED" => return Err(GraphError::coded(132_015, "Template is paused due to low quality.")),
            "DISABLED" => return Err(GraphError::coded(132_016, "Template is disabled.")),
            _ => return Err(unknown(&call.name, &call.language)),
        }
        let mut shown = Shown { footer: self.footer.clone(), ..Shown::of(ShownKind::Template) };
        self.render_header(call, &mut shown)?;
        let text = self.render_body(call.parameters("body"))?;
        let buttons = call.components.iter().filter(|component| component.kind == "button");
        if buttons.clone().any(|button| button.index >= self.buttons.len()) {
            return Err(count_mismatch("buttons", self.buttons.len(), buttons.count()));
        }
        for (index, button) in self.buttons.iter().enumerate() {
            shown.choices.push(render_button(button, call.button(index))?);
        }
        Ok((text, shown))
    }

    fn render_header(&self, call: &TemplateCall, shown: &mut Shown) -> Result<(), GraphError> {
        let given = call.parameters("header");
        let expected = usize::from(self.header.is_some());
        if given.len() != expected {
            return Err(count_mismatch("header", expected, given.len()));
        }
        let (Some(header), Some(parameter)) = (self.header, given.first()) else { return Ok(()) };
        let wanted = match header {
            TemplateHeader::Image => "image",
            TemplateHeader::Video => "video",
            TemplateHeader::Document => "document",
        };
        if parameter.kind != wanted {
            return Err(format_mismatch(&format!("header: Format mismatch, expected {wanted}")));
        }
        shown.media.extend(parameter.media.clone());
        Ok(())
    }

    fn render_body(&self, given: &[Parameter]) -> Result<String, GraphError> {
        let places = places(&self.body);
        if places.len() != given.len() {
            return Err(count_mismatch("body", places.len(), given.len()));
        }
        let numbered = places.iter().all(|place| place.bytes().all(|byte| byte.is_ascii_digit()));
        let mut text = self.body.clone();
        for (index, place) in places.iter().enumerate() {
            let parameter = if numbered {
                given.get(index).filter(|parameter| parameter.name.is_none())
            } else {
                given.iter().find(|parameter| parameter.name.as_deref() == Some(place))
            };
            let parameter = parameter.filter(|parameter| !parameter.text.is_empty());
            let Some(parameter) = parameter.filter(|parameter| parameter.kind != "payload") else {
                return Err(format_mismatch(&format!(
                    "body: Parameter name or format mismatch at {{{{{place}}}}}"
                )));
            };
            if parameter.text.contains(['\n', '\t']) || parameter.text.contains("    ") {
                let details =
                    "Param text cannot have new-line/tab characters or more than 4 consecutive spaces";
                return Err(GraphError::coded(132_007, details));
            }
            text = text.replace(&format!("{{{{{place}}}}}"), &parameter.text);
        }
        if text.chars().count() > BODY_CHARS_MAX {
            return Err(GraphError::coded(132_005, "Translated text too long"));
        }
        Ok(text)
    }

    /// As `GET /{waba}/message_templates` lists it.
    pub(crate) fn listed(&self, index: usize) -> Value {
        let mut components = Vec::new();
        if let Some(header) = self.header {
            let format = match header {
                TemplateHeader::Image => "IMAGE",
                TemplateHeader::Video => "VIDEO",
                TemplateHeader::Document => "DOCUMENT",
            };
            components.push(json!({"type": "HEADER", "format": format}));
        }
        components.push(json!({"type": "BODY", "text": self.body}));
        if let Some(footer) = &self.footer {
            components.push(json!({"type": "FOOTER", "text": footer}));
        }
        if !self.buttons.is_empty() {
            let buttons = self.buttons.iter().map(|button| match button {
                TemplateButton::QuickReply { text } => json!({"type": "QUICK_REPLY", "text": text}),
                TemplateButton::Url { text, url } => json!({"type": "URL", "text": text, "url": url}),
            });
            components.push(json!({"type": "BUTTONS", "buttons": buttons.collect::<Vec<_>>()}));
        }
        let named = places(&self.body).iter().any(|place| place.bytes().any(|byte| !byte.is_ascii_digit()));
        json!({"name": self.name, "parameter_format": if named { "NAMED" } else { "POSITIONAL" },
               "components": components, "language": self.language, "status": self.status,
               "category": self.category, "id": (FIRST_ID + index).to_string()})
    }

    /// The number that webhooks name it by.
    pub(crate) const fn number(index: usize) -> usize {
        FIRST_ID + index
    }
}

fn render_button(button: &TemplateButton, given: Option<&Component>) -> Result<Choice, GraphError> {
    let parameters = given.map_or(&[][..], |component| &component.parameters);
    match button {
        TemplateButton::QuickReply { text } => {
            if given.is_some_and(|component| component.sub_type != "quick_reply") || parameters.len() > 1 {
                return Err(format_mismatch("buttons: Format mismatch, expected quick_reply"));
            }
            let payload = parameters.first().map_or(text, |parameter| &parameter.text);
            Ok(Choice::new(ChoiceKind::TemplateButton, payload, text))
        }
        TemplateButton::Url { text, url } => {
            if given.is_some_and(|component| component.sub_type != "url") {
                return Err(format_mismatch("buttons: Format mismatch, expected url"));
            }
            let expected = places(url).len();
            if parameters.len() != expected {
                return Err(count_mismatch("buttons", expected, parameters.len()));
            }
            let part = parameters.first().map_or("", |parameter| &parameter.text);
            Ok(Choice::new(ChoiceKind::Link, &url.replace("{{1}}", part), text))
        }
    }
}

/// 132001: no template of this name in this language.
pub(crate) fn unknown(name: &str, language: &str) -> GraphError {
    GraphError::coded(132_001, &format!("template name ({name}) does not exist in {language}"))
}
