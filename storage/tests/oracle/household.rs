//! Random commands on money, documents and settings.

use iassistance_domain::budget::{Budgets, Cost, Day};
use iassistance_domain::knowledge::DocumentState;
use iassistance_storage::TenantStore;
use serde_json::{Value, json};

use super::answer;
use super::support::*;

/// Sets money aside, settles it, or spends it.
pub async fn spend(tenant: &dyn TenantStore, [a, b, c, d]: [u8; 4]) -> Value {
    let days_ago = [0, 1, 3, 401][usize::from(d / 4 % 4)];
    let of = reservation(u64::from(a / 4 % 6), b % 3, Day::of(START).0 - days_ago, u64::from(c));
    match a % 4 {
        0 | 1 => {
            let limit = |bit: u8, limit| (d >> bit & 1 == 1).then_some(Cost(limit));
            let budgets = Budgets {
                tenant_day: limit(0, 500),
                contact_day: limit(1, 300),
                conversation: limit(7, 400),
                ..Budgets::default()
            };
            answer(tenant.reserve(of, Cost(u64::from(c / 2)), budgets).await, |granted| json!(granted))
        }
        2 => answer(tenant.settle_reservation(of.turn, Cost(u64::from(c) / 2)).await, |()| Value::Null),
        _ => {
            let spent = tenant.spend(of.conversation, of.contact, of.day, of.amount).await;
            answer(spent, |()| Value::Null)
        }
    }
}

/// Changes documents, passages and golden questions.
pub async fn learn(tenant: &dyn TenantStore, [a, b, c, d]: [u8; 4]) -> Value {
    let number = b % 3;
    match a % 6 {
        0 | 1 => {
            let states = [
                DocumentState::Indexing,
                DocumentState::Ready { passages: usize::from(c), by_meaning: false },
                DocumentState::Failed { reason: "no text".to_owned() },
            ];
            let document = document(number, states[usize::from(c % 3)].clone());
            answer(tenant.put_document(document).await, |()| Value::Null)
        }
        2 => {
            let put =
                tenant.put_passages(document_id(number), passages(number, u32::from(c), d.into())).await;
            answer(put, |()| Value::Null)
        }
        3 => answer(tenant.remove_document(document_id(number)).await, Value::Bool),
        4 => answer(tenant.put_golden(golden(number, &format!("{c}"))).await, |()| Value::Null),
        _ => answer(tenant.remove_golden(golden(number, "").id).await, Value::Bool),
    }
}

/// Changes the assistant's settings.
pub async fn configure(tenant: &dyn TenantStore, [a, b, c, _]: [u8; 4]) -> Value {
    let expected = (c % 2 == 0).then_some(u64::from(c / 2 % 4));
    let task = settings(&format!("task {b}"));
    match a % 5 {
        0 => answer(tenant.put_assistant(task, expected).await, |version| json!(version)),
        1 => answer(tenant.put_assistant_draft(task).await, |draft| json!(draft)),
        2 => answer(tenant.publish_assistant_draft(expected).await, |version| json!(version)),
        3 => answer(tenant.roll_back_assistant(u64::from(b % 4), expected).await, |version| json!(version)),
        _ => answer(tenant.discard_assistant_draft().await, Value::Bool),
    }
}

/// What is known of money, documents and settings.
pub async fn household(tenant: &dyn TenantStore) -> Value {
    let mut money = Vec::new();
    for days_ago in [0, 1, 3, 401] {
        for whom in 0..3 {
            let of = reservation(0, whom, Day::of(START).0 - days_ago, 0);
            money.push(tenant.spent(of.day).await.unwrap());
            money.push(tenant.spent_on_contact(of.contact, of.day).await.unwrap());
            money.push(tenant.spent_in(of.conversation).await.unwrap());
        }
    }
    json!([
        money,
        tenant.documents().await.unwrap(),
        tenant.passages().await.unwrap(),
        tenant.golden().await.unwrap(),
        tenant.assistant_versions(None, 999).await.unwrap(),
        tenant.assistant_draft().await.unwrap(),
    ])
}
