//! What the OpenAPI document says of every route beyond what stands at its handler: who may, what it can be refused
//! with, the headers that it reads, patterns of identifiers, examples.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use iassistance_domain::permission::{Act, Grant, Grants, MATRIX, Who};

use super::codes::{ANY, BEYOND, DOORS, of as code_of};
use super::examples::{self, PREFIXES};
use super::flatten::flatten;
use crate::http::v1::{self, HEADER_BYTES_MAX, Signature};

/// The groups of routes, and what each is about.
const TAGS: [(&str, &str); 26] = [
    ("signing in", "For those who have no credential yet"),
    ("your account", "Who is signed in: sessions, factors, a proof anew"),
    ("tenants", "The clients of the platform"),
    ("agencies", "Who runs tenants for others"),
    ("people", "Who belongs where, as what, and who is invited"),
    ("keys", "API keys of tenants and of the platform"),
    ("break-glass", "Looks of the platform's owners into a tenant's content"),
    ("meta apps", "What webhooks are signed with"),
    ("channels", "Connected numbers, pages and accounts"),
    ("assistant", "Settings, versions, drafts, golden questions, spending"),
    ("knowledge", "Documents that the assistant looks things up in"),
    ("conversations", "What was said, and why each reply was what it was"),
    ("contacts", "The end users, as one tenant knows them"),
    ("rights", "What people ask about their own data, by when, and what became of it"),
    ("operators", "What people do in conversations"),
    ("events", "The log, and the live feed"),
    ("dead letters", "Work that was given up"),
    ("export", "Everything of a kind, as lines of JSON"),
    ("privacy", "For how long data is kept, how it goes, and the proof of it"),
    ("webhooks out", "A tenant's own webhooks"),
    ("audit", "What needed a right, and every request"),
    ("backups", "Backups, and putting a tenant back"),
    ("checks", "Examinations of the store"),
    ("webhooks", "Where Meta calls"),
    ("incidents", "What was reached by whom it was not for, and who is told of it"),
    ("orders", "Orders of authorities about a tenant's data"),
];

/// Completes the document.
pub fn complete(document: &mut Value) {
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        flatten(schemas);
    }
    let mut sets = BTreeMap::new();
    for (path, method, signature) in v1::signatures() {
        let operation = &mut document["paths"][format!("/v1{path}")][method];
        describe(operation, path, method, &signature, &mut sets);
    }
    for (id, codes) in DOORS {
        if let Some(operation) = operation(document, id) {
            refuse(operation, codes.iter().copied(), &mut sets);
        }
    }
    document["components"]["responses"] = Value::Object(sets.into_iter().collect());
    describe_answers(document);
    bound_parameters(document);
    exemplify(document);
    let known = TAGS.iter().map(|(name, about)| json!({ "name": name, "description": about }));
    let health = json!({ "name": "health", "description": "Whether it lives, and how it does" });
    document["tags"] = known.chain([health]).collect();
}

/// The operation with this id.
fn operation<'a>(document: &'a mut Value, id: &str) -> Option<&'a mut Value> {
    let paths = document["paths"].as_object_mut()?;
    let all = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    all.into_iter().find(|operation| operation["operationId"] == id)
}

type Sets = BTreeMap<String, Value>;

fn describe(operation: &mut Value, path: &str, method: &str, signature: &Signature, sets: &mut Sets) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let mut codes: BTreeSet<&str> = ANY.iter().copied().collect();
    let beyond = BEYOND.iter().filter(|(of, _)| *of == id).flat_map(|(_, codes)| codes.iter());
    codes.extend(beyond);
    codes.extend(read(signature));
    match signature.act.and_then(|act| MATRIX.iter().find(|(of, _)| *of == act)) {
        Some((act, grants)) => {
            codes.extend(rights(*act, grants, signature, path, method));
            permit(operation, *act, grants);
        }
        None => operation["security"] = json!([{}]),
    }
    headers(operation, signature);
    refuse(operation, codes.into_iter(), sets);
}

/// What may be wrong with what is read.
fn read(signature: &Signature) -> Vec<&'static str> {
    let parts: [(bool, &[&str]); 8] = [
        (signature.path, &["not_found"]),
        (signature.query, &["bad_request", "invalid"]),
        (signature.json, &["bad_request", "too_deep", "too_slow", "too_large", "not_json", "invalid"]),
        (signature.raw, &["bad_request", "too_slow", "too_large", "unsupported_type"]),
        (signature.once, &["bad_request", "conflict", "idempotency_mismatch"]),
        (signature.if_match, &["bad_request", "changed"]),
        (signature.if_none_match, &["bad_request"]),
        // A page of another origin asks in somebody's session, or tries too often.
        (signature.act.is_none(), &["forged"]),
    ];
    parts.into_iter().filter(|(has, _)| *has).flat_map(|(_, codes)| codes.iter().copied()).collect()
}

