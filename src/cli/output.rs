//! What commands print: for people, or as JSON for programs.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::Failure;

/// Where a command's answer goes.
pub struct Output {
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints an answer: `text` for people, `value` for programs.
    pub fn answer(&self, text: &str, value: &impl Serialize) -> Result<(), Failure> {
        if self.json { raw(&serde_json::to_string(value)?) } else { raw(text) }
    }

    /// Prints a line for people alone.
    pub fn note(&self, text: &str) {
        if !self.json {
            // Nobody reads it any more: the work goes on.
            drop(writeln!(std::io::stdout(), "{text}"));
        }
    }

    /// Says that a root key was created, if one was. It goes to the error output, so that it is read
    /// also by who asked for JSON.
    #[expect(clippy::unused_self, reason = "everything that a command says goes through here")]
    pub fn root_key_created(&self, path: Option<&Path>) {
        if let Some(path) = path {
            let text = format!(
                "A root key was created in {}. Without it nothing can be read again: copy it to a safe place, \
                 apart from the data.",
                path.display()
            );
            drop(writeln!(std::io::stderr(), "{text}"));
        }
    }

    /// Prints why a command failed, with what was behind it.
    pub fn failure(&self, failure: &(dyn std::error::Error + 'static)) {
        let mut text = failure.to_string();
        let mut cause = failure.source();
        while let Some(next) = cause {
            let words = next.to_string();
            if !text.contains(&words) {
                text = format!("{text}: {words}");
            }
            cause = next.source();
        }
        let line = if self.json {
            serde_json::json!({ "error": text }).to_string()
        } else {
            format!("iassistance: {text}")
        };
        drop(writeln!(std::io::stderr(), "{line}"));
    }
}

/// Prints a text as it is. Who reads it may stop reading, which is no failure.
pub fn raw(text: &str) -> Result<(), Failure> {
    let line_end = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}{line_end}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
