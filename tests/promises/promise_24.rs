//! The public way to ask: nobody gets another's data by it, nobody learns who is known, and whoever has the code that
//! was sent to the person gets theirs.

use std::time::Instant;

use iassistance_domain::id::{ContactId, ConversationId};
use iassistance_domain::privacy::rights::{CaseState, Opened};
use iassistance_domain::tenant::TenantCtx;

use crate::book::Proof;
use crate::people::{of, phone, secret};
use crate::served::{Answer, Ask, Served, id_of, until};
use crate::size;

const PATH: &str = "/privacy/request";

struct Scene {
    served: Served,
    contact: ContactId,
    conversation: ConversationId,
}

impl Scene {
    async fn set(people: usize) -> Self {
        let served = Served::open(people, &["rights.page_burst=100000", "rights.page_per_hour=100000"]).await;
        let conversation = served.conversation(1, 0).await;
        let store = of(&served.vaulted, 1).await;
        let contact = store.conversation(conversation).await.unwrap().unwrap().0.contact;
        Self { served, contact, conversation }
    }

    async fn ask(&self, right: &str, business: &str, person: &str) -> Answer {
        let form = [("right", right), ("product", "whatsapp"), ("business", business), ("person", person)];
        self.served.ask("POST", &format!("{PATH}?lang=en"), Ask { form: &form, ..Ask::default() }).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.served.ask("GET", path, Ask { cookie, ..Ask::default() }).await
    }

    async fn give(&self, path: &str, code: &str) -> Answer {
        self.served.ask("POST", path, Ask { form: &[("code", code)], ..Ask::default() }).await
    }

    /// The code that reached the person after those that are known.
    async fn next_code(&self, known: &[String]) -> String {
        let found = async || {
            let codes = self.served.codes(1, self.conversation).await.into_iter().map(|it| it.1);
            codes.into_iter().find(|code| !known.contains(code))
        };
        until("a code", async || found().await.is_some()).await;
        found().await.unwrap()
    }

    /// How many cases there are about the person.
    async fn cases(&self) -> usize {
        let rights = self.served.vaulted.store.rights();
        let cases = rights.cases(TenantCtx::platform(id_of(1)), None, usize::MAX).await.unwrap();
        cases.into_iter().filter(|case| case.contact == self.contact).count()
    }
}

/// A page without what is another in each: the number of the request.
fn alike(answer: &Answer) -> (u16, String) {
    let mut text = answer.text.clone();
    while let Some(at) = text.find("rqs_") {
        text.replace_range(at..at + 36, "NUMBER");
    }
    (answer.status.as_u16(), text)
}

fn path_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.location.clone()
}

#[actix_web::test]
async fn promise_24() {
    let proof = Proof::of(24);
    let tries = size("IASSISTANCE_REQUESTS", 60);
    let scene = Scene::set(6).await;
    nobody_learns_who_is_known(&scene).await;
    let ratio = timed(&scene, tries).await;
    let known = codes_work_once(&scene).await;
    another_gets_nothing(&scene, &known).await;
    what_is_wrong_is_refused(&scene).await;
    scene.served.close().await;
    proof.kept(format!(
        "5 kinds of requests with the same pages, {tries} of each of two in {ratio:.2} of the time; 0 disclosures"
    ));
}

async fn nobody_learns_who_is_known(scene: &Scene) {
    let (person, stranger) = (phone(1, 1), "5491155550000".to_owned());
    let mut pages = Vec::new();
    for (business, person) in [
        ("100001", person.as_str()),
        ("100001", &stranger),
        ("100002", &person),
        ("999999", &person),
        ("nobody's", "nobody"),
    ] {
        let entered = scene.ask("access", business, person).await;
        let path = path_of(&entered);
        let shown = scene.get(&path, "").await;
        let wrong = scene.give(&path, "00000000").await;
        let data = scene.get(&path.replace('?', "/data?"), "").await;
        assert_eq!(data.status, 303, "without a code nothing is handed out");
        pages.push((alike(&shown), alike(&wrong), data.text));
    }
    for page in &pages[1..] {
        assert_eq!(page, &pages[0], "whoever asks for whomever sees the same");
    }
    assert!(pages[0].0.1.contains("Answered by"), "by when it is answered is said");
}

