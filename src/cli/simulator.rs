//! `iassistance simulator`: the stand-in alone, for a server in another process.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use iassistance_actors::kernel::SystemClock;
use iassistance_simulator::{
    Account, AccountKind, EventShape, Limits, ModelSettings, Number, ScriptedAnswer, Simulator,
    SimulatorSettings, StatusDelays, WebhookSettings,
};

use super::serve::stop_signal;
use super::{Failure, Output};

/// The simulated number, its account, and what it is opened with. Nothing of it exists elsewhere.
pub const PHONE_NUMBER_ID: &str = "200000000000001";
pub const WABA_ID: &str = "100000000000001";
pub const DISPLAY_NUMBER: &str = "+1 555-010-0001";
/// Meta's id of the simulated app.
pub const APP_ID: &str = "1000000001";
pub const APP_SECRET: &str = "simulated-app-secret";
pub const VERIFY_TOKEN: &str = "simulated-verify-token";
pub const ACCESS_TOKEN: &str = "simulated-access-token";
pub const MODEL_KEY: &str = "simulated-model-key";
pub const PAGE_ID: &str = "900000000000001";
pub const PAGE_TOKEN: &str = "simulated-page-token";
pub const INSTAGRAM_ID: &str = "17840000000000001";
pub const INSTAGRAM_USER_ID: &str = "27840000000000001";
pub const INSTAGRAM_TOKEN: &str = "simulated-instagram-token";
/// An Instagram account that is connected through its Page.
pub const PAGE_INSTAGRAM_ID: &str = "17840000000000002";

#[derive(Args)]
pub struct Arguments {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// Where webhooks go; only http on this machine.
    #[arg(long)]
    callback: Option<String>,
    /// What chance is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The pause before a webhook's first retry, milliseconds; it doubles up to --retry-max-ms.
    #[arg(long, default_value_t = 500)]
    first_retry_ms: u64,
    /// The longest pause between retries of a webhook, milliseconds.
    #[arg(long, default_value_t = 60_000)]
    retry_max_ms: u64,
    /// Lift the limits on pairs and numbers: for load.
    #[arg(long)]
    no_limits: bool,
    /// How many numbers there are, from 200000000000001 on.
    #[arg(long, default_value_t = 1)]
    numbers: u64,
}

/// A simulator's settings for one number that everything here is set up with.
pub fn settings(port: u16, seed: u64, numbers: u64) -> SimulatorSettings {
    let first: u64 = PHONE_NUMBER_ID.parse().unwrap_or_default();
    let number = |index: u64| Number {
        phone_number_id: (first + index).to_string(),
        waba_id: WABA_ID.to_owned(),
        display_phone_number: format!("+1 555-010-{:04}", index + 1),
        verified_name: "Demo Shop".to_owned(),
        access_token: ACCESS_TOKEN.to_owned(),
    };
    SimulatorSettings {
        port,
        seed,
        numbers: (0..numbers.max(1)).map(number).collect(),
        accounts: accounts(),
        app_id: APP_ID.to_owned(),
        app_secret: APP_SECRET.to_owned(),
        verify_token: VERIFY_TOKEN.to_owned(),
        model_key: MODEL_KEY.to_owned(),
        ..SimulatorSettings::default()
    }
}

/// A page, an Instagram account by itself, and one through the page.
fn accounts() -> Vec<Account> {
    let account = |kind, name: &str, token: &str| Account {
        kind,
        name: name.to_owned(),
        access_token: token.to_owned(),
        app_id: None,
        shape: EventShape::Messaging,
    };
    let page_id = || PAGE_ID.to_owned();
    vec![
        account(AccountKind::Messenger { page_id: page_id() }, "Demo Shop", PAGE_TOKEN),
        account(
            AccountKind::InstagramLogin {
                ig_id: INSTAGRAM_ID.to_owned(),
                user_id: INSTAGRAM_USER_ID.to_owned(),
            },
            "Demo Shop",
            INSTAGRAM_TOKEN,
        ),
        account(
            AccountKind::InstagramPage { ig_id: PAGE_INSTAGRAM_ID.to_owned(), page_id: page_id() },
            "Demo Shop, through its page",
            PAGE_TOKEN,
        ),
    ]
}

/// Delays as people feel them: for chatting, not for tests.
pub fn human(settings: SimulatorSettings) -> SimulatorSettings {
    SimulatorSettings {
        statuses: StatusDelays { sent_ms: 150, delivered_ms: 350, read_ms: Some(1_500) },
        model: ModelSettings {
            think_ms: 400,
            tokens_per_second: 40,
            answers: demo_answers(),
            ..ModelSettings::default()
        },
        ..settings
    }
}

/// What the simulated model does by itself, so that it can be seen: it looks things up, and it asks for
/// a person.
fn demo_answers() -> Vec<ScriptedAnswer> {
    let looked_up = |words: &str, query: &str, answer: &str| {
        let answer = ScriptedAnswer::says(words, &format!("I looked it up: {answer}"));
        answer.calling("search_knowledge", json!({ "query": query }))
    };
    let handed_over = |words: &str| {
        let answer = ScriptedAnswer::says(words, "Of course. Somebody will write to you here.");
        answer.calling("handover_to_human", json!({ "reason": format!("they wrote \"{words}\"") }))
    };
    let people = ["human", "real person", "complaint", "persona", "pessoa"];
    let returns = "everything can be returned within 30 days, with the receipt or the order number.";
    let hours = "Monday to Friday from 9:00 to 19:00, on Saturday from 10:00 to 14:00.";
    let shipping = "free from 50 euros, 4.90 below that; two to three days in the country.";
    let paying = "by card or bank transfer, and in the shop in cash.";
    let things = [
        ("return", "returns and refunds", returns),
        ("refund", "returns and refunds", returns),
        ("devol", "returns and refunds", returns),
        ("open", "opening hours", hours),
        ("horario", "opening hours", hours),
        ("ship", "shipping", shipping),
        ("envío", "shipping", shipping),
        ("pay", "paying", paying),
    ];
    let people = people.into_iter().map(handed_over);
    people.chain(things.into_iter().map(|(words, query, answer)| looked_up(words, query, answer))).collect()
}

pub fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let Arguments { port, callback, seed, first_retry_ms, retry_max_ms, no_limits, numbers } = arguments;
    let mut simulated = settings(port, seed, numbers);
    simulated.callback_url = callback;
    simulated.webhooks =
        WebhookSettings { first_retry_ms, retry_ms_max: retry_max_ms, ..WebhookSettings::default() };
    if no_limits {
        simulated.limits = Limits { pair_every_ms: 0, number_per_second: 0, ..Limits::default() };
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let simulator = Simulator::start(simulated, Arc::new(SystemClock)).await?;
        let address = format!("http://{}", simulator.address());
        output.answer(
            &format!("Simulating on {address}; phone: {}", simulator.phone_url()),
            &serde_json::json!({ "listening": address }),
        )?;
        stop_signal().await?;
        simulator.stop().await;
        Ok(())
    })
}
