//! `iassistance replay`: what the assistant would say by other settings, beside what it said.

use std::path::PathBuf;

use clap::Args;
use futures::StreamExt;
use serde_json::json;

use iassistance_actors::Engine;
use iassistance_actors::settings::default_assistant;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::budget::Cost;
use iassistance_domain::id::{ConversationId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::TenantStore;

use super::{Failure, Output, assistant};
use crate::app::Vaulted;
use crate::replay::{self, Compared, Graded, Said, Sum};
use crate::settings_check;

/// The longest text of an answer that is printed for people, characters.
const SHOWN_CHARS: usize = 600;

/// Runs a tenant's stored turns, or its golden questions, again by other settings or with another
/// model. It asks the model, at its cost; nothing is sent, and no tool that changes something is
/// called. The server must not be running on this store.
#[derive(Args)]
pub struct Arguments {
    /// Whose.
    #[arg(long)]
    tenant: TenantId,
    /// The turns of this conversation alone.
    #[arg(long, conflicts_with = "golden")]
    conversation: Option<ConversationId>,
    /// How many turns at most, or golden questions.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// By these settings: a TOML file over those that count.
    #[arg(long, value_name = "FILE", conflicts_with = "draft")]
    settings: Option<PathBuf>,
    /// By the draft's settings.
    #[arg(long)]
    draft: bool,
    /// With this model.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The golden questions: by the settings that count, and by the others if any are given. Fails
    /// when an answer lacks a trait.
    #[arg(long)]
    golden: bool,
}

/// What is asked with.
struct Trial<'a> {
    engine: &'a Engine,
    ctx: TenantCtx,
    store: &'a dyn TenantStore,
    output: &'a Output,
    currency: &'a str,
    limit: usize,
}

pub async fn run(
    vaulted: &Vaulted,
    engine: &Engine,
    arguments: &Arguments,
    output: &Output,
) -> Result<(), Failure> {
    let ctx = TenantCtx::platform(arguments.tenant);
    let store = vaulted.store.tenant(ctx).await?;
    let counting = match store.assistant().await? {
        Some(stored) => stored.settings,
        None => default_assistant(&vaulted.settings.assistant),
    };
    let tried = tried(arguments, &*store, &counting).await?;
    settings_check::check(&tried, &vaulted.egress)?;
    let trial = Trial {
        engine,
        ctx,
        store: &*store,
        output,
        currency: &vaulted.settings.prices.currency,
        limit: usize::try_from(arguments.limit).unwrap_or(usize::MAX),
    };
    if !arguments.golden {
        return trial.turns(arguments.conversation, &tried).await;
    }
    let others = arguments.draft || arguments.settings.is_some() || arguments.model.is_some();
    trial.golden(&counting, others.then_some(&tried)).await
}

/// The settings that are tried.
async fn tried(
    arguments: &Arguments,
    store: &dyn TenantStore,
    counting: &AssistantSettings,
) -> Result<AssistantSettings, Failure> {
    let mut settings = match &arguments.settings {
        Some(file) => assistant::over(counting.clone(), file)?,
        None if arguments.draft => store.assistant_draft().await?.ok_or("there is no draft")?.settings,
        None => counting.clone(),
    };
    if let Some(model) = &arguments.model {
        settings.model = Some(model.clone());
    }
    Ok(settings)
}

