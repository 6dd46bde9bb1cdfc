//! One world, played to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::test::{self, TestRequest};
use iassistance::http::server;
use iassistance_channels::signature::sign;
use iassistance_domain::Clock;
use serde_json::{Value, json};

use crate::acts::{Ask, Body, FIRST, Ids, Seen, Wish, draw, one};
use crate::askers::{JOINT, JOINTS, Known, OWNERS, TENANTS, View};
use crate::chance::Chance;
use crate::ears::{Socket, logged};
use crate::marks::{Mark, Search, Sort};
use crate::world::{Answer, SECRET, World, dialled, send};

/// Sockets of a world, each of somebody else.
const SOCKETS: usize = 12;

/// What was done, and what was looked at.
#[derive(Default)]
pub struct Tally {
    sequences: u64,
    requests: u64,
    /// By the first digit of the status.
    answers: BTreeMap<u16, u64>,
    webhooks: u64,
    canaries: u64,
    /// Answers in which there were canaries, all of which their reader may see.
    shown: u64,
    frames: u64,
    deliveries: u64,
    prompts: u64,
    mails: u64,
    log_bytes: u64,
    metrics: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        for (class, count) in &other.answers {
            *self.answers.entry(*class).or_default() += count;
        }
        self.sequences += other.sequences;
        self.requests += other.requests;
        self.webhooks += other.webhooks;
        self.canaries += other.canaries;
        self.shown += other.shown;
        self.frames += other.frames;
        self.deliveries += other.deliveries;
        self.prompts += other.prompts;
        self.mails += other.mails;
        self.log_bytes += other.log_bytes;
        self.metrics += other.metrics;
    }

    pub fn json(&self) -> Value {
        let answers: BTreeMap<String, u64> =
            self.answers.iter().map(|(class, count)| (format!("{class}xx"), *count)).collect();
        json!({
            "sequences": self.sequences, "requests": self.requests, "answers": answers,
            "webhooks": self.webhooks, "canaries": self.canaries, "shown": self.shown,
            "frames": self.frames, "deliveries": self.deliveries, "prompts": self.prompts,
            "mails": self.mails, "log_bytes": self.log_bytes, "metrics": self.metrics,
        })
    }

    /// Whether everything that is looked at was there.
    pub fn is_worth_something(&self) -> bool {
        let all = [self.shown, self.frames, self.deliveries, self.prompts, self.mails, self.metrics];
        all.iter().all(|count| *count > 0) && self.log_bytes > 0 && self.shown * 20 > self.requests
    }
}

/// What a world is played with.
struct Play<S> {
    world: World,
    service: Rc<S>,
    chance: Chance,
    search: Search,
    seen: Seen,
    tally: Tally,
    /// How many canaries there are.
    marks: u32,
    /// Who listens, and what they could see the last two times that it was looked at what they heard.
    sockets: Vec<(usize, Socket, [View; 2])>,
    tenants: Vec<String>,
    agencies: Vec<String>,
    meta_app: String,
}

/// Plays a world: what was done; or what came out where it does not belong.
pub async fn play(seed: u64, sequences: u64, on_disk: bool) -> Result<Tally, String> {
    let mut marks = 0;
    let _before = logged();
    let world = World::open(seed, on_disk, |owner, sort| {
        marks += 1;
        Mark { owner, sort, number: marks }
    })
    .await;
    let service = test::init_service(server::routes(&world.state)).await;
    let text = |id: &dyn ToString| id.to_string();
    let mut play = Play {
        tenants: world.places.tenants.iter().map(|id| text(id)).collect(),
        agencies: world.places.agencies.iter().map(|id| text(id)).collect(),
        meta_app: world.meta_app.to_string(),
        world,
        service: Rc::new(service),
        chance: Chance::of(seed, "canaries"),
        search: Search::new(),
        seen: Seen::default(),
        tally: Tally::default(),
        marks,
        sockets: Vec::new(),
    };
    let ended = play.all(sequences).await;
    let Play { world, tally, .. } = play;
    world.close().await;
    ended.map(|()| tally)
}

