//! Every answer that any test here gets is one that the OpenAPI document says: its status and, where it is a refusal,
//! its code. And every example of a body is one that its route takes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::*;
use crate::http::openapi;

/// The statuses of an operation, each with the codes of problems.
type Said = BTreeMap<u16, Vec<String>>;

static SAID: LazyLock<Vec<(String, String, Said)>> = LazyLock::new(|| {
    let document = openapi::document();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut said = Said::new();
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let name = answer["$ref"].as_str().and_then(|path| path.rsplit('/').next());
                let answer = name.map_or(answer, |name| &document["components"]["responses"][name]);
                let codes = answer["x-codes"].as_array().cloned().unwrap_or_default();
                let codes = codes.iter().filter_map(|code| code.as_str().map(str::to_owned)).collect();
                said.insert(status.parse().unwrap(), codes);
            }
            all.push((method.clone(), path.clone(), said));
        }
    }
    all
});

fn fits(pattern: &str, path: &str) -> bool {
    let (mut of_pattern, mut of_path) = (pattern.split('/'), path.split('/'));
    let mut both = of_pattern.by_ref().zip(of_path.by_ref());
    both.all(|(part, given)| part == given || part.starts_with('{'))
        && pattern.split('/').count() == path.split('/').count()
}

/// Fails where an answer is not described.
pub fn check(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap();
    let method = method.to_lowercase();
    let mut known: Vec<_> =
        SAID.iter().filter(|(of, pattern, _)| *of == method && fits(pattern, path)).collect();
    // What is named by itself stands before what any name may stand for.
    known.sort_by_key(|(_, pattern, _)| pattern.matches('{').count());
    let Some((_, pattern, said)) = known.first() else { return };
    let codes = said.get(&answer.status);
    let codes =
        codes.unwrap_or_else(|| panic!("{method} {pattern} answers {} and does not say so", answer.status));
    if answer.status >= 400 {
        let code = answer.body["code"].as_str().unwrap_or_default();
        assert!(
            codes.iter().any(|said| said == code),
            "{method} {pattern} refuses with {code} and does not say so"
        );
    }
}

#[actix_web::test]
async fn every_example_of_a_body_is_taken() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let keys = [
        desk.owner().await,
        desk.admin(tenant).await,
        desk.key(
            Some(tenant),
            &Scope::ALL
                .map(|scope| scope)
                .into_iter()
                .filter(|it| *it != Scope::Platform)
                .collect::<Vec<_>>(),
        )
        .await,
    ];
    let document = openapi::document();
    let (mut tried, mut refused) = (0, Vec::new());
    for (path, method, signature) in super::super::signatures() {
        let operation = &document["paths"][format!("/v1{path}")][method];
        let body = &operation["requestBody"]["content"]["application/json"];
        if !signature.json {
            continue;
        }
        let name = body["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        let schema = &document["components"]["schemas"][name.unwrap_or_default()];
        let example = [&schema["example"], &schema["examples"][0], &body["example"]];
        let example = example.into_iter().find(|example| !example.is_null()).unwrap().clone();
        for key in &keys {
            let answer = desk.ask(key, method, &filled(path, tenant), Some(example.clone())).await;
            // Whom it is not for does not get so far.
            if matches!(answer.status, 401 | 403) {
                continue;
            }
            tried += 1;
            let says = answer.body["detail"].as_str().unwrap_or_default();
            if matches!(answer.status, 400 | 415) || answer.status >= 500 || says.starts_with("the body") {
                refused.push(format!("{method} {path}: {} {says}: {example}", answer.status));
            }
        }
    }
    assert!(refused.is_empty() && tried > 60, "{tried} tried, refused:\n{}", refused.join("\n"));
    desk.close().await;
}
