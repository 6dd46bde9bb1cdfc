//! `iassistance doctor`: does every record open?

use super::{Failure, Output};
use crate::app::Vaulted;

pub async fn run(vaulted: &Vaulted, output: &Output) -> Result<(), Failure> {
    let progress = |tenant: usize, records: u64| {
        if records.is_multiple_of(10_000) {
            output.note(&format!("tenant {tenant}: {records} records"));
        }
    };
    let (records, findings) = vaulted.store.check(&progress).await?;
    for finding in &findings {
        output.note(&format!("damaged: {finding}"));
    }
    let text = match findings.len() {
        0 => format!("All {records} records open."),
        damaged => format!(
            "{damaged} records are damaged, {records} open. The server runs without the damaged ones; restore a \
             backup to have them back."
        ),
    };
    output.answer(&text, &serde_json::json!({ "records": records, "damaged": findings }))?;
    if findings.is_empty() { Ok(()) } else { Err("the store has damaged records".into()) }
}
