use std::collections::{BTreeMap, BTreeSet};

use super::*;
use iassistance_domain::permission::{MATRIX, Who};

/// The doors beside `/v1`, as `server` opens them; and the live feed, which stands before it.
const DOORS: [&str; 16] = [
    "get /asyncapi.json",
    "get /.well-known/security.txt",
    "get /webhooks/meta/{meta_app}",
    "post /webhooks/meta/{meta_app}",
    "post /webhooks/meta/{meta_app}/data-deletion",
    "post /webhooks/meta/{meta_app}/deauthorize",
    "get /deletions/{code}",
    "get /v1/live",
    "get /health/live",
    "get /health/ready",
    "get /metrics",
    "get /openapi.json",
    "get /privacy",
    "get /privacy/subprocessors",
    "get /v1/privacy/subprocessors",
    "get /v1/privacy/processing-record",
];

/// Every operation: its name as `method path`, and what is said of it.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().iter();
        all.extend(methods.map(|(method, operation)| (format!("{method} {path}"), operation)));
    }
    all
}

fn is_said(text: &Value) -> bool {
    text.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// What is wrong with the description of one operation.
fn lacks(document: &Value, name: &str, operation: &Value) -> Vec<String> {
    let mut lacks = Vec::new();
    let mut wants = |fine: bool, what: &str| {
        if !fine {
            lacks.push(format!("{name}: {what}"));
        }
    };
    wants(is_said(&operation["operationId"]), "an operationId");
    wants(is_said(&operation["summary"]), "a summary");
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).map(Value::to_string).collect();
    let own = operation["tags"].as_array().cloned().unwrap_or_default();
    wants(
        !own.is_empty() && own.iter().all(|tag| tags.contains(&tag.to_string())),
        "a tag that is described",
    );
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (schema, name) = (&parameter["schema"], &parameter["name"]);
        wants(is_said(&parameter["description"]), &format!("a description of {name}"));
        let bounded = match schema["type"].as_str() {
            Some("integer" | "number") => schema["minimum"].is_number(),
            Some("string") => {
                schema["pattern"].is_string() || schema["maxLength"].is_number() || schema["enum"].is_array()
            }
            Some("boolean") => true,
            _ => schema["enum"].is_array() || schema["oneOf"].is_array() || schema["$ref"].is_string(),
        };
        wants(bounded, &format!("a type and a range of {name}: {schema}"));
    }
    let has_example = |body: &Value| {
        let named = body["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        let schema = named.map(|name| &document["components"]["schemas"][name]);
        let given = |at: &Value| at.get("example").is_some() || at.get("examples").is_some();
        body["schema"].is_object() && (given(body) || schema.is_some_and(given))
    };
    for body in operation["requestBody"]["content"].as_object().into_iter().flat_map(|all| all.values()) {
        wants(has_example(body), "a schema of its body with an example");
    }
    wants(operation.get("requestBody").is_none_or(|body| body["content"].is_object()), "a body or none");
    let responses = operation["responses"].as_object().unwrap();
    wants(responses.keys().any(|status| status.starts_with(['1', '2'])), "an answer that is none of refusal");
    wants(!responses.contains_key("default"), "each status by itself, not `default`");
    for (status, answer) in responses {
        let shared = answer["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        let answer = shared.map_or(answer, |name| &document["components"]["responses"][name]);
        wants(is_said(&answer["description"]), &format!("a description of {status}"));
        for body in answer["content"].as_object().into_iter().flat_map(|all| all.values()) {
            wants(has_example(body), &format!("a schema of {status} with an example"));
        }
        if status.starts_with(['4', '5']) {
            let problem = &answer["content"]["application/problem+json"]["schema"]["$ref"];
            wants(problem == "#/components/schemas/Problem", &format!("a problem document for {status}"));
            wants(answer["x-codes"].is_array(), &format!("the codes of {status}"));
        }
    }
    wants(operation["security"].is_array(), "what it is signed in with");
    lacks
}

#[test]
fn it_describes_exactly_the_routes_that_are_served() {
    let served = v1::ROUTES
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| format!("{method} /v1{path}")));
    let served: BTreeSet<_> = served.chain(DOORS.map(str::to_owned)).collect();
    let document = document();
    let described: BTreeSet<_> = operations(&document).into_iter().map(|(name, _)| name).collect();
    assert_eq!(described, served);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[test]
fn every_operation_says_all_that_there_is_to_say() {
    let document = document();
    let mut lacking = Vec::new();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        lacking.extend(lacks(&document, &name, operation));
        assert!(ids.insert(operation["operationId"].to_string()), "{name}: its id is given twice");
    }
    assert!(lacking.is_empty(), "{}:\n{}", lacking.len(), lacking.join("\n"));
}

