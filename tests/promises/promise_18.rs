//! Each client's data lives apart from every other's, under keys of its own.

use std::collections::BTreeSet;

use iassistance::http::{openapi, v1};
use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::id::TenantId;

use crate::bodies;
use crate::book::Proof;
use crate::folder::files;
use crate::harness::{Flow, NUMBERS, within};
use crate::products::flying;

const THEIRS: &str = "zq9theirsecretzq9";

fn filled(path: &str, tenant: TenantId, ids: &[(&str, String)]) -> String {
    let mut out = path.replace("{tenant}", &tenant.to_string());
    for (name, id) in ids {
        out = out.replace(name, id);
    }
    while let (Some(from), Some(to)) = (out.find('{'), out.find('}')) {
        out.replace_range(from..=to, "0");
    }
    out
}

#[actix::test]
async fn promise_18() {
    let proof = Proof::of(18);
    let flow = Flow::with(flying(&[])).await;
    flow.says("5491100000001", NUMBERS[1], THEIRS);
    flow.sends(1).await;
    flow.quiet(1).await;
    let (ours, theirs) = (flow.tenants[0], flow.tenants[1]);
    let store = flow.store(1).await;
    let conversation = store.conversations(None, 1).await.unwrap().remove(0);
    let message = store.messages(conversation.id, None, 1).await.unwrap().remove(0);
    let ids = [
        ("{conversation}", conversation.id.to_string()),
        ("{contact}", conversation.contact.to_string()),
        ("{message}", message.id.to_string()),
        ("{kind}", "messages".to_owned()),
    ];
    let admin = flow.sign_in(false, &[(MemberOf::Tenant(ours), Role::TenantAdmin)]).await;
    let document = openapi::document();
    let mut tried = 0;
    for (path, method, signature) in v1::signatures() {
        if !path.contains("{tenant}") || signature.act.is_none() {
            continue;
        }
        // Their tenant is not there for us; and their ids are not in ours.
        for (tenant, theirs_by_id) in [(theirs, false), (ours, true)] {
            if theirs_by_id && (method != "get" || !ids.iter().any(|(name, _)| path.contains(name))) {
                continue;
            }
            let url = filled(path, tenant, &ids);
            let body = bodies::of(&document, method, path);
            let method = method.to_uppercase();
            let answers =
                [flow.api(&method, &url, body.clone()).await, flow.api_as(&admin, &method, &url, body).await];
            for (status, answer) in answers {
                tried += 1;
                if !theirs_by_id {
                    assert_eq!(status.as_u16(), 404, "{method} {url}: {answer}");
                }
                assert!(!answer.to_string().contains(THEIRS), "{method} {url}: {answer}");
            }
        }
    }
    // Their words are in no file in the clear, and each tenant has a tree of its own.
    let mut bytes = 0;
    files(&flow.folder.as_ref().unwrap().path, |path, content| {
        bytes += content.len();
        assert!(memchr::memmem::find(content, THEIRS.as_bytes()).is_none(), "{}", path.display());
    });
    // Under another tenant's key nothing of it opens: the key is part of what is looked for.
    let (mine, other) = (flow.app.keyring.tenant(ours).unwrap(), flow.app.keyring.tenant(theirs).unwrap());
    let sealed = other.new_subject_key(conversation.contact).unwrap().1;
    assert!(mine.unwrap_subject_key(conversation.contact, &sealed).is_err());
    assert!(other.unwrap_subject_key(conversation.contact, &sealed).is_ok());
    let known = BTreeSet::from([
        flow.store(0).await.safety_identifier(conversation.contact),
        store.safety_identifier(conversation.contact),
    ]);
    assert_eq!(known.len(), 2, "the same id is known as another by another tenant's key");
    within("the end", flow.finish()).await;
    proof.kept(format!("{tried} requests into another client's data: 0 answered with any of it; {bytes} bytes of files searched"));
}