/// Why somebody may not.
fn rights(act: Act, grants: &Grants, signature: &Signature, path: &str, method: &str) -> Vec<&'static str> {
    let changes = method != "get";
    let steps_up =
        (act.needs_step_up() && changes) || Who::ALL.iter().any(|who| grants.to(*who) == Grant::StepUp);
    let sends = matches!(act, Act::Send | Act::ReplayDeadLetter) && path.contains("{tenant}");
    let parts = [
        (true, "unauthorized"),
        (true, "forbidden"),
        (true, "forged"),
        (!signature.enrols, "second_factor_needed"),
        (steps_up, "step_up_needed"),
        (grants.owner == Grant::BreakGlass, "break_glass_needed"),
        (sends, "conflict"),
    ];
    parts.into_iter().filter(|(has, _)| *has).map(|(_, code)| code).collect()
}

/// Who may, by the table.
fn permit(operation: &mut Value, act: Act, grants: &Grants) {
    let mut security = Vec::new();
    if let Grant::Scope(scopes) = grants.key {
        security.extend(scopes.iter().map(|scope| json!({ "key": [scope.name()] })));
    }
    if Who::ALL.iter().any(|who| *who != Who::Key && !grants.to(*who).is_no()) {
        security.push(json!({ "session": [] }));
    }
    let granted: Map<_, _> =
        Who::ALL.iter().map(|who| (who_name(*who).to_owned(), given(grants.to(*who)))).collect();
    operation["security"] = Value::Array(security);
    operation["x-permission"] =
        json!({ "act": snake(&format!("{act:?}")), "proof_anew": act.needs_step_up(), "granted": granted });
}

const fn who_name(who: Who) -> &'static str {
    match who {
        Who::Owner => "owner",
        Who::Agency => "agency",
        Who::TenantAdmin => "tenant_admin",
        Who::Operator => "operator",
        Who::Viewer => "viewer",
        Who::Key => "key",
    }
}

fn given(grant: Grant) -> Value {
    match grant {
        Grant::Scope(scopes) => scopes.iter().map(|scope| scope.name()).collect(),
        Grant::No => json!("no"),
        Grant::Yes => json!("yes"),
        other => json!(snake(&format!("{other:?}"))),
    }
}

fn snake(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// The headers that it reads, and those of its answers.
fn headers(operation: &mut Value, signature: &Signature) {
    let header = |name: &str, [least, most]: [u16; 2], about: &str, example: &str| {
        json!({
            "name": name, "in": "header", "required": false, "description": about,
            "schema": { "type": "string", "minLength": least, "maxLength": most }, "example": example,
        })
    };
    let mut read = Vec::new();
    if signature.once {
        read.push(header(
            "Idempotency-Key",
            [1, 255],
            "1 to 255 visible ASCII characters, new for every new request. The same request with the same key gets the \
             first answer for 24 hours, with `Idempotency-Replayed: true`, also after a restart of the server; another \
             request with it is refused (422), and one that is under way or was broken off is a conflict (409).",
            "5f0c6b1e-order-17",
        ));
    }
    if signature.if_match {
        let about =
            "The `ETag` that was read: 412 if it changed since. Left out, or `*`: whatever it is now.";
        read.push(header("If-Match", [1, HEADER_BYTES_MAX], about, "\"3\""));
    }
    if signature.if_none_match {
        let about = "The `ETag` that is there already: 304 without a body if it is still that.";
        read.push(header("If-None-Match", [0, HEADER_BYTES_MAX], about, "\"3\""));
    }
    if let Some(parameters) = list(&mut operation["parameters"]) {
        parameters.extend(read);
    }
    let string = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    if signature.if_match || signature.if_none_match {
        for (_, answer) in responses.iter_mut().filter(|(status, _)| *status == "200") {
            answer["headers"]["ETag"] = string("For `If-Match` and `If-None-Match`");
        }
    }
    if signature.if_none_match {
        let tag = string("As it was");
        responses.insert(
            "304".to_owned(),
            json!({ "description": "It is as it was", "headers": { "ETag": tag } }),
        );
    }
    if signature.once {
        for (_, answer) in responses.iter_mut().filter(|(status, _)| *status == "201") {
            answer["headers"]["Location"] = string("Where it is found, if it is found somewhere by itself");
            answer["headers"]["Idempotency-Replayed"] =
                string("`true` where it is the answer to the first request");
        }
    }
}

/// The list there, made if it is not.
fn list(value: &mut Value) -> Option<&mut Vec<Value>> {
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut()
}

/// What it can be refused with: for each status one of the responses that are shared.
fn refuse<'a>(operation: &mut Value, codes: impl Iterator<Item = &'a str>, sets: &mut Sets) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    responses.remove("default");
    let mut by_status: BTreeMap<u16, Vec<(&str, &str)>> = BTreeMap::new();
    for code in codes {
        if let Some((status, title)) = code_of(code) {
            by_status.entry(status).or_default().push((code, title));
        }
    }
    for (status, codes) in by_status {
        let name = codes.iter().map(|(code, _)| *code).collect::<Vec<_>>().join("_or_");
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }));
        sets.entry(name).or_insert_with(|| refusal(status, &codes));
    }
}