impl Trial<'_> {
    async fn turns(&self, only: Option<ConversationId>, tried: &AssistantSettings) -> Result<(), Failure> {
        let turns = replay::turns(self.store, only, self.limit).await?;
        let all = turns.len();
        if all == 0 {
            return Err("there is no turn that came to something: nothing to compare with".into());
        }
        self.output.note(&format!("{all} turns are asked again."));
        let (mut then, mut now, mut likeness, mut differing, mut gone) =
            (Sum::default(), Sum::default(), 0_usize, 0, 0);
        let mut compared = Box::pin(replay::compare(self.engine, self.ctx, self.store, tried, turns));
        let mut done = 0;
        while let Some(next) = compared.next().await {
            done += 1;
            let Some(next) = next? else {
                gone += 1;
                continue;
            };
            then.add(&next.then);
            now.add(&next.now);
            likeness += usize::from(next.likeness);
            differing += usize::from(!next.differences.is_empty());
            self.output.answer(&self.beside(&next, done, all), &json!({ "compared": next }))?;
        }
        let likeness = likeness.checked_div(now.count).unwrap_or(100);
        let gone_text = if gone > 0 { format!(", {gone} gone") } else { String::new() };
        let text = format!(
            "\n{} turns{gone_text}: {differing} differ in more than words; the words are {likeness} % alike\n  \
             then  {}\n  now   {}",
            now.count,
            self.summed(&then),
            self.summed(&now),
        );
        let value = json!({ "sum": {
            "turns": now.count, "gone": gone, "differing": differing, "likeness": likeness, "then": then, "now": now,
        } });
        self.output.answer(&text, &value)
    }

    async fn golden(
        &self,
        counting: &AssistantSettings,
        tried: Option<&AssistantSettings>,
    ) -> Result<(), Failure> {
        let mut questions = self.store.golden().await?;
        questions.sort_by_key(|question| question.id);
        questions.truncate(self.limit);
        let all = questions.len();
        if all == 0 {
            return Err("there are no golden questions: add some by POST …/golden".into());
        }
        self.output.note(&format!("{all} golden questions are asked."));
        let now = |settings| replay::grade(self.engine, self.ctx, settings, questions.clone());
        let mut counting = Box::pin(now(counting));
        let mut tried = tried.map(|settings| Box::pin(now(settings)));
        let (mut sums, mut passed) = ([Sum::default(); 2], [0_usize; 2]);
        let mut done = 0;
        while let Some(first) = counting.next().await {
            done += 1;
            let second = match &mut tried {
                Some(tried) => tried.next().await.transpose()?,
                None => None,
            };
            let sides = [Some(first?), second];
            for (side, graded) in sides.iter().enumerate() {
                if let Some(graded) = graded {
                    sums[side].add(&graded.answer);
                    passed[side] += usize::from(graded.passed);
                }
            }
            let [first, second] = sides;
            if let Some(first) = first {
                let text = self.graded(&first, second.as_ref(), done, all);
                self.output.answer(&text, &json!({ "graded": { "counting": first, "tried": second } }))?;
            }
        }
        let side = |name: &str, side: usize| {
            format!("  {name:<9} {} of {all} pass  {}", passed[side], self.summed(&sums[side]))
        };
        let mut lines = vec![String::new(), side("counting", 0)];
        let judged = usize::from(tried.is_some());
        if tried.is_some() {
            lines.push(side("tried", 1));
        }
        let value = json!({ "sum": { "questions": all, "counting": { "passed": passed[0], "sum": sums[0] },
            "tried": tried.is_some().then(|| json!({ "passed": passed[1], "sum": sums[1] })) } });
        self.output.answer(&lines.join("\n"), &value)?;
        match all - passed[judged] {
            0 => Ok(()),
            failed => Err(format!("{failed} of {all} answers lack a trait").into()),
        }
    }

    /// A turn then and now, for people.
    fn beside(&self, compared: &Compared, done: usize, all: usize) -> String {
        let Compared { conversation, turn, asked, then, now, differences, likeness } = compared;
        let mut lines = vec![
            format!("\n[{done}/{all}] {conversation} {turn}"),
            format!("  asked  {}", shown(asked)),
            format!("  then   {}", shown(&then.text)),
            format!("         {}", self.used(then)),
            format!("  now    {}", shown(&now.text)),
            format!("         {}", self.used(now)),
            format!("  words  {likeness} % alike"),
        ];
        lines.extend(differences.iter().map(|difference| format!("  differs: {}", shown(difference))));
        lines.join("\n")
    }

    fn graded(&self, first: &Graded, second: Option<&Graded>, done: usize, all: usize) -> String {
        let mut lines = vec![format!("\n[{done}/{all}] {}", shown(&first.question.question))];
        let mut side = |name: &str, graded: &Graded| {
            let mark = if graded.passed { "pass" } else { "FAIL" };
            lines.push(format!("  {name:<9} {mark}  {}", shown(&graded.answer.text)));
            lines.push(format!("            {}", self.used(&graded.answer)));
            lines.extend(graded.missing.iter().map(|missing| format!("            {}", shown(missing))));
        };
        side("counting", first);
        if let Some(second) = second {
            side("tried", second);
        }
        lines.join("\n")
    }

    fn used(&self, said: &Said) -> String {
        let tools =
            if said.tools.is_empty() { String::new() } else { format!("  {}", said.tools.join(", ")) };
        let person = if said.handed_over { "  asks for a person" } else { "" };
        let problem = said.problem.as_ref().map_or_else(String::new, |problem| format!("  ({problem})"));
        let Said { ms, input_tokens, output_tokens, cost, .. } = said;
        let money = self.money(*cost);
        shown(&format!("{ms} ms  {input_tokens}+{output_tokens} tokens  {money}{tools}{person}{problem}"))
    }

    fn summed(&self, sum: &Sum) -> String {
        let Sum { count, problems, input_tokens, output_tokens, cost, ms } = sum;
        let each = ms.checked_div(*count as u64).unwrap_or(0);
        let problems = if *problems > 0 { format!("  {problems} went wrong") } else { String::new() };
        let money = self.money(*cost);
        format!("{money}  {input_tokens}+{output_tokens} tokens  {each} ms each{problems}")
    }

    fn money(&self, cost: Cost) -> String {
        format!("{}.{:06} {}", cost.0 / 1_000_000, cost.0 % 1_000_000, self.currency)
    }
}

/// A text as it is printed: in one line, without what could move the cursor, and not too long.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = plain.take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    if shown.is_empty() { "(nothing)".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(shown(""), "(nothing)");
        assert_eq!(shown(&"x".repeat(700)).chars().count(), 601);
    }
}
