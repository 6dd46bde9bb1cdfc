//! The server's lives, each ended by `kill -9` at a moment of its kind.

use std::time::Duration;

use iassistance_domain::{Entropy, SeededEntropy};
use serde_json::{Value, json};

use crate::chores::Chores;
use crate::system::{Listened, System, UNKNOWN_MS};

/// How long after its start, or after it listens, a life ends at the latest, milliseconds.
const STARTING_MS_MAX: u64 = 120;
const RECOVERING_MS_MAX: u64 = 250;
const LOADED_MS_MAX: u64 = 2_000;
/// One in so many lives is long enough to find out what became of the sends that kills cut short.
const LONG_ONE_IN: u64 = 15;

/// When a life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// While the server starts.
    Starting,
    /// Shortly after it listens, with what the life before left unfinished.
    Recovering,
    /// While people write.
    Loaded,
    /// The same, while the model hardly answers: most of what was accepted is unfinished then.
    Burdened,
    /// When everything that a life can find out by itself has been found out.
    Long,
}

/// What was seen of all lives.
#[derive(Default)]
pub struct Lives {
    /// Of them, those that ended before they listened.
    pub ended_starting: u64,
    /// Those that ended while they took up what had been left, and how many turns had been.
    pub ended_recovering: u64,
    pub unfinished_turns: u64,
    pub ended_loaded: u64,
    pub slowest: Duration,
    before: Option<Kind>,
}

impl Lives {
    /// One life.
    pub async fn live(&mut self, system: &System, chores: &mut Chores, entropy: &SeededEntropy) {
        let kind = self.kind(entropy);
        self.before = Some(kind);
        if kind == Kind::Starting {
            return self.start(system, entropy).await;
        }
        system.simulator("/sim/faults", Some(&faults(kind, entropy))).await;
        let (mut server, listened) = system.serve().listened().await;
        self.slowest = self.slowest.max(listened);
        // Meta's next try of what waits may be far off: lives are short here.
        system.hurry().await;
        let moment_ms = match kind {
            Kind::Starting | Kind::Recovering => entropy.up_to(RECOVERING_MS_MAX),
            Kind::Loaded | Kind::Burdened => entropy.up_to(LOADED_MS_MAX),
            Kind::Long => UNKNOWN_MS + 1_000 + entropy.up_to(LOADED_MS_MAX),
        };
        let moment = tokio::time::sleep(Duration::from_millis(moment_ms));
        let doing = async {
            chores.one(system, entropy).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = moment => {}
            () = doing => {}
        }
        match kind {
            Kind::Recovering => self.ended_recovering += 1,
            Kind::Burdened => {
                self.unfinished_turns += system.state().await["model"]["streams_open"].as_u64().unwrap();
                self.ended_loaded += 1;
            }
            _ => self.ended_loaded += 1,
        }
        server.kill().await;
        chores.cut_short(system.path());
    }

    fn kind(&self, entropy: &SeededEntropy) -> Kind {
        match (self.before, entropy.up_to(LONG_ONE_IN - 1)) {
            (Some(Kind::Burdened), 0..10) => Kind::Recovering,
            (_, 0) => Kind::Long,
            (_, 1..7) => Kind::Starting,
            (_, 7..11) => Kind::Burdened,
            _ => Kind::Loaded,
        }
    }

    async fn start(&mut self, system: &System, entropy: &SeededEntropy) {
        let moment = Duration::from_millis(entropy.up_to(STARTING_MS_MAX));
        let mut starting = system.serve();
        let listens: Result<Listened, _> = tokio::time::timeout(moment, starting.listens()).await;
        match listens {
            Ok(listened) => {
                self.slowest = self.slowest.max(listened);
                self.ended_loaded += 1;
            }
            Err(_) => self.ended_starting += 1,
        }
        starting.server.kill().await;
    }
}

/// What goes wrong in a life besides its end: webhooks come twice or in disorder, answers to sends are
/// lost on the way.
fn faults(kind: Kind, entropy: &SeededEntropy) -> Value {
    let webhooks = match entropy.up_to(2) {
        0 => json!({ "extra_deliveries": 1 }),
        1 => json!({ "shuffle": { "events_max": 16, "hold_ms": 100 } }),
        _ => json!({}),
    };
    let cut = |accepted: bool, per_mille: u16| json!({ "fault": { "kind": "cut", "accepted": accepted }, "per_mille": per_mille });
    let mut faults = json!({ "webhooks": webhooks, "sends": [cut(true, 20), cut(false, 5)] });
    if kind == Kind::Burdened {
        faults["model"] = json!([{ "fault": { "kind": "slow", "token_ms": 400 }, "per_mille": 900 }]);
    }
    faults
}