impl<S, B> Play<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    async fn all(&mut self, sequences: u64) -> Result<(), String> {
        for tenant in 0..TENANTS {
            self.contact_writes(tenant).await?;
        }
        for (number, asker) in self.world.askers.clone().into_iter().enumerate() {
            if asker.name.starts_with("TenantAdmin") {
                for wish in FIRST {
                    self.step(number, Some(wish)).await?;
                }
            }
        }
        for number in 0..sequences {
            if number % 100 == 0 {
                self.listen().await;
            }
            self.sequence().await?;
            self.tally.sequences += 1;
            self.overhear().await?;
        }
        self.mails()?;
        self.tally.canaries = u64::from(self.marks);
        Ok(())
    }

    fn mark(&mut self, owner: u8, sort: Sort) -> Mark {
        self.marks += 1;
        Mark { owner, sort, number: self.marks }
    }

    /// A few requests of a few who ask.
    async fn sequence(&mut self) -> Result<(), String> {
        let askers = 1 + self.chance.below(3);
        let askers: Vec<usize> = (0..askers).map(|_| self.somebody()).collect();
        for _ in 0..2 + self.chance.below(7) {
            if self.chance.happens(80) {
                let tenant = u8::try_from(self.chance.below(u64::from(TENANTS))).unwrap_or_default();
                self.contact_writes(tenant).await?;
            }
            let asker = *one(&self.chance, &askers);
            if self.chance.happens(20) {
                self.beside(asker).await?;
            } else {
                self.step(asker, None).await?;
            }
        }
        self.world.clock.advance_millis(1 + self.chance.below(2_000));
        Ok(())
    }

    /// Mostly a tenant's people, of whom there are most; then its keys; then all others.
    fn somebody(&self) -> usize {
        let all = self.world.askers.iter().enumerate();
        let sort = self.chance.weighed(&[(5, 0), (2, 1), (3, 2)]);
        let of_sort = all.filter(|(_, asker)| match (asker.home < TENANTS, asker.known) {
            (true, Known::Key(_)) => sort == 1,
            (true, _) => sort == 0,
            (false, _) => sort == 2,
        });
        let of_sort: Vec<usize> = of_sort.map(|(number, _)| number).collect();
        *one(&self.chance, &of_sort)
    }

    /// One request, and a look at its answer.
    async fn step(&mut self, number: usize, wished: Option<Wish>) -> Result<(), String> {
        let asker = self.world.askers[number].clone();
        let ids = Ids {
            tenants: &self.tenants,
            agencies: &self.agencies,
            meta_app: &self.meta_app,
            is_owner: asker.home == OWNERS,
            is_key: matches!(asker.known, Known::Key(_)),
        };
        let marks = &mut self.marks;
        let mut mark = |owner, sort| {
            *marks += 1;
            Mark { owner, sort, number: *marks }
        };
        let ask = draw(&self.chance, &asker, &ids, &self.seen, wished, &mut mark);
        // The channel that its contacts write to stays.
        let main: Vec<String> = self.world.channels.iter().map(ToString::to_string).collect();
        if ask.method == "delete" && main.iter().any(|channel| ask.path.ends_with(channel)) {
            return Ok(());
        }
        let before = self.world.places.view(&self.world.app, &asker).await;
        let mut answer = self.ask(number, &ask).await;
        let code = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["code"].clone();
        if answer.status == 401 || code == "step_up_needed" {
            self.world.admit(number).await;
            answer = self.ask(number, &ask).await;
        }
        let asker = self.world.askers[number].clone();
        let view = before.or(self.world.places.view(&self.world.app, &asker).await);
        let found = self.search.find(&answer.whole);
        let foreign: Vec<Mark> = found.iter().copied().filter(|mark| !view.sees(*mark)).collect();
        let (method, path) = (ask.method, &ask.path);
        if !foreign.is_empty() {
            let status = answer.status;
            let shown = String::from_utf8_lossy(&answer.whole);
            return Err(format!(
                "{}: {method} {path}: {status}: the answer has {foreign:?}\n    {shown}",
                asker.name
            ));
        }
        if answer.status == 500 {
            return Err(format!("{}: {method} {path}: the server failed", asker.name));
        }
        *self.tally.answers.entry(answer.status / 100).or_default() += 1;
        self.tally.requests += 1;
        self.tally.shown += u64::from(!found.is_empty());
        if answer.status < 300 {
            let owner = ask.place.unwrap_or(asker.home);
            self.seen.learn(owner, &serde_json::from_slice(&answer.body).unwrap_or_default());
            if ask.route.ends_with("/suspend") || ask.route.ends_with("/close") {
                let tenant = self.world.places.tenants[usize::from(owner)];
                self.world.reopen(tenant).await;
            }
        }
        Ok(())
    }

    async fn ask(&self, number: usize, ask: &Ask) -> Answer {
        let method = Method::from_bytes(ask.method.to_uppercase().as_bytes()).unwrap();
        let mut request = TestRequest::with_uri(&ask.path)
            .method(method)
            .insert_header(("Host", "desk.test"))
            .insert_header(("User-Agent", "canaries/1"));
        for header in self.world.headers(number) {
            request = request.insert_header(header);
        }
        if let Some(once) = &ask.once {
            request = request.insert_header(("Idempotency-Key", once.as_str()));
        }
        let request = match &ask.body {
            Body::None => request,
            Body::Json(form) => request.set_json(form),
            Body::Raw(mime, bytes) => {
                request.insert_header(("Content-Type", *mime)).set_payload(bytes.clone())
            }
        };
        send(&self.service, request).await
    }

    /// What is beside the administration: figures, the document of the routes, whether it is ready.
    async fn beside(&mut self, number: usize) -> Result<(), String> {
        let path = *one(&self.chance, &["/metrics", "/health/ready", "/openapi.json", "/nothing"]);
        let mut request = TestRequest::get().uri(path);
        for header in self.world.headers(number) {
            request = request.insert_header(header);
        }
        let answer = send(&self.service, request).await;
        self.tally.metrics += u64::from(path == "/metrics" && answer.status == 200);
        let found = self.search.find(&answer.whole);
        if found.is_empty() { Ok(()) } else { Err(format!("{path} has {found:?}")) }
    }

    /// A contact of a tenant writes to it, by Meta.
    async fn contact_writes(&mut self, tenant: u8) -> Result<(), String> {
        // A few contacts of each, each with a number and a name of their own.
        let contact = Mark {
            owner: tenant,
            sort: Sort::Content,
            number: u32::try_from(self.chance.below(4)).unwrap_or_default(),
        };
        let said = self.mark(tenant, Sort::Content);
        let at = self.world.clock.now().as_millis() / 1_000;
        let message = json!({
            "from": contact.digits(), "id": format!("wamid.{}", said.number), "timestamp": at.to_string(),
            "type": "text", "text": { "body": format!("Is it open? {}", said.text()) },
        });
        let body = json!({
            "object": "whatsapp_business_account",
            "entry": [{ "id": "100000000000001", "changes": [{ "field": "messages", "value": {
                "messaging_product": "whatsapp",
                "metadata": { "display_phone_number": "15550100001", "phone_number_id": dialled(tenant) },
                "contacts": [{ "profile": { "name": contact.text() }, "wa_id": contact.digits() }],
                "messages": [message],
            } }] }],
        });
        let body = body.to_string().into_bytes();
        let request = TestRequest::post()
            .uri(&format!("/webhooks/meta/{}", self.meta_app))
            .insert_header(("Content-Type", "application/json"))
            .insert_header(("x-hub-signature-256", sign(SECRET.as_bytes(), &body)))
            .set_payload(body);
        let answer = send(&self.service, request).await;
        self.tally.webhooks += u64::from(answer.status == 200);
        let found = self.search.find(&answer.whole);
        if found.is_empty() { Ok(()) } else { Err(format!("Meta is told {found:?}")) }
    }

    /// Opens sockets, in place of those that have gone: each watches where it belongs, and tries elsewhere.
    async fn listen(&mut self) {
        self.sockets.retain(|(_, socket, _)| socket.is_open());
        while self.sockets.len() < SOCKETS {
            let number = self.somebody();
            if self.world.askers[number].known == Known::Nobody {
                continue;
            }
            self.world.admit(number).await;
            let headers = self.world.headers(number);
            let Some(socket) = Socket::open(self.world.address, &headers).await else { return };
            let own = self.world.askers[number].tenants.clone();
            let other = u8::try_from(self.chance.below(u64::from(TENANTS))).unwrap_or_default();
            for tenant in own.into_iter().chain([other, (other + 7) % TENANTS]) {
                let tenant = &self.tenants[usize::from(tenant)];
                socket.say(&json!({
                    "type": "subscribe", "tenant": tenant, "after_seq": 0, "tokens": true,
                }));
            }
            let view = self.world.places.view(&self.world.app, &self.world.askers[number]).await;
            self.sockets.push((number, socket, [View::default(), view]));
        }
    }

    /// Looks at all that came out beside the answers.
    async fn overhear(&mut self) -> Result<(), String> {
        let log = logged();
        self.tally.log_bytes += log.len() as u64;
        let found = self.search.find(&log);
        if !found.is_empty() {
            let log = String::from_utf8_lossy(&log);
            let lines = log.lines().filter(|line| !self.search.find(line.as_bytes()).is_empty());
            let lines: Vec<_> = lines.take(3).collect();
            return Err(format!("the log has {found:?}\n    {}", lines.join("\n    ")));
        }
        for (prompted, words) in self.world.prompted.take() {
            self.tally.prompts += 1;
            let found = self.search.find(&words);
            let owners: BTreeSet<u8> = found.iter().map(|mark| mark.owner).collect();
            if owners.len() > 1 {
                return Err(format!("{prompted} is told of several: {found:?}"));
            }
        }
        for (url, body) in self.world.delivered.take() {
            self.tally.deliveries += 1;
            let whose = self.search.find(url.as_bytes()).first().map(|mark| mark.owner);
            let found = self.search.find(&body);
            if found.iter().any(|mark| !whose.is_some_and(|whose| is_of(*mark, whose))) {
                return Err(format!("the receiver of {whose:?} gets {found:?}"));
            }
        }
        for (number, socket, could) in &mut self.sockets {
            let asker = self.world.askers[*number].clone();
            let heard = socket.heard();
            if heard.is_empty() {
                continue;
            }
            let view = self.world.places.view(&self.world.app, &asker).await;
            for (_, frame) in heard {
                self.tally.frames += 1;
                let found = self.search.find(&frame);
                // Whose right is taken has a second until the socket ends, and what is on its way by then arrives.
                let could_see = |mark: &Mark| could.iter().any(|view| view.sees(*mark));
                if found.iter().any(|mark| !view.sees(*mark) && !could_see(mark)) {
                    let frame = String::from_utf8_lossy(&frame);
                    return Err(format!("{}: the live feed has {found:?}\n    {frame}", asker.name));
                }
            }
            could.swap(0, 1);
            could[1] = view;
        }
        Ok(())
    }

    /// Looks at the mails that left: each tells of one place alone.
    fn mails(&mut self) -> Result<(), String> {
        for file in std::fs::read_dir(self.world.folder.join("mail")).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap_or_default();
            let found = self.search.find(text.replace("=\r\n", "").as_bytes());
            let tenants: BTreeSet<u8> =
                found.iter().map(|mark| mark.owner).filter(|owner| *owner < TENANTS).collect();
            self.tally.mails += 1;
            if tenants.len() > 1 {
                return Err(format!("a mail has {found:?}"));
            }
        }
        Ok(())
    }
}

/// Whether something is a tenant's, or one of its people's who belongs to another too.
fn is_of(mark: Mark, tenant: u8) -> bool {
    let joint = mark.owner.checked_sub(JOINT).and_then(|place| JOINTS.get(usize::from(place)));
    mark.owner == tenant || joint.is_some_and(|tenants| tenants.contains(&tenant))
}