fn refusal(status: u16, codes: &[(&str, &str)]) -> Value {
    let said = codes.iter().map(|(code, title)| format!("`{code}`: {title}")).collect::<Vec<_>>().join("; ");
    let example = |code: &str, title: &str| {
        let kind = format!("urn:iassistance:problem:{code}");
        json!({ "summary": title, "value": { "type": kind, "title": title, "status": status, "code": code } })
    };
    let examples: Map<_, _> =
        codes.iter().map(|(code, title)| ((*code).to_owned(), example(code, title))).collect();
    let names: Vec<_> = codes.iter().map(|(code, _)| *code).collect();
    let mut response = json!({
        "description": said,
        "x-codes": names,
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" }, "examples": examples,
        } },
    });
    if matches!(status, 429 | 503) {
        let about = "After how many seconds to try again, where that is known";
        response["headers"]["Retry-After"] = json!({ "description": about, "schema": { "type": "string" } });
    }
    response
}

/// What every answer is, in words: where its handler says nothing, what its schema says.
fn describe_answers(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for answer in operations.filter_map(|it| it["responses"].as_object_mut()).flat_map(Map::values_mut) {
        if answer.get("$ref").is_some() || answer["description"].as_str().is_some_and(|said| !said.is_empty())
        {
            continue;
        }
        let named = answer["content"].as_object().and_then(|all| all.values().next());
        let named =
            named.and_then(|body| body["schema"]["$ref"].as_str()).and_then(|path| path.rsplit('/').next());
        let said = named.and_then(|name| schemas[name]["description"].as_str()).unwrap_or("It is done.");
        let first = said.split("\n\n").next().unwrap_or(said).to_owned();
        answer["description"] = json!(first);
    }
}

/// Patterns for identifiers, and lengths for what pages are asked for by.
fn bound_parameters(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for parameter in operations.filter_map(|it| it.get_mut("parameters")?.as_array_mut()).flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let prefix = PREFIXES.iter().find(|(known, _)| *known == name).map(|(_, prefix)| *prefix);
        let schema = &mut parameter["schema"];
        // A parameter is there or not: it is never `null`.
        if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
            kinds.retain(|kind| kind != "null");
            if let [only] = &kinds[..] {
                schema["type"] = only.clone();
            }
        }
        if schema["type"] != "string" || schema["enum"].is_array() {
            continue;
        }
        if let Some(prefix) = prefix {
            schema["pattern"] = json!(format!("^{prefix}_[0-9a-f]{{32}}$"));
            if parameter["example"].is_null() {
                parameter["example"] = json!(examples::id(prefix));
            }
        } else if name == "cursor" {
            schema["minLength"] = json!(1);
            schema["maxLength"] = json!(200);
        }
    }
}

/// Examples for every schema that is an object, and for every body that has none.
fn exemplify(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object().cloned() else { return };
    let mut done = schemas.clone();
    for (name, schema) in &mut done {
        if schema.get("example").is_none() && schema.get("examples").is_none() {
            let example = examples::of(&schemas, &schemas[name], "");
            schema["examples"] = json!([example]);
        }
    }
    document["components"]["schemas"] = Value::Object(done);
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        if let Some(content) = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut) {
            content.iter_mut().for_each(|(kind, body)| show(&schemas, kind, body));
        }
        for answer in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(content) = answer.get_mut("content").and_then(Value::as_object_mut) {
                content.iter_mut().for_each(|(kind, body)| show(&schemas, kind, body));
            }
        }
    }
}

/// An example of a body: what refers to a schema has that one's.
fn show(schemas: &Map<String, Value>, kind: &str, body: &mut Value) {
    if body.get("example").is_some() || body.get("examples").is_some() || body["schema"].get("$ref").is_some()
    {
        return;
    }
    body["example"] = match kind {
        "text/plain" => json!("ok"),
        "text/html" => json!("<!doctype html>"),
        "application/octet-stream" => json!("the bytes"),
        "application/x-ndjson" => json!("{\"line\":\"header\"}\n"),
        "application/x-www-form-urlencoded" => json!("signed_request=…"),
        _ => examples::of(schemas, &body["schema"], ""),
    };
}
