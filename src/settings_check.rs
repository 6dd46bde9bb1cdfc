//! What the assistant's settings must keep to besides their ranges: servers that may be called, and
//! tools that can be used. One place, for REST and for the command line.

use url::Url;

use iassistance_assistant::tools;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_egress::{Destination, Egress};

const URL_BYTES_MAX: usize = 2_000;

/// Checks settings as a whole; the refusal says what would do, and repeats no secret.
pub fn check(settings: &AssistantSettings, egress: &Egress) -> Result<(), String> {
    if let Some(base_url) = &settings.base_url {
        check_base_url(base_url, egress)?;
    }
    settings.validate().map_err(|error| error.to_string())?;
    for tool in &settings.tools {
        if tool.url.contains('#') {
            return Err(format!("the tool `{}`: `url` must have no fragment (what follows a #)", tool.name));
        }
        tools::check(tool, egress).map_err(|what| format!("the tool `{}`: {what}", tool.name))?;
    }
    Ok(())
}

fn check_base_url(text: &str, egress: &Egress) -> Result<(), String> {
    let url: Url = text
        .parse()
        .map_err(|_| "`base_url` must be an address like https://api.openai.com/v1".to_owned())?;
    if text.len() > URL_BYTES_MAX || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "`base_url` must be an address without query and fragment, at most 2,000 characters".to_owned()
        );
    }
    egress.client_for(Destination::Model, &url).map(drop).map_err(|error| format!("`base_url`: {error}"))
}
