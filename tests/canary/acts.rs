//! What is asked, drawn by chance: any route of the table, in one's own place and in others', with one's
//! own things and with others'.

use std::collections::BTreeMap;

use iassistance::http::v1::ROUTES;
use serde_json::{Value, json};

use crate::askers::{AGENCIES, AGENCIES_COUNT, Asker, SHARED, TENANTS};
use crate::chance::Chance;
use crate::marks::{Mark, Sort};

/// Things that are remembered of each sort and owner; the oldest are forgotten.
const REMEMBERED: usize = 24;

/// A body.
pub enum Body {
    None,
    Json(Value),
    Raw(&'static str, Vec<u8>),
}

/// A request.
pub struct Ask {
    pub method: &'static str,
    pub route: &'static str,
    /// With its query.
    pub path: String,
    pub body: Body,
    pub once: Option<String>,
    /// The tenant, or the number of the agency, that it names.
    pub place: Option<u8>,
}

/// Ids of things that were seen, by what they name and whose they are.
#[derive(Default)]
pub struct Seen {
    ids: BTreeMap<(String, u8), Vec<String>>,
    cursors: Vec<String>,
}

impl Seen {
    /// Remembers what an answer names.
    pub fn learn(&mut self, owner: u8, answer: &Value) {
        match answer {
            Value::String(text) => self.learn_id(owner, text),
            Value::Array(items) => items.iter().for_each(|item| self.learn(owner, item)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    if name == "next"
                        && let Some(cursor) = field.as_str()
                    {
                        remember(&mut self.cursors, cursor.to_owned());
                    }
                    self.learn(owner, field);
                }
            }
            _ => {}
        }
    }

    fn learn_id(&mut self, owner: u8, text: &str) {
        let Some((sort, digits)) = text.split_once('_') else { return };
        let is_id = sort.len() == 3 && digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit());
        if is_id {
            remember(self.ids.entry((sort.to_owned(), owner)).or_default(), text.to_owned());
        }
    }

    /// A thing of that sort: mostly the owner's, now and then another's, or none that there is.
    fn draw(&self, chance: &Chance, sort: &str, owner: u8) -> String {
        let whose = match chance.below(10) {
            0..8 => owner,
            8 => u8::try_from(chance.below(u64::from(TENANTS))).unwrap_or_default(),
            _ => u8::MAX,
        };
        match self.ids.get(&(sort.to_owned(), whose)) {
            Some(known) => one(chance, known).clone(),
            None => format!("{sort}_{}", "0".repeat(32)),
        }
    }
}

fn remember(known: &mut Vec<String>, new: String) {
    if !known.contains(&new) {
        if known.len() >= REMEMBERED {
            known.remove(0);
        }
        known.push(new);
    }
}

pub fn one<'a, T>(chance: &Chance, of: &'a [T]) -> &'a T {
    let place = usize::try_from(chance.below(of.len() as u64)).unwrap_or_default();
    &of[place]
}

/// What needs other things than chance has: it is done rarely, as it reads the whole store.
const SLOW: [&str; 4] = ["/checks", "/backups", "/tenants/{tenant}/restore", "/tenants/{tenant}/golden/run"];

/// A method and a route.
pub type Wish = (&'static str, &'static str);

/// What everybody's administrators do first, so that there is something of everything.
pub const FIRST: [Wish; 10] = [
    ("post", "/tenants/{tenant}/webhooks"),
    ("post", "/tenants/{tenant}/knowledge"),
    ("post", "/tenants/{tenant}/golden"),
    ("put", "/tenants/{tenant}/assistant/draft"),
    ("post", "/tenants/{tenant}/media"),
    ("post", "/tenants/{tenant}/invitations"),
    ("get", "/tenants/{tenant}/conversations"),
    ("get", "/tenants/{tenant}/members"),
    ("post", "/tenants/{tenant}/conversations/{conversation}/notes"),
    ("post", "/tenants/{tenant}/conversations/{conversation}/messages"),
];

/// A route, drawn: half of the time one that is read.
fn wish(chance: &Chance) -> Wish {
    let reads = chance.happens(500);
    loop {
        let (route, methods) = *one(chance, ROUTES);
        let method = *one(chance, methods);
        let fits = !reads || (method == "get" && route.contains("{tenant}"));
        if fits && (!SLOW.contains(&route) || chance.happens(20)) {
            return (method, route);
        }
    }
}

