//! What the assistant's settings must keep to besides their ranges: servers that may be called, and
//! schemas that are some. One place, for REST and for the command line.

use url::Url;

use iassistance_assistant::tools::schema::Schema;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::tool::{HttpTool, ToolSecret};
use iassistance_egress::{Destination, Egress};

const URL_BYTES_MAX: usize = 2_000;
/// Headers that say who is called and how the body is read: they are not the tenant's to set.
const OWN_HEADERS: [&str; 10] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Checks settings as a whole; the refusal says what would do, and repeats no secret.
pub fn check(settings: &AssistantSettings, egress: &Egress) -> Result<(), String> {
    if let Some(base_url) = &settings.base_url {
        check_base_url(base_url, egress)?;
    }
    settings.validate().map_err(|error| error.to_string())?;
    for tool in &settings.tools {
        check_tool(tool, egress).map_err(|what| format!("the tool `{}`: {what}", tool.name))?;
    }
    Ok(())
}

fn check_base_url(text: &str, egress: &Egress) -> Result<(), String> {
    let url: Url =
        text.parse().map_err(|_| "`base_url` must be an address like https://api.openai.com/v1".to_owned())?;
    if text.len() > URL_BYTES_MAX || url.query().is_some() || url.fragment().is_some() {
        return Err("`base_url` must be an address without query and fragment, at most 2,000 characters".to_owned());
    }
    egress.client_for(Destination::Model, &url).map(drop).map_err(|error| format!("`base_url`: {error}"))
}

fn check_tool(tool: &HttpTool, egress: &Egress) -> Result<(), String> {
    let url: Url = tool
        .url
        .parse()
        .map_err(|_| "`url` must be an address like https://shop.example/orders".to_owned())?;
    if url.fragment().is_some() {
        return Err("`url` must have no fragment (what follows a #)".to_owned());
    }
    egress.client_for(Destination::Tool, &url).map(drop).map_err(|error| format!("`url`: {error}"))?;
    let schemas = [("parameters", Some(&tool.parameters)), ("answer", tool.answer.as_ref())];
    for (name, schema) in schemas {
        if let Some(schema) = schema {
            Schema::compile(schema).map(drop).map_err(|error| format!("`{name}`: {error}"))?;
        }
    }
    tool.secret.as_ref().map_or(Ok(()), check_secret)
}

fn check_secret(secret: &ToolSecret) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let header = &secret.header;
    let fits = (1..=64).contains(&header.len()) && header.bytes().all(token);
    if !fits || OWN_HEADERS.contains(&header.to_ascii_lowercase().as_str()) {
        return Err("`secret.header` must be the name of a header such as Authorization or X-Api-Key".to_owned());
    }
    let value = secret.value.expose();
    let visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !(1..=4_096).contains(&value.len()) || value.trim() != value || !value.bytes().all(visible) {
        return Err("`secret.value` must have 1 to 4,096 visible ASCII characters, spaces only in between".to_owned());
    }
    Ok(())
}
