//! Who may do what is one table, and nothing is allowed beside it.

use iassistance::http::{openapi, v1};
use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::key::Scope;
use iassistance_domain::permission::{Grant, Who, grant};
use serde_json::Value;

use crate::bodies;
use crate::book::Proof;
use crate::harness::{Flow, SignedIn};

/// The scopes of the flow's key.
const SCOPES: [Scope; 3] = [Scope::Read, Scope::Operate, Scope::Manage];

fn filled(path: &str, flow: &Flow) -> String {
    let mut out = path.replace("{tenant}", &flow.tenants[0].to_string());
    while let (Some(from), Some(to)) = (out.find('{'), out.find('}')) {
        let id = match &out[from..=to] {
            "{meta_app}" => "app_".to_owned() + &"0".repeat(32),
            "{kind}" => "contacts".to_owned(),
            "{version}" | "{place}" => "1".to_owned(),
            _ => "x".to_owned(),
        };
        out.replace_range(from..=to, &id);
    }
    out
}

#[actix::test]
async fn promise_16() {
    let proof = Proof::of(16);
    let flow = Flow::start().await;
    let of_tenant = |role| [(MemberOf::Tenant(flow.tenants[0]), role)];
    let people: [(Who, SignedIn); 4] = [
        (Who::Owner, flow.sign_in(true, &[]).await),
        (Who::TenantAdmin, flow.sign_in(false, &of_tenant(Role::TenantAdmin)).await),
        (Who::Operator, flow.sign_in(false, &of_tenant(Role::Operator)).await),
        (Who::Viewer, flow.sign_in(false, &of_tenant(Role::Viewer)).await),
    ];
    let document = openapi::document();
    let (mut tried, mut refused, mut allowed) = (0, 0, 0);
    for (path, method, signature) in v1::signatures() {
        let Some(act) = signature.act else { continue };
        let url = filled(path, &flow);
        let body = bodies::of(&document, method, path);
        let mut answers: Vec<(Who, u16, Value)> = Vec::new();
        for (who, person) in &people {
            let granted = grant(act, *who);
            // What is allowed is only looked at, not done: this is about what is not.
            if granted.is_no() || method == "get" {
                let (status, answer) = flow.api_as(person, &method.to_uppercase(), &url, body.clone()).await;
                answers.push((*who, status.as_u16(), answer));
            }
        }
        let by_key = grant(act, Who::Key);
        let opens =
            matches!(by_key, Grant::Scope(scopes) if SCOPES.iter().any(|scope| scopes.contains(scope)));
        if !opens || method == "get" {
            let (status, answer) = flow.api(&method.to_uppercase(), &url, body.clone()).await;
            answers.push((Who::Key, status.as_u16(), answer));
        }
        for (who, status, answer) in answers {
            tried += 1;
            let granted = grant(act, who);
            let may = if who == Who::Key { opens } else { !granted.is_no() };
            if may {
                // What hangs on more than who they are (their own place, a look by break-glass) may still be refused.
                if who == Who::Key || granted == Grant::Yes {
                    assert_ne!(answer["code"], "forbidden", "{method} {path} as {who:?}: {answer}");
                }
                allowed += 1;
            } else {
                assert!([401, 403, 404].contains(&status), "{method} {path} as {who:?}: {status} {answer}");
                refused += 1;
            }
        }
    }
    flow.finish().await;
    proof.kept(format!("{tried} requests by 5 kinds of principals against the table: {refused} refused, {allowed} allowed, 0 beside it"));
}