/// Draws a request of somebody, or fills in the one that is wished for, in their own place. `marks` makes a
/// canary of an owner.
pub fn draw(
    chance: &Chance,
    asker: &Asker,
    ids: &Ids<'_>,
    seen: &Seen,
    wished: Option<Wish>,
    marks: &mut impl FnMut(u8, Sort) -> Mark,
) -> Ask {
    let (method, route) = wished.unwrap_or_else(|| wish(chance));
    let stays = wished.is_some() || chance.happens(750);
    let place = if route.contains("{agency}") {
        let own = (AGENCIES..AGENCIES + AGENCIES_COUNT).contains(&asker.home) && stays;
        let any = AGENCIES + u8::try_from(chance.below(u64::from(AGENCIES_COUNT))).unwrap_or_default();
        Some(if own { asker.home } else { any })
    } else if route.contains("{tenant}") {
        let own = !asker.tenants.is_empty() && stays;
        let any = u8::try_from(chance.below(u64::from(TENANTS))).unwrap_or_default();
        Some(if own { *one(chance, &asker.tenants) } else { any })
    } else {
        None
    };
    // What somebody writes where they do not belong is theirs all the same: it is found where it does not
    // belong either.
    let belongs = place.is_some_and(|place| asker.tenants.contains(&place) || ids.is_owner);
    let shared = ids.is_owner && route.starts_with("/meta-apps");
    let home = if shared { SHARED } else { asker.home };
    let owner = place.filter(|_| belongs).unwrap_or(home);
    let mut path = String::from("/v1");
    for part in route.split('/').skip(1) {
        path.push('/');
        path.push_str(&filled(chance, part, place, asker, ids, seen));
    }
    let query = query(chance, method, route, seen, &mut |sort| marks(owner, sort));
    path.push_str(&query);
    let body = if method == "get" || method == "delete" {
        Body::None
    } else {
        body(chance, method, route, (ids, seen, place.unwrap_or(asker.home)), &mut |sort| marks(owner, sort))
    };
    let once = (method == "post" && chance.happens(200)).then(|| format!("once-{}", chance.below(8)));
    Ask { method, route, path, body, once, place }
}

/// The ids of the places, and what somebody is there.
pub struct Ids<'a> {
    pub tenants: &'a [String],
    pub agencies: &'a [String],
    pub meta_app: &'a str,
    pub is_owner: bool,
    pub is_key: bool,
}

fn filled(
    chance: &Chance,
    part: &str,
    place: Option<u8>,
    asker: &Asker,
    ids: &Ids<'_>,
    seen: &Seen,
) -> String {
    let owner = place.unwrap_or(asker.home);
    let sort = match part {
        "{tenant}" => return ids.tenants[usize::from(owner)].clone(),
        "{agency}" => return ids.agencies[usize::from(owner - AGENCIES)].clone(),
        "{meta_app}" => return ids.meta_app.to_owned(),
        "{place}" => return "0".to_owned(),
        "{version}" => return (1 + chance.below(3)).to_string(),
        "{channel}" => "chn",
        "{contact}" => "con",
        "{conversation}" => "cnv",
        "{erasure}" => "era",
        "{hold}" => "hld",
        "{message}" => "msg",
        "{turn}" => "trn",
        "{document}" => "doc",
        "{golden}" => "gld",
        "{dead_letter}" => "ded",
        "{key}" => "key",
        "{webhook}" => "hok",
        "{check}" => "chk",
        "{account}" => "acc",
        "{invitation}" => "inv",
        "{grant}" => "brk",
        "{session}" => "ses",
        "{passkey}" => "pky",
        other => return other.trim_matches(['{', '}']).to_owned(),
    };
    seen.draw(chance, sort, owner)
}

