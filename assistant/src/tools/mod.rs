//! Tools: what a model may ask for besides speaking, and what comes of it.
//!
//! A [`toolbox::Toolbox`] holds those of one turn: the platform's own and the tenant's. Whatever a
//! model asks for, it reaches nothing beyond the conversation that the turn is of, and only what the
//! tenant allowed.

mod built_in;
pub mod http;
pub mod schema;
pub mod toolbox;

use async_trait::async_trait;
use iassistance_domain::Pii;
use iassistance_domain::knowledge::Citation;
use iassistance_domain::tool::{HttpTool, ToolCallRecord};
use iassistance_egress::Egress;
use serde_json::Value;

/// A tool as the model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// What it is called by.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A call of a tool, as the model asked for it.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The model's name for this call.
    pub id: String,
    /// The tool, as the model named it: it need not exist.
    pub name: String,
    /// Its arguments: JSON text, if the model keeps to what it was told.
    pub arguments: Pii<String>,
}

/// What came of a call.
#[derive(Clone)]
pub struct Called {
    /// What the model reads of it.
    pub answer: Pii<String>,
    /// What is recorded of it.
    pub record: ToolCallRecord,
    /// What was looked up by it.
    pub citations: Vec<Citation>,
    /// Whether there is nothing more to say in this turn.
    pub ends_turn: bool,
}

/// The tools of one turn. They remember what was done, so that rules can count on it.
#[async_trait]
pub trait Tools: Send {
    /// Those that the model is told of.
    fn specs(&self) -> Vec<ToolSpec>;
    /// Carries out a call of a round (from 1), or says why not. Whatever the model asks for, it gets
    /// an answer to read.
    async fn call(&mut self, call: &ToolCall, round: u32) -> Called;
}

/// Whether a tool can be used as the tenant describes it: its address, its secret's header and its
/// schemas. Where not, says which of its fields is wrong and what would do. A name's addresses are
/// checked when it is called, not here.
pub fn check(tool: &HttpTool, egress: &Egress) -> Result<(), String> {
    schema::Schema::of_arguments(&tool.parameters).map_err(|bad| format!("`parameters` {bad}"))?;
    http::check(tool, egress).map_err(|problem| problem.to_string())
}