/// The median time of a request for somebody who is known by that for one who is not.
async fn timed(scene: &Scene, tries: usize) -> f64 {
    let (known, stranger) = (phone(1, 2), "5491155550001".to_owned());
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..tries {
        for (place, person) in [&known, &stranger].into_iter().enumerate() {
            let from = Instant::now();
            path_of(&scene.ask("access", "100001", person).await);
            times[place].push(from.elapsed().as_secs_f64());
        }
    }
    let [known, stranger] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    // Told with the result, and not judged: the machine may do anything else meanwhile.
    known / stranger
}

/// The whole way of somebody who asks for their own. Gives the codes that were used.
async fn codes_work_once(scene: &Scene) -> Vec<String> {
    let path = path_of(&scene.ask("access", "100001", &phone(1, 0)).await);
    let code = scene.next_code(&[]).await;
    assert_eq!(scene.cases().await, 1);
    for _ in 0..3 {
        assert_eq!(scene.give(&path, "12345").await.status, 403);
    }
    let inside = scene.give(&path, &format!("{} {}", &code[..4], &code[4..])).await;
    assert_eq!(inside.status, 303, "{}", inside.text);
    let cookie = inside.cookie.clone().unwrap();
    assert_eq!(scene.give(&path, &code).await.status, 403, "it works once");
    let shown = scene.get(&path, &cookie).await;
    assert!(shown.text.contains("Your identity is proven"), "{}", shown.text);
    let json = scene.get(&path.replace('?', "/data?form=json&"), &cookie).await;
    let page = scene.get(&path.replace('?', "/data?"), &cookie).await;
    for text in [&json.text, &page.text] {
        assert!(text.contains(&format!("words {}", secret(1, 0))) && text.contains(&phone(1, 0)));
        for other in 1..6 {
            assert!(
                !text.contains(&secret(1, other)) && !text.contains(&secret(2, other)),
                "another's is in it"
            );
        }
        assert!(!text.contains(&secret(2, 0)));
    }
    let rights = scene.served.vaulted.store.rights();
    let cases = rights.cases(TenantCtx::platform(id_of(1)), None, 9).await.unwrap();
    let case = cases.iter().find(|case| case.contact == scene.contact).unwrap();
    assert!(matches!(case.state, CaseState::Answered { .. }) && matches!(case.opened, Opened::Page { .. }));
    let link_ms = 30 * 60_000;
    scene.served.clock.advance_millis(link_ms);
    assert_eq!(scene.get(&path.replace('?', "/data?"), &cookie).await.status, 303, "it lets in for a while");
    vec![code]
}

/// Who has another's request, or their own code, gets nothing of somebody else.
async fn another_gets_nothing(scene: &Scene, known: &[String]) {
    let path = path_of(&scene.ask("delete", "100001", &phone(1, 0)).await);
    let code = scene.next_code(known).await;
    let other = path_of(&scene.ask("delete", "100001", &phone(1, 3)).await);
    assert_eq!(scene.give(&other, &code).await.status, 403, "a code counts for its own request alone");
    let mine = scene.give(&path, &code).await;
    let cookie = mine.cookie.clone().unwrap();
    let shown = scene.get(&other, &cookie).await;
    assert!(!shown.text.contains("identity is proven"), "what lets in lets into its own request alone");
    // Five tries, and then the right one counts no more; nor does it after its time.
    let path = path_of(&scene.ask("object", "100001", &phone(1, 0)).await);
    let known = [known, &[code]].concat();
    let code = scene.next_code(&known).await;
    for _ in 0..5 {
        assert_eq!(scene.give(&path, "00000000").await.status, 403);
    }
    assert_eq!(scene.give(&path, &code).await.status, 403);
    let path = path_of(&scene.ask("object", "100001", &phone(1, 0)).await);
    let known = [known, vec![code]].concat();
    let code = scene.next_code(&known).await;
    scene.served.clock.advance_millis(15 * 60_000);
    assert_eq!(scene.give(&path, &code).await.status, 403, "its time is over");
}

async fn what_is_wrong_is_refused(scene: &Scene) {
    assert_eq!(scene.ask("access", "", "").await.status, 422);
    assert_eq!(scene.ask("everything", "1", "2").await.status, 422);
    for path in ["/privacy/request/rqs_00000000000000000000000000000000", "/privacy/request/x"] {
        assert_eq!(scene.get(path, "").await.status, 404);
    }
    let page = scene.get(PATH, "").await;
    assert!(
        page.status.is_success()
            && page.text.contains("<form method=\"post\"")
            && !page.text.contains("<script")
    );
}
