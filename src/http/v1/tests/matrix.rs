//! Every route and method of the OpenAPI document, for everybody, everywhere, against the table of who may do
//! what. What a route asks for is written down here once more: a route without a line fails.

use std::collections::BTreeMap;

use iassistance_domain::agency::{Agency, AgencyState};
use iassistance_domain::id::AgencyId;
use iassistance_domain::permission::{Act, Grant, Who, grant};

use super::*;
use crate::http::openapi;

/// For those who have no credential yet.
const OPEN: Option<Act> = None;

/// What each route asks for.
const LINES: &[(&str, Option<Act>)] = &[
    ("post /auth/sign-in", OPEN),
    ("post /auth/second-factor", OPEN),
    ("post /auth/second-factor/passkey", OPEN),
    ("post /auth/passkey", OPEN),
    ("post /auth/passkey/sign-in", OPEN),
    ("post /auth/link", OPEN),
    ("post /auth/supabase", OPEN),
    ("post /auth/email/confirm", OPEN),
    ("post /auth/password/forgotten", OPEN),
    ("post /auth/password/reset", OPEN),
    ("post /auth/invitations/accept", OPEN),
    ("post /auth/sign-out", Some(Act::OwnAccount)),
    ("get /auth/me", Some(Act::OwnAccount)),
    ("put /auth/me", Some(Act::OwnAccount)),
    ("get /auth/sessions", Some(Act::OwnAccount)),
    ("delete /auth/sessions", Some(Act::OwnAccount)),
    ("delete /auth/sessions/{session}", Some(Act::OwnAccount)),
    ("post /auth/step-up", Some(Act::OwnAccount)),
    ("post /auth/step-up/passkey", Some(Act::OwnAccount)),
    ("post /auth/email", Some(Act::OwnAccount)),
    ("put /auth/password", Some(Act::OwnAccount)),
    ("post /auth/totp", Some(Act::OwnAccount)),
    ("delete /auth/totp", Some(Act::OwnAccount)),
    ("post /auth/totp/confirm", Some(Act::OwnAccount)),
    ("post /auth/recovery-codes", Some(Act::OwnAccount)),
    ("post /auth/passkeys", Some(Act::OwnAccount)),
    ("post /auth/passkeys/question", Some(Act::OwnAccount)),
    ("delete /auth/passkeys/{passkey}", Some(Act::OwnAccount)),
    ("get /tenants", Some(Act::ListTenants)),
    ("post /tenants", Some(Act::CreateTenant)),
    ("get /tenants/{tenant}", Some(Act::SeeSetUp)),
    ("put /tenants/{tenant}", Some(Act::ChangeTenant)),
    ("post /tenants/{tenant}/suspend", Some(Act::SuspendTenant)),
    ("post /tenants/{tenant}/resume", Some(Act::SuspendTenant)),
    ("post /tenants/{tenant}/close", Some(Act::SuspendTenant)),
    ("put /tenants/{tenant}/agency-reading", Some(Act::GrantAgencyReading)),
    ("get /tenants/{tenant}/members", Some(Act::SeePeople)),
    ("get /tenants/{tenant}/members/{account}", Some(Act::SeePeople)),
    ("put /tenants/{tenant}/members/{account}", Some(Act::ManagePeople)),
    ("delete /tenants/{tenant}/members/{account}", Some(Act::ManagePeople)),
    ("get /tenants/{tenant}/invitations", Some(Act::SeePeople)),
    ("post /tenants/{tenant}/invitations", Some(Act::ManagePeople)),
    ("get /tenants/{tenant}/invitations/{invitation}", Some(Act::SeePeople)),
    ("delete /tenants/{tenant}/invitations/{invitation}", Some(Act::ManagePeople)),
    ("get /tenants/{tenant}/break-glass", Some(Act::SeeBreakGlass)),
    ("post /tenants/{tenant}/break-glass", Some(Act::AskBreakGlass)),
    ("get /tenants/{tenant}/break-glass/{grant}", Some(Act::SeeBreakGlass)),
    ("post /tenants/{tenant}/break-glass/{grant}/approve", Some(Act::AskBreakGlass)),
    ("post /tenants/{tenant}/break-glass/{grant}/end", Some(Act::EndBreakGlass)),
    ("get /agencies", Some(Act::SeeAgency)),
    ("post /agencies", Some(Act::ManageAgencies)),
    ("get /agencies/{agency}", Some(Act::SeeAgency)),
    ("put /agencies/{agency}", Some(Act::ManageAgencies)),
    ("get /agencies/{agency}/members", Some(Act::ManageAgencyPeople)),
    ("get /agencies/{agency}/members/{account}", Some(Act::ManageAgencyPeople)),
    ("delete /agencies/{agency}/members/{account}", Some(Act::ManageAgencyPeople)),
    ("get /agencies/{agency}/invitations", Some(Act::ManageAgencyPeople)),
    ("post /agencies/{agency}/invitations", Some(Act::ManageAgencyPeople)),
    ("delete /agencies/{agency}/invitations/{invitation}", Some(Act::ManageAgencyPeople)),
    ("get /accounts", Some(Act::ManageOwners)),
    ("get /accounts/{account}", Some(Act::ManageOwners)),
    ("delete /accounts/{account}", Some(Act::ManageOwners)),
    ("get /owners/invitations", Some(Act::ManageOwners)),
    ("delete /owners/invitations/{invitation}", Some(Act::ManageOwners)),
    ("put /accounts/{account}", Some(Act::ManageOwners)),
    ("post /owners/invitations", Some(Act::ManageOwners)),
    ("get /keys", Some(Act::ManagePlatformKeys)),
    ("post /keys", Some(Act::ManagePlatformKeys)),
    ("get /keys/{key}", Some(Act::ManagePlatformKeys)),
    ("delete /keys/{key}", Some(Act::ManagePlatformKeys)),
    ("get /meta-apps", Some(Act::SeeMetaApps)),
    ("post /meta-apps", Some(Act::ManageMetaApps)),
    ("get /meta-apps/{meta_app}", Some(Act::SeeMetaApps)),
    ("put /meta-apps/{meta_app}", Some(Act::ManageMetaApps)),
    ("get /meta-apps/{meta_app}/channels", Some(Act::ManageMetaApps)),
    ("get /unrouted", Some(Act::OperatePlatform)),
    ("get /tenants/{tenant}/channels", Some(Act::SeeSetUp)),
    ("post /tenants/{tenant}/channels", Some(Act::ConnectChannel)),
    ("get /tenants/{tenant}/channels/{channel}", Some(Act::SeeSetUp)),
    ("put /tenants/{tenant}/channels/{channel}", Some(Act::ConnectChannel)),
    ("delete /tenants/{tenant}/channels/{channel}", Some(Act::ConnectChannel)),
    ("post /tenants/{tenant}/channels/{channel}/test", Some(Act::ConnectChannel)),
    ("post /tenants/{tenant}/channels/{channel}/subscribe", Some(Act::ConnectChannel)),
    ("get /tenants/{tenant}/channels/{channel}/templates", Some(Act::SeeSetUp)),
    ("get /tenants/{tenant}/assistant", Some(Act::SeeSetUp)),
    ("put /tenants/{tenant}/assistant", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/assistant/draft", Some(Act::SeeSetUp)),
    ("put /tenants/{tenant}/assistant/draft", Some(Act::EditAssistant)),
    ("delete /tenants/{tenant}/assistant/draft", Some(Act::EditAssistant)),
    ("post /tenants/{tenant}/assistant/draft/publish", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/assistant/versions", Some(Act::SeeSetUp)),
    ("get /tenants/{tenant}/assistant/versions/{version}", Some(Act::SeeSetUp)),
    ("post /tenants/{tenant}/assistant/rollback", Some(Act::EditAssistant)),
    ("post /tenants/{tenant}/rehearsals", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/golden", Some(Act::ReadKnowledge)),
    ("post /tenants/{tenant}/golden", Some(Act::EditAssistant)),
    ("post /tenants/{tenant}/golden/run", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/golden/{golden}", Some(Act::ReadKnowledge)),
    ("put /tenants/{tenant}/golden/{golden}", Some(Act::EditAssistant)),
    ("delete /tenants/{tenant}/golden/{golden}", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/knowledge", Some(Act::ReadKnowledge)),
    ("post /tenants/{tenant}/knowledge", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/knowledge/search", Some(Act::ReadKnowledge)),
    ("get /tenants/{tenant}/knowledge/{document}", Some(Act::ReadKnowledge)),
    ("delete /tenants/{tenant}/knowledge/{document}", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/knowledge/{document}/passages", Some(Act::ReadKnowledge)),
    ("post /tenants/{tenant}/knowledge/{document}/reindex", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/spending", Some(Act::SeeSpending)),
    ("get /tenants/{tenant}/contacts", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/contacts/{contact}", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/contacts/{contact}/consents", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/contacts/{contact}/corrections", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/rights", Some(Act::SeeRights)),
    ("post /tenants/{tenant}/rights", Some(Act::ServeRights)),
    ("get /tenants/{tenant}/rights/{case}", Some(Act::SeeRights)),
    ("post /tenants/{tenant}/rights/{case}/steps", Some(Act::ServeRights)),
    ("get /tenants/{tenant}/rights/{case}/data", Some(Act::ExportSubject)),
    ("get /incidents", Some(Act::RotateKeys)),
    ("post /incidents", Some(Act::RotateKeys)),
    ("get /incidents/{incident}", Some(Act::RotateKeys)),
    ("put /incidents/{incident}", Some(Act::RotateKeys)),
    ("post /incidents/{incident}/scope", Some(Act::RotateKeys)),
    ("get /incidents/{incident}/drafts", Some(Act::RotateKeys)),
    ("get /incidents/{incident}/dossier", Some(Act::RotateKeys)),
    ("post /incidents/{incident}/told", Some(Act::RotateKeys)),
    ("post /incidents/{incident}/close", Some(Act::RotateKeys)),
    ("get /tenants/{tenant}/orders", Some(Act::AnswerOrders)),
    ("post /tenants/{tenant}/orders", Some(Act::AnswerOrders)),
    ("get /tenants/{tenant}/orders/{order}", Some(Act::AnswerOrders)),
    ("post /tenants/{tenant}/orders/{order}/approve", Some(Act::AnswerOrders)),
    ("post /tenants/{tenant}/orders/{order}/tell", Some(Act::AnswerOrders)),
    ("post /tenants/{tenant}/orders/{order}/answer", Some(Act::AnswerOrders)),
    ("get /tenants/{tenant}/contacts/{contact}/disclosures", Some(Act::ReadContent)),
    ("post /tenants/{tenant}/contacts/{contact}/erasure", Some(Act::EraseSubject)),
    ("get /tenants/{tenant}/erasures", Some(Act::SeeErasures)),
    ("get /tenants/{tenant}/erasures/{erasure}", Some(Act::SeeErasures)),
    ("get /tenants/{tenant}/holds", Some(Act::LegalHold)),
    ("post /tenants/{tenant}/holds", Some(Act::LegalHold)),
    ("get /tenants/{tenant}/holds/{hold}", Some(Act::LegalHold)),
    ("delete /tenants/{tenant}/holds/{hold}", Some(Act::LegalHold)),
    ("get /tenants/{tenant}/notice", Some(Act::SeeSetUp)),
    ("get /tenants/{tenant}/retention", Some(Act::SeeSetUp)),
    ("put /tenants/{tenant}/retention", Some(Act::EditAssistant)),
    ("get /tenants/{tenant}/retention/{id}", Some(Act::LegalHold)),
    ("get /certificates", Some(Act::OperatePlatform)),
    ("get /certificates/{destroyed}", Some(Act::OperatePlatform)),
    ("get /privacy/data-map", Some(Act::SeeDataMap)),
    ("get /tenants/{tenant}/export/{kind}", Some(Act::ExportContent)),
    ("get /tenants/{tenant}/conversations", Some(Act::ReadContent)),
    ("post /tenants/{tenant}/conversations/search", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/conversations/{conversation}", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/conversations/{conversation}/messages", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/conversations/{conversation}/messages/{message}", Some(Act::ReadContent)),
    ("post /tenants/{tenant}/conversations/{conversation}/messages", Some(Act::Send)),
    (
        "get /tenants/{tenant}/conversations/{conversation}/messages/{message}/files/{place}",
        Some(Act::ReadContent),
    ),
    ("post /tenants/{tenant}/media", Some(Act::Send)),
    ("get /tenants/{tenant}/conversations/{conversation}/turns", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/conversations/{conversation}/turns/{turn}", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/conversations/{conversation}/snapshot", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/conversations/{conversation}/outbox", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/conversations/{conversation}/summary", Some(Act::ReadContent)),
    ("post /tenants/{tenant}/conversations/{conversation}/takeover", Some(Act::Send)),
    ("post /tenants/{tenant}/conversations/{conversation}/handback", Some(Act::Send)),
    ("post /tenants/{tenant}/conversations/{conversation}/assign", Some(Act::Send)),
    ("post /tenants/{tenant}/conversations/{conversation}/notes", Some(Act::Send)),
    ("get /tenants/{tenant}/events", Some(Act::ReadContent)),
    ("get /tenants/{tenant}/dead-letters", Some(Act::SeeDeadLetters)),
    ("get /tenants/{tenant}/dead-letters/{dead_letter}", Some(Act::SeeDeadLetters)),
    ("post /tenants/{tenant}/dead-letters/{dead_letter}/replay", Some(Act::ReplayDeadLetter)),
    ("get /tenants/{tenant}/quarantine", Some(Act::SeeSetUp)),
    ("get /quarantine", Some(Act::OperatePlatform)),
    ("get /checks", Some(Act::OperatePlatform)),
    ("post /checks", Some(Act::OperatePlatform)),
    ("get /checks/{check}", Some(Act::OperatePlatform)),
    ("get /tenants/{tenant}/keys", Some(Act::ManageKeys)),
    ("post /tenants/{tenant}/keys", Some(Act::ManageKeys)),
    ("get /tenants/{tenant}/keys/{key}", Some(Act::ManageKeys)),
    ("put /tenants/{tenant}/keys/{key}", Some(Act::ManageKeys)),
    ("delete /tenants/{tenant}/keys/{key}", Some(Act::ManageKeys)),
    ("post /tenants/{tenant}/keys/{key}/rotate", Some(Act::ManageKeys)),
    ("get /backups", Some(Act::OperatePlatform)),
    ("post /backups", Some(Act::OperatePlatform)),
    ("get /backups/{backup}", Some(Act::OperatePlatform)),
    ("post /tenants/{tenant}/restore", Some(Act::OperatePlatform)),
    ("get /tenants/{tenant}/audit", Some(Act::ReadAudit)),
    ("get /tenants/{tenant}/audit/checkpoints", Some(Act::ReadAudit)),
    ("get /tenants/{tenant}/audit/export", Some(Act::ReadAudit)),
    ("get /tenants/{tenant}/access-log", Some(Act::ReadAccessLog)),
    ("get /audit", Some(Act::ReadPlatformLogs)),
    ("get /audit/checkpoints", Some(Act::ReadPlatformLogs)),
    ("get /audit/export", Some(Act::ReadPlatformLogs)),
    ("get /access-log", Some(Act::ReadPlatformLogs)),
    ("get /me/access-log", Some(Act::OwnAccount)),
    ("get /tenants/{tenant}/webhooks", Some(Act::ManageHooks)),
    ("post /tenants/{tenant}/webhooks", Some(Act::ManageHooks)),
    ("get /tenants/{tenant}/webhooks/{webhook}", Some(Act::ManageHooks)),
    ("put /tenants/{tenant}/webhooks/{webhook}", Some(Act::ManageHooks)),
    ("delete /tenants/{tenant}/webhooks/{webhook}", Some(Act::ManageHooks)),
    ("post /tenants/{tenant}/webhooks/{webhook}/test", Some(Act::ManageHooks)),
    ("post /tenants/{tenant}/webhooks/{webhook}/secret", Some(Act::ManageHooks)),
    ("delete /tenants/{tenant}/webhooks/{webhook}/secret", Some(Act::ManageHooks)),
    ("get /tenants/{tenant}/webhooks/{webhook}/deliveries", Some(Act::ManageHooks)),
    ("get /tenants/{tenant}/webhooks/{webhook}/deliveries/{delivery}", Some(Act::ManageHooks)),
    ("post /tenants/{tenant}/webhooks/{webhook}/replay", Some(Act::ManageHooks)),
    ("post /tenants/{tenant}/live-tickets", Some(Act::WatchLive)),
];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
    Nobody,
    Owner,
    Agency,
    Admin,
    Operator,
    Viewer,
    /// Who administers the own tenant and has no second factor yet.
    Unproven,
    /// A key of the own tenant.
    Key(Scope),
    /// A key of the platform.
    Platform,
}

const EVERYBODY: [Asks; 13] = [
    Asks::Nobody,
    Asks::Owner,
    Asks::Agency,
    Asks::Admin,
    Asks::Operator,
    Asks::Viewer,
    Asks::Unproven,
    Asks::Key(Scope::Read),
    Asks::Key(Scope::Operate),
    Asks::Key(Scope::Manage),
    Asks::Key(Scope::Dsar),
    Asks::Key(Scope::Audit),
    Asks::Platform,
];

/// Which tenant or agency is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    /// The platform's.
    Nowhere,
    /// One's own.
    Own,
    /// Another of the same agency.
    Sibling,
    /// Another.
    Foreign,
    /// None that there is.
    Absent,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answered {
    Let,
    Unauthorized,
    NotFound,
    Refused(&'static str),
}

/// What is known of a route.
struct Route {
    in_agency: bool,
    changes: bool,
    /// Whether it is what adds a second factor.
    enrols: bool,
}

/// What somebody needs who has to add a second factor first.
const ENROLS: [&str; 6] = [
    "get /auth/me",
    "post /auth/sign-out",
    "post /auth/totp",
    "post /auth/totp/confirm",
    "post /auth/passkeys",
    "post /auth/passkeys/question",
];

/// As what somebody comes to a place.
fn comes_as(asks: Asks, to: Where, in_agency: bool) -> Vec<Who> {
    let belongs = [Where::Nowhere, Where::Own].contains(&to);
    match asks {
        Asks::Owner => vec![Who::Owner],
        Asks::Agency if belongs || (to == Where::Sibling && !in_agency) => vec![Who::Agency],
        Asks::Admin if belongs && !in_agency => vec![Who::TenantAdmin],
        Asks::Operator if belongs && !in_agency => vec![Who::Operator],
        Asks::Viewer if belongs && !in_agency => vec![Who::Viewer],
        _ => Vec::new(),
    }
}

/// What the table says. The agency was let read along, and no look of the owner is open.
fn expected(act: Option<Act>, asks: Asks, to: Where, is: &Route, sure: bool) -> Answered {
    let Route { in_agency, changes, enrols } = *is;
    let Some(act) = act else { return Answered::Let };
    let key = |scope: Scope| match grant(act, Who::Key) {
        Grant::Scope(scopes) if scopes.contains(&scope) => Answered::Let,
        _ => Answered::Refused("forbidden"),
    };
    match asks {
        Asks::Nobody => return Answered::Unauthorized,
        Asks::Unproven if enrols => return Answered::Let,
        // Wherever that is: so it tells nothing.
        Asks::Unproven => return Answered::Refused("second_factor_needed"),
        Asks::Key(_) if !in_agency && ![Where::Nowhere, Where::Own].contains(&to) => {
            return Answered::NotFound;
        }
        Asks::Key(scope) => return key(scope),
        Asks::Platform if !in_agency && to == Where::Absent && !act.is_of_platform() => {
            return Answered::NotFound;
        }
        Asks::Platform => return key(Scope::Platform),
        _ => {}
    }
    let roles = comes_as(asks, to, in_agency);
    if roles.is_empty() || (to == Where::Absent && (in_agency || !act.is_of_platform())) {
        return Answered::NotFound;
    }
    let unsure =
        |needed: bool| if needed && !sure { Answered::Refused("step_up_needed") } else { Answered::Let };
    let given = roles.iter().map(|who| match grant(act, *who) {
        // The own tenant has an administrator, and an agency.
        Grant::Own if *who == Who::Owner && to == Where::Own => Answered::Refused("forbidden"),
        Grant::Own if *who == Who::Owner && to == Where::Sibling => Answered::Refused("forbidden"),
        Grant::Yes | Grant::Own | Grant::IfGranted | Grant::Masked | Grant::Metadata => {
            unsure(changes && act.needs_step_up())
        }
        Grant::StepUp => unsure(true),
        Grant::BreakGlass => Answered::Refused("break_glass_needed"),
        Grant::No | Grant::Scope(_) => Answered::Refused("forbidden"),
    });
    given.fold(Answered::Refused("forbidden"), |best, next| if best == Answered::Let { best } else { next })
}

struct World {
    desk: Desk,
    agencies: [AgencyId; 2],
    /// Own, sibling, foreign, absent.
    tenants: [TenantId; 4],
    accounts: BTreeMap<&'static str, Account>,
    keys: BTreeMap<String, String>,
}

impl World {
    async fn open() -> Self {
        let desk = Desk::open().await;
        let now = desk.clock.now();
        let people = desk.app.store.people();
        let agencies = [AgencyId::new(now, &SystemEntropy), AgencyId::new(now, &SystemEntropy)];
        for id in agencies {
            let agency = Agency { id, name: "a".to_owned(), created_at: now, state: AgencyState::Active };
            people.create_agency(agency).await.unwrap();
        }
        let foreign = TenantId::new(now, &SystemEntropy);
        desk.app.store.create_tenant(Tenant::new(foreign, "foreign".to_owned(), now)).await.unwrap();
        for id in desk.tenants {
            let record = people.tenant_record(id).await.unwrap().unwrap();
            people
                .put_tenant(Tenant { agency: Some(agencies[0]), agency_reads: true, ..record })
                .await
                .unwrap();
        }
        let tenants = [desk.tenants[0], desk.tenants[1], foreign, TenantId::from_bytes([0xEE; 16])];
        let own = MemberOf::Tenant(tenants[0]);
        let mut world = Self { desk, agencies, tenants, accounts: BTreeMap::new(), keys: BTreeMap::new() };
        for (name, owner, memberships) in [
            ("Owner", true, vec![]),
            ("Agency", false, vec![(MemberOf::Agency(agencies[0]), Role::Agency)]),
            ("Admin", false, vec![(own, Role::TenantAdmin)]),
            ("Operator", false, vec![(own, Role::Operator)]),
            ("Viewer", false, vec![(own, Role::Viewer)]),
        ] {
            let account = world.desk.account(owner, &memberships).await;
            world.accounts.insert(name, account);
        }
        for scope in Scope::ALL {
            let of = (scope != Scope::Platform).then_some(tenants[0]);
            let key = world.desk.key(of, &[scope]).await;
            world.keys.insert(scope.name().to_owned(), key);
        }
        world
    }

    /// What they are known by: a session of its own for each request.
    async fn credential(&self, asks: Asks, sure: bool) -> String {
        match asks {
            Asks::Nobody => String::new(),
            Asks::Key(scope) => self.keys[scope.name()].clone(),
            Asks::Platform => self.keys["platform"].clone(),
            person => {
                let name = if person == Asks::Unproven { Asks::Admin } else { person };
                let id = self.accounts[&*format!("{name:?}")].id;
                let people = self.desk.app.store.people();
                let account = people.account(id).await.unwrap().unwrap();
                let text = self.desk.session(&account, person != Asks::Unproven).await;
                if !sure {
                    let token = text.split(' ').nth(1).unwrap();
                    let hash = iassistance_identity::tokens::hash(token).unwrap();
                    let mut session = people.session_by_hash(&hash).await.unwrap().unwrap();
                    session.step_up_until = None;
                    people.put_session(session).await.unwrap();
                }
                text
            }
        }
    }

    async fn ask(&self, credential: &str, method: &str, path: &str, to: Where) -> Answer {
        let tenant = match to {
            Where::Nowhere | Where::Own => self.tenants[0],
            Where::Sibling => self.tenants[1],
            Where::Foreign => self.tenants[2],
            Where::Absent => self.tenants[3],
        };
        let agency = match to {
            Where::Nowhere | Where::Own => self.agencies[0],
            Where::Sibling | Where::Foreign => self.agencies[1],
            Where::Absent => AgencyId::from_bytes([0xEE; 16]),
        };
        let whole = filled(path, tenant).replace("{agency}", &agency.to_string());
        let mut body = body_for(method, path);
        if credential.starts_with("session") && path.contains("/conversations/") {
            // Who signed in acts by their own name.
            if let Some(body) =
                body.as_mut().and_then(Value::as_object_mut).filter(|_| !path.ends_with("assign"))
            {
                body.remove("operator");
            }
        }
        self.desk.ask(credential, method, &whole, body).await
    }
}

/// Whether an answer is one that was let in, whatever became of it then.
fn answered(answer: &Answer, names_a_thing: bool) -> Answered {
    let code = answer.body["code"].as_str().unwrap_or_default();
    match (answer.status, code) {
        (401, _) => Answered::Unauthorized,
        (403, "wrong_credentials") => Answered::Let,
        (403, code) => {
            let known =
                ["forbidden", "step_up_needed", "break_glass_needed", "second_factor_needed", "forged"];
            Answered::Refused(known.into_iter().find(|known| *known == code).unwrap_or("?"))
        }
        (404, _) if !names_a_thing => Answered::NotFound,
        _ => Answered::Let,
    }
}

#[actix_web::test]
async fn everybody_may_do_everywhere_what_the_table_says_and_nothing_else() {
    let world = World::open().await;
    let document = openapi::document();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        // The live feed is looked at where its sockets are; what is open to everybody asks for nothing.
        let others = ["/live", "/privacy/subprocessors", "/privacy/processing-record"];
        let Some(path) = path.strip_prefix("/v1").filter(|path| !others.contains(path)) else { continue };
        routes.extend(item.as_object().unwrap().keys().map(|method| (method.clone(), path.to_owned())));
    }
    let lines: BTreeMap<_, _> = LINES.iter().copied().collect();
    assert_eq!(lines.len(), LINES.len());
    let (mut asked, mut differences) = (0, Vec::new());
    for (method, path) in &routes {
        let name = format!("{method} {path}");
        let act = *lines.get(&*name).unwrap_or_else(|| panic!("{name} has no line: who may do it?"));
        let in_agency = path.contains("{agency}");
        let everywhere: &[Where] = if path.contains("{tenant}") || in_agency {
            &[Where::Own, Where::Sibling, Where::Foreign, Where::Absent]
        } else {
            &[Where::Nowhere]
        };
        let beyond = path.replace("{tenant}", "").replace("{agency}", "");
        // What stands in the place of a thing is none that there is, nor is a draft or a version.
        let names_a_thing = beyond.contains('{') || path.contains("/draft") || path.contains("/auth/totp");
        for asks in EVERYBODY {
            for sure in [true, false] {
                let is_person = !matches!(asks, Asks::Nobody | Asks::Key(_) | Asks::Platform);
                if !sure && !is_person {
                    continue;
                }
                for to in everywhere {
                    // A viewer is refused files where they are looked for.
                    if path.contains("/files/") && asks == Asks::Viewer {
                        continue;
                    }
                    let credential = world.credential(asks, sure).await;
                    let answer = world.ask(&credential, method, path, *to).await;
                    asked += 1;
                    let changes = method != "get";
                    let is = Route { in_agency, changes, enrols: ENROLS.contains(&&*name) };
                    let wanted = expected(act, asks, *to, &is, sure);
                    let got = answered(&answer, names_a_thing);
                    let hidden = wanted == Answered::NotFound;
                    // Whom it is not for gets the answer of what is not there, to the letter.
                    let differs = if hidden {
                        let absent = world.ask(&credential, method, path, Where::Absent).await;
                        answer.status != 404 || (answer.status, &answer.body) != (absent.status, &absent.body)
                    } else {
                        wanted != got && !(own_proof(path) && got == Answered::Refused("step_up_needed"))
                    };
                    if differs {
                        let (status, body) = (answer.status, &answer.body["code"]);
                        differences.push(format!(
                            "{name}: {asks:?} sure={sure} {to:?}: wanted {wanted:?}, got {status} {body}"
                        ));
                    }
                    // What closed or suspended a tenant is undone for those who come after.
                    if path.ends_with("/close") || path.ends_with("/suspend") {
                        world.reopen(*to).await;
                    }
                }
            }
        }
    }
    println!("{asked} requests, {} routes, {} differences", routes.len(), differences.len());
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    let served: Vec<_> = routes.iter().map(|(method, path)| format!("{method} {path}")).collect();
    for (name, _) in LINES {
        assert!(served.contains(&(*name).to_owned()), "{name} is not served any more");
    }
    assert!(asked > 4_000, "{asked}");
    world.desk.close().await;
}

/// Where somebody's own factors are changed, who has any proves anew who they are.
fn own_proof(path: &str) -> bool {
    ["/auth/totp", "/auth/recovery-codes", "/auth/passkeys", "/auth/password", "/auth/email"]
        .iter()
        .any(|own| path.starts_with(own))
}

impl World {
    async fn reopen(&self, which: Where) {
        let id = match which {
            Where::Nowhere | Where::Own => self.tenants[0],
            Where::Sibling => self.tenants[1],
            Where::Foreign => self.tenants[2],
            Where::Absent => return,
        };
        let people = self.desk.app.store.people();
        let record = people.tenant_record(id).await.unwrap().unwrap();
        let state = iassistance_domain::tenant::TenantState::Active;
        people.put_tenant(Tenant { state, ..record }).await.unwrap();
    }
}