#[test]
fn who_may_is_what_the_table_says() {
    let document = document();
    let by_name: BTreeMap<_, _> = operations(&document).into_iter().collect();
    let mut acts = BTreeSet::new();
    for (path, method, signature) in v1::signatures() {
        let operation = by_name[&format!("{method} /v1{path}")];
        let Some(act) = signature.act else {
            assert_eq!(operation["security"], serde_json::json!([{}]), "{method} {path}");
            continue;
        };
        let said = &operation["x-permission"]["granted"];
        let (_, grants) = MATRIX.iter().find(|(of, _)| *of == act).unwrap();
        let keys: Vec<_> = match grants.key {
            iassistance_domain::permission::Grant::Scope(scopes) => {
                scopes.iter().map(|it| it.name()).collect()
            }
            _ => Vec::new(),
        };
        let named = operation["security"].as_array().unwrap().iter().filter_map(|way| way["key"][0].as_str());
        assert_eq!(named.collect::<Vec<_>>(), keys, "{method} {path}");
        let nobody = grants.to(Who::Viewer).is_no();
        assert_eq!(said["viewer"] == "no", nobody, "{method} {path}");
        acts.insert(act);
    }
    assert!(acts.len() > 30);
}

#[test]
fn every_code_is_one_that_problems_have() {
    let source = include_str!("../problem.rs");
    for (code, ..) in codes::CODES {
        assert!(source.contains(&format!("\"{code}\"")), "nothing is refused with {code}");
    }
    let listed = [codes::BEYOND, codes::DOORS].into_iter().flatten();
    for (id, listed) in listed {
        assert!(listed.iter().all(|code| codes::of(code).is_some()), "{id}");
        let document = document();
        let mut known = operations(&document).into_iter();
        assert!(known.any(|(_, operation)| operation["operationId"] == *id), "{id} is no operation");
    }
}

#[test]
fn the_copy_that_the_monitor_is_written_against_is_true() {
    let copy = include_str!("../../../dashboard/openapi.json");
    let renew = "renew it: `cargo run --no-default-features -- openapi > dashboard/openapi.json`";
    assert!(copy.trim_end() == pretty().trim_end(), "{renew}");
}

#[test]
fn every_kind_of_event_is_in_the_description_of_the_feed() {
    let feed: serde_json::Value = serde_json::from_str(FEED).unwrap();
    let described = &feed["components"]["schemas"]["Event"]["properties"]["type"]["enum"];
    let described: BTreeSet<_> = described.as_array().unwrap().iter().filter_map(|it| it.as_str()).collect();
    assert_eq!(described, iassistance_domain::event::EventKind::NAMES.into_iter().collect());
    for frame in ["subscribe", "unsubscribe", "ping", "event", "lagged", "error", "bye", "turn.token"] {
        assert!(feed["components"]["messages"][frame].is_object(), "{frame}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    let mut count = 0;
    for kind in ["schemas", "responses"] {
        let there = document["components"][kind].as_object().unwrap();
        for reference in text.split(&format!("#/components/{kind}/")).skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(there.contains_key(name), "{name}");
            count += 1;
        }
    }
    assert!(count > 500);
}

#[test]
fn every_example_is_one() {
    let document = document();
    let mut wrong = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let whole = serde_json::json!({
            "$ref": format!("#/components/schemas/{name}"), "components": document["components"],
        });
        let validator = jsonschema::validator_for(&whole).unwrap();
        let examples = schema["examples"].as_array().cloned().unwrap_or_default();
        for example in examples.into_iter().chain(schema.get("example").cloned()) {
            if let Err(error) = validator.validate(&example) {
                wrong.push(format!("{name}: {error}: {example}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_secret_is_in_an_answer() {
    let document = document();
    for schema in
        ["MetaApp", "Channel", "Assistant", "AssistantDraft", "Settings", "Tool", "ApiKey", "Webhook"]
    {
        let whole = &document["components"]["schemas"][schema];
        let parts = whole["allOf"].as_array().cloned().unwrap_or_else(|| vec![whole.clone()]);
        let properties: BTreeSet<String> = parts
            .iter()
            .filter_map(|part| part["properties"].as_object())
            .flat_map(|properties| properties.keys().cloned())
            .collect();
        assert!(!properties.is_empty(), "{schema}");
        for secret in ["verify_token", "access_token", "api_key", "hash", "secret", "value"] {
            assert!(!properties.contains(secret), "{schema} shows {secret}");
        }
    }
}

/// The names under which the types of these files stand in the document.
fn schema_names(folder: &std::path::Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            schema_names(&entry.path(), names);
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let mut described = false;
        let mut renamed = None;
        for line in text.lines().map(str::trim) {
            described |= line.starts_with("#[derive(") && line.contains("ToSchema");
            let after = |word: &str| {
                let name = line.split_once(word)?.1;
                Some(name.chars().take_while(|letter| letter.is_alphanumeric()).collect::<String>())
            };
            renamed = renamed.or_else(|| after("#[schema(as = "));
            if let Some(own) = after("struct ").or_else(|| after("enum ")).filter(|_| !line.starts_with('/'))
            {
                let name = renamed.take().unwrap_or(own);
                names.extend(std::mem::take(&mut described).then_some(name));
            }
        }
    }
}

/// Of two types of one name the document has but one, for both.
#[test]
fn no_two_types_have_one_name() {
    let mut names = Vec::new();
    schema_names(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut names);
    names.sort();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(names.len() > 150 && twice.is_empty(), "{} types; {twice:?}", names.len());
}