fn query(
    chance: &Chance,
    method: &str,
    route: &str,
    seen: &Seen,
    mark: &mut impl FnMut(Sort) -> Mark,
) -> String {
    match (method, route.rsplit('/').next().unwrap_or_default()) {
        ("post", "knowledge") => format!("?title={}", mark(Sort::SetUp).text()),
        ("post", "media") => format!("?filename={}.txt", mark(Sort::Content).text()),
        // It looks for what others have, too: everybody's words are much alike.
        ("get", "search") => "?q=what+is+written+about+the+shop".to_owned(),
        ("get", "events") => format!("?after={}&limit=200", chance.below(20)),
        ("get", _) if !route.ends_with('}') => match chance.below(10) {
            0..3 => format!("?limit={}", 1 + chance.below(200)),
            3 if !seen.cursors.is_empty() => format!("?cursor={}", one(chance, &seen.cursors)),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// What is sent along, where something is; the rest takes an empty object.
fn body(
    chance: &Chance,
    method: &str,
    route: &str,
    (ids, seen, owner): (&Ids<'_>, &Seen, u8),
    mark: &mut impl FnMut(Sort) -> Mark,
) -> Body {
    let mut set_up = || mark(Sort::SetUp).text();
    let last = route.rsplit('/').next().unwrap_or_default();
    Body::Json(match (method, last) {
        ("post", "knowledge") => {
            let text = format!("# Returns\n\nWhat is written about the shop: {}.", set_up());
            return Body::Raw("text/markdown", text.into_bytes());
        }
        ("post", "media") => return Body::Raw("text/plain", mark(Sort::Content).text().into_bytes()),
        ("put", "assistant" | "draft") => {
            let mut form = json!({
                "enabled": true, "task": format!("Answer for {}.", set_up()),
                "instructions": set_up(), "model": null, "temperature": 0.2, "base_url": null,
                "quiet_ms": 0, "cap_ms": 0, "output_tokens_max": 800, "prompt_tokens_max": 8000,
                "fallback_text": set_up(),
            });
            if chance.happens(300) {
                form["tools"] = json!([{
                    "name": "find_order", "description": set_up(), "parameters": { "type": "object" },
                    "url": format!("https://tools.example/{}", set_up()),
                    "secret": { "header": "X-Key", "value": set_up() },
                }]);
            }
            form
        }
        ("post", "channels") => json!({
            "connection": { "via": "page" }, "external_id": format!("77{:08}", chance.below(100_000_000)),
            "name": set_up(), "access_token": set_up(), "meta_app": ids.meta_app,
        }),
        ("post", "webhooks") | ("put", "{webhook}") => json!({
            "url": format!("https://hook.example/{}", set_up()), "kinds": ["*"], "description": set_up(),
            "paused": chance.happens(200),
        }),
        ("post", "keys") => json!({ "name": set_up(), "scopes": ["read"] }),
        ("post", "invitations") if route.starts_with("/tenants") => json!({
            "email": format!("{}@example.com", set_up()), "name": set_up(), "role": "viewer",
        }),
        ("post", "invitations") => {
            json!({ "email": format!("{}@example.com", set_up()), "name": set_up() })
        }
        ("post", "meta-apps") => json!({ "name": set_up(), "secrets": [set_up()], "verify_token": set_up() }),
        ("post", "tenants" | "agencies")
        | ("put", "{channel}" | "{meta_app}" | "{tenant}" | "{agency}" | "me") => {
            json!({ "name": set_up() })
        }
        ("post", "erasure") => json!({ "ground": set_up() }),
        ("post", "holds") => json!({
            "norm": set_up(), "proven_by": set_up(), "review_at": 2_000_000_000_000_u64,
            "contact": chance.happens(700).then(|| seen.draw(chance, "con", owner)),
            "classes": if chance.happens(500) { json!(["message"]) } else { json!([]) },
        }),
        ("put", "retention") => json!({ "days": { "message": 30 + chance.below(300) } }),
        ("post", "suspend") => json!({ "reason": set_up() }),
        ("post", "break-glass") => json!({ "reason": set_up(), "minutes": 1 + chance.below(30) }),
        ("put", "agency-reading") => json!({ "allowed": chance.happens(500) }),
        ("put", "{account}") if route.contains("/members/") => {
            json!({ "role": *one(chance, &["viewer", "operator", "tenant_admin"]), "assigned_only": false })
        }
        ("post", "golden") => json!({ "question": set_up(), "expect": { "contains": [set_up()] } }),
        ("post", "rehearsals") => json!({ "question": format!("Is {} open?", set_up()) }),
        ("post", "rollback") => json!({ "version": 1 + chance.below(3) }),
        ("post", "rotate") => json!({ "overlap_hours": 1 }),
        ("post", "replay") if route.contains("/webhooks/") => json!({ "dead": true }),
        ("post", "takeover") => operator(ids, json!({}), &mut set_up),
        ("post", "notes") => {
            let note = json!({ "text": mark(Sort::Content).text() });
            operator(ids, note, &mut || mark(Sort::SetUp).text())
        }
        ("post", "assign") => match chance.below(3) {
            0 => json!({ "operator": null }),
            1 => json!({ "operator": set_up() }),
            _ => json!({ "account": seen.draw(chance, "acc", owner) }),
        },
        ("post", "messages") => {
            let message = if chance.happens(300) {
                // A file: one's own, or another's.
                json!({ "content": { "type": "media", "items": [{
                    "kind": "document", "mime": "text/plain",
                    "source": { "at": "stored", "id": seen.draw(chance, "med", owner), "bytes": 17 },
                }] } })
            } else {
                json!({ "text": mark(Sort::Content).text() })
            };
            operator(ids, message, &mut || mark(Sort::SetUp).text())
        }
        ("post", "sign-in") if route == "/auth/sign-in" => {
            json!({ "email": format!("{}@example.com", set_up()), "password": set_up() })
        }
        ("post", "forgotten" | "email") => json!({ "email": format!("{}@example.com", set_up()) }),
        ("post", "step-up") => json!({ "password": set_up() }),
        _ => json!({}),
    })
}

/// For programs, who say who acts; people act by their own name.
fn operator(ids: &Ids<'_>, mut form: Value, name: &mut impl FnMut() -> String) -> Value {
    if ids.is_key {
        form["operator"] = name().into();
    }
    form
}
