//! What tests of turns, tools and documents share: settings, tools, what the model read, what was recorded.

use std::path::Path;

use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::id::ConversationId;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::tool::{BuiltInTools, HttpTool, ToolMethod, ToolSecret};
use iassistance_simulator::ChatSeen;
use serde_json::{Value, json};

use crate::harness::{Flow, Options, assistant, within};
use crate::products::flying;

/// Lets tools be on this machine, as the simulator's are.
pub const ON_THIS_MACHINE: &str = "tools.private_hosts=[\"127.0.0.1\"]";

/// A flow with tools on this machine, in which time may fly.
pub fn with_tools() -> Options {
    flying(&[ON_THIS_MACHINE])
}

/// Every built-in tool, none of them after an outside server was read.
pub const ALL_BUILT_IN: BuiltInTools = BuiltInTools {
    handover: true,
    knowledge: true,
    attributes: true,
    choices: true,
    follow_up: true,
    after_untrusted: false,
};

/// The assistant of these tests, with these tools.
pub fn with(tools: Vec<HttpTool>) -> AssistantSettings {
    AssistantSettings { tools, built_in: ALL_BUILT_IN, ..assistant() }
}

/// A tool that takes an order's number, and a note if need be, and changes nothing.
pub fn tool(name: &str, url: String) -> HttpTool {
    HttpTool {
        name: name.to_owned(),
        description: format!("Does {name} with an order."),
        method: ToolMethod::Post,
        url,
        parameters: json!({
            "type": "object",
            "properties": {
                "order": { "type": "string", "pattern": "^[A-Z]-[0-9]{1,4}$" },
                "note": { "type": "string", "maxLength": 200 },
            },
            "required": ["order"],
        }),
        answer: None,
        secret: None,
        timeout_ms: 5_000,
        repeatable: false,
        side_effects: false,
        after_untrusted: false,
        trusted: false,
    }
}

/// A header that proves who calls.
pub fn secret(value: &str) -> ToolSecret {
    ToolSecret { header: "X-Shop-Key".into(), value: StoredSecret::new(value) }
}

impl Flow {
    /// These settings count from now on.
    pub async fn settle(&self, tenant: usize, settings: AssistantSettings) {
        let ctx = TenantCtx::platform(self.tenants[tenant]);
        within("settings", self.app.engine.put_assistant(ctx, settings, None)).await.unwrap();
    }

    /// A tool of the simulator's.
    pub fn tool(&self, name: &str) -> HttpTool {
        tool(name, self.simulator.tool_url(name))
    }

    /// The execution records of a conversation of the first tenant as REST shows them, newest first.
    pub async fn turns_of(&self, conversation: ConversationId) -> Vec<Value> {
        let path = format!("/tenants/{}/conversations/{conversation}/turns", self.tenants[0]);
        let (status, body) = self.api("GET", &path, None).await;
        assert_eq!(status, 200, "{body}");
        body["items"].as_array().unwrap().clone()
    }

    /// The newest execution record of the one conversation of the first tenant.
    pub async fn last_turn(&self) -> Value {
        let conversation = self.conversation(0).await;
        self.turns_of(conversation).await.remove(0)
    }

    /// What the simulated model was asked last.
    pub fn last_chat(&self) -> ChatSeen {
        self.simulator.chats().pop().unwrap()
    }

    /// Waits until so many turns have ended.
    pub async fn turns_ended(&self, tenant: usize, count: usize) {
        within("ends of turns", async {
            while self.count(tenant, "turn.ended").await < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A part of each of them.
pub fn each<'a>(items: &'a Value, part: &str) -> Vec<&'a Value> {
    items.as_array().unwrap().iter().map(|item| &item[part]).collect()
}

/// Whether a file in a folder has these bytes in it.
pub fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        std::fs::read(path).unwrap_or_default().windows(bytes.len()).any(|window| window == bytes)
    })
}
