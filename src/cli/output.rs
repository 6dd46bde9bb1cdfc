//! What commands print: for people, or as JSON for programs.

use std::io::Write;

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
        if self.json { self.raw(&serde_json::to_string(value)?) } else { self.raw(text) }
    }

    /// Prints a line for people alone.
    pub fn note(&self, text: &str) {
        if !self.json {
            // Nobody reads it any more: the work goes on.
            drop(writeln!(std::io::stdout(), "{text}"));
        }
    }

    /// Prints a text as it is.
    pub fn raw(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
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
        let line =
            if self.json { serde_json::json!({ "error": text }).to_string() } else { format!("iassistance: {text}") };
        drop(writeln!(std::io::stderr(), "{line}"));
    }
}
