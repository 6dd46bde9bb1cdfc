//! What a turn had done in the world before a newer message superseded it: the turn that answers instead
//! comes to the same calls again, and they are not to be done twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use iassistance_assistant::tools::http::{HttpCall, HttpCalled, HttpCaller};
use iassistance_domain::Pii;
use iassistance_domain::id::TurnId;

/// How many are remembered.
const DEEDS_MAX: usize = 50;

/// The deeds of one conversation's turns that did not come to their end. In memory alone: after a restart
/// a tool's server still knows a call by its key.
#[derive(Clone, Default)]
pub(crate) struct Deeds(Arc<Mutex<Vec<Deed>>>);

struct Deed {
    turn: TurnId,
    tool: String,
    arguments: Pii<String>,
    answer: Pii<String>,
}

impl Deeds {
    /// A turn came to its end: what it did is told by what it said.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    /// Calls tools for a turn, but for what was done before it.
    pub(crate) fn of(&self, turn: TurnId, http: Arc<dyn HttpCaller>) -> Arc<dyn HttpCaller> {
        Arc::new(Once { turn, deeds: self.clone(), http })
    }

    /// The answer to this very call, if an earlier turn made it; it stands for one call.
    fn take(&self, turn: TurnId, tool: &str, arguments: &Pii<String>) -> Option<Pii<String>> {
        let mut deeds = self.lock();
        let same = |deed: &Deed| deed.turn != turn && deed.tool == tool && deed.arguments == *arguments;
        let place = deeds.iter().position(same)?;
        Some(deeds.remove(place).answer)
    }

    fn add(&self, deed: Deed) {
        let mut deeds = self.lock();
        if deeds.len() >= DEEDS_MAX {
            deeds.remove(0);
        }
        deeds.push(deed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Deed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Once {
    turn: TurnId,
    deeds: Deeds,
    http: Arc<dyn HttpCaller>,
}

#[async_trait]
impl HttpCaller for Once {
    async fn call(&self, call: HttpCall<'_>) -> HttpCalled {
        if !call.tool.side_effects {
            return self.http.call(call).await;
        }
        let tool = call.tool.name.clone();
        let arguments = Pii::new(serde_json::to_string(call.arguments).unwrap_or_default());
        let called = match self.deeds.take(self.turn, &tool, &arguments) {
            Some(answer) => HttpCalled { tries: 0, answer: Ok(answer) },
            None => self.http.call(call).await,
        };
        if let Ok(answer) = &called.answer {
            self.deeds.add(Deed { turn: self.turn, tool, arguments, answer: answer.clone() });
        }
        called
    }
}
