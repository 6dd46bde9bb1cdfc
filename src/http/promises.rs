//! The promises of the published privacy policy, each with its test and how the last run of it ended.
//! For everybody: they name nobody.

use std::collections::BTreeMap;
use std::path::Path;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::{Problem, State};

/// What is promised, in the project's own words.
const PROMISES: &str = include_str!("../../docs/promises.toml");

#[derive(Deserialize)]
struct Book {
    promise: Vec<Promise>,
}

#[derive(Deserialize)]
struct Promise {
    number: u8,
    text: String,
    #[serde(default)]
    awaited: bool,
}

/// How a test ended, as its run wrote it.
#[derive(Deserialize)]
struct Run {
    result: String,
    at: String,
    #[serde(default)]
    counts: String,
}

#[derive(Serialize)]
struct Shown {
    number: u8,
    promise: String,
    test: Option<String>,
    /// `kept`, `broken`, `not_run` or `awaited`.
    result: String,
    date: Option<String>,
    counts: Option<String>,
}

/// Adds the route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/privacy/promises").route(web::get().to(promises)));
}

async fn promises(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let file = state.app.settings.server.promises_file.clone();
    let runs = tokio::task::spawn_blocking(move || runs(&file)).await.map_err(|_| Problem::internal())?;
    let shown = shown(runs).map_err(|_| Problem::internal())?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "promises": shown })))
}

/// The results that are there. A file that cannot be read is as none: then nothing is claimed.
fn runs(file: &Path) -> BTreeMap<String, Run> {
    let read = std::fs::read(file).ok();
    read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn shown(mut runs: BTreeMap<String, Run>) -> Result<Vec<Shown>, toml::de::Error> {
    let Book { promise } = toml::from_str(PROMISES)?;
    let shown = promise.into_iter().map(|promise| {
        let run = runs.remove(&format!("{:02}", promise.number)).filter(|_| !promise.awaited);
        let instead = if promise.awaited { "awaited" } else { "not_run" };
        let (date, counts) =
            (run.as_ref().map(|run| run.at.clone()), run.as_ref().map(|run| run.counts.clone()));
        Shown {
            number: promise.number,
            promise: promise.text,
            test: (!promise.awaited).then(|| format!("promise_{:02}", promise.number)),
            result: run.map_or_else(|| instead.to_owned(), |run| run.result),
            date,
            counts: counts.filter(|counts| !counts.is_empty()),
        }
    });
    Ok(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_run_is_not_claimed() {
        let run =
            Run { result: "kept".to_owned(), at: "2026-01-01T00:00:00Z".to_owned(), counts: "1".to_owned() };
        let all = shown(BTreeMap::from([("22".to_owned(), run)])).unwrap();
        assert_eq!(all.len(), 25);
        let of = |number: u8| all.iter().find(|it| it.number == number).unwrap();
        assert_eq!((of(22).result.as_str(), of(22).test.as_deref()), ("kept", Some("promise_22")));
        assert_eq!((of(3).result.as_str(), of(3).date.as_deref()), ("not_run", None));
    }
}
