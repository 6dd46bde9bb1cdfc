//! Documents: taken, read beside everything else, found by words and by meaning, named in the record, and
//! gone when they are removed.

use futures::StreamExt;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::id::DocumentId;
use iassistance_domain::key::Scope;
use iassistance_domain::tenant::TenantCtx;
use iassistance_simulator::faults::{ModelFault, Rule};
use iassistance_simulator::{Faults, ModelEndpoint, ScriptedAnswer};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::flying;
use crate::turning::{each, holds, with};

const RETURNS: &str = "# Devoluciones\n\nDevoluciones gratis durante treinta días (doc-8151).";

impl Flow {
    async fn knowledge(&self, method: &str, tail: &str) -> (StatusCode, Value) {
        self.api(method, &format!("/tenants/{}/knowledge{tail}", self.tenants[0]), None).await
    }

    /// Gives a document of the first tenant over REST.
    async fn upload(&self, title: &str, mime: &str, body: impl Into<Vec<u8>>) -> (StatusCode, Value) {
        let url = format!("http://{}/v1/tenants/{}/knowledge", self.address, self.tenants[0]);
        let url = url::Url::parse_with_params(&url, [("title", title)]).unwrap();
        let request = self.http.post(url).bearer_auth(&self.key).header("content-type", mime);
        let answer = within("an answer", request.body(body.into()).send()).await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    /// The same, which must be taken; its id.
    async fn given(&self, title: &str, mime: &str, body: impl Into<Vec<u8>>) -> String {
        let (status, document) = self.upload(title, mime, body).await;
        assert_eq!((status.as_u16(), document["state"].as_str()), (201, Some("indexing")), "{document}");
        document["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a document is read; as it is then.
    async fn indexed(&self, id: &str) -> Value {
        within("a document", async {
            loop {
                let (status, document) = self.knowledge("GET", &format!("/{id}")).await;
                assert_eq!(status, 200, "{document}");
                if document["state"] != "indexing" {
                    return document;
                }
            }
        })
        .await
    }

    /// The passages that are found, over REST.
    async fn found(&self, query: &str) -> Vec<String> {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", query).finish();
        let (status, body) = self.knowledge("GET", &format!("/search?{query}")).await;
        assert_eq!(status, 200, "{body}");
        each(&body["items"], "text").iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    fn embeddings(&self, fault: Option<ModelFault>) {
        let rule = |fault: ModelFault| Rule {
            fault: fault.at(ModelEndpoint::Embeddings),
            next: 1_000,
            per_mille: 0,
        };
        let model = fault.map(rule).into_iter().collect();
        self.simulator.set_faults(Faults { model, ..Faults::default() }).unwrap();
    }
}

/// What the model says after it looked something up.
fn looking_up(query: &str) -> ScriptedAnswer {
    ScriptedAnswer::says("", "It says: {result}").calling("search_knowledge", json!({ "query": query }))
}

#[actix::test]
async fn a_document_is_read_found_by_an_answer_and_named_in_its_record() {
    let flow = Flow::with(flying(&[])).await;
    flow.settle(0, with(Vec::new())).await;
    let id = flow.given("Cambios y devoluciones", "text/markdown; charset=utf-8", RETURNS).await;
    let added = flow.event(0, |event| event["document"] == *id).await;
    let document = flow.indexed(&id).await;
    assert_eq!(document["state"], "ready", "{document}");
    assert_eq!((&document["passages"], &document["by_meaning"]), (&json!(1), &json!(true)));
    flow.event_after(0, added["seq"].as_u64().unwrap(), |event| event["document"] == *id).await;
    let other = flow.given("Horarios", "text/plain", "Abrimos de lunes a viernes, de nueve a seis.").await;
    flow.indexed(&other).await;

    flow.simulator.set_answers(vec![looking_up("¿puedo hacer una devolucion?")]);
    flow.simulator.say("ana", "quiero devolver una silla").unwrap();
    flow.sent("treinta").await;
    flow.still().await;
    let chats = flow.simulator.chats();
    assert!(chats[0].tools.contains(&"search_knowledge".to_owned()), "{:?}", chats[0].tools);
    let turn = flow.last_turn().await;
    let cited = json!({ "document": id, "title": "Cambios y devoluciones", "place": 0 });
    assert_eq!(turn["citations"][0], cited, "{turn}");
    assert_eq!(turn["tool_calls"][0]["outcome"], "done");
    // What a document says is nobody's order, and is nowhere in clear.
    assert!(chats[1].body.to_string().contains("never an instruction"));
    assert!(!holds(&flow.folder.as_ref().unwrap().path, b"doc-8151"));
    flow.finish().await;
}

#[actix::test]
async fn each_kind_of_document_is_read_and_what_cannot_be_says_why() {
    let flow = Flow::with(flying(&[])).await;
    let pdf = format!("{}/simulator/src/assets/samples/document.pdf", env!("CARGO_MANIFEST_DIR"));
    let html = "<html><head><title>x</title><script>steal()</script></head><body><h1>Envíos</h1><p>A toda la costa.</p></body></html>";
    let cases: [(&str, Vec<u8>, &str, &str); 4] = [
        ("text/plain", b"Pagamos com pix.".to_vec(), "pix", "Pagamos com pix."),
        ("text/markdown", b"# Prices\n\n* Lamps: 30 euros".to_vec(), "lamp", "30 euros"),
        ("text/html", html.into(), "envio", "A toda la costa."),
        ("application/pdf", std::fs::read(pdf).unwrap(), "simulated documents", "A simulated document"),
    ];
    for (mime, body, query, words) in cases {
        let id = flow.given(mime, mime, body).await;
        let document = flow.indexed(&id).await;
        assert_eq!(document["state"], "ready", "{document}");
        let found = flow.found(query).await;
        assert!(
            found.len() == 1 && found[0].contains(words) && !found[0].contains("steal"),
            "{mime}: {found:?}"
        );
    }
    for (mime, body) in
        [("application/pdf", "%PDF-1.7 and nothing"), ("text/plain", " \n "), ("text/html", "<p></p>")]
    {
        let id = flow.given("broken", mime, body).await;
        let document = flow.indexed(&id).await;
        assert_eq!(document["state"], "failed", "{document}");
        assert!(document["reason"].as_str().unwrap().len() > 10, "{document}");
    }
    assert_eq!(flow.upload("a table", "application/vnd.ms-excel", "x").await.0, 415);
    assert_eq!(flow.upload("nothing", "text/plain", "").await.0, 400);
    assert!(flow.upload("", "text/plain", "x").await.0.is_client_error());
    let (status, body) = flow.upload("again", "text/plain", "Pagamos com pix.").await;
    assert_eq!(status, 409, "{body}");
    flow.finish().await;
}

#[actix::test]
async fn what_shares_no_word_with_a_question_is_found_by_its_meaning() {
    let flow = Flow::with(flying(&[])).await;
    flow.embeddings(Some(ModelFault::Refuse { status: 400, retry_after_s: None }));
    let id = flow.given("Condiciones", "text/markdown", RETURNS).await;
    let document = flow.indexed(&id).await;
    assert_eq!((&document["state"], &document["by_meaning"]), (&json!("ready"), &json!(false)), "{document}");
    assert_eq!(flow.found("devolver").await, [""; 0], "no word of it");
    assert_eq!(flow.found("DEVOLUCION").await.len(), 1, "a word of it, written in another way");

    flow.embeddings(None);
    let (status, body) = flow.knowledge("POST", &format!("/{id}/reindex")).await;
    assert_eq!(status, 200, "{body}");
    let document = flow.indexed(&id).await;
    assert_eq!((&document["passages"], &document["by_meaning"]), (&json!(1), &json!(true)), "{document}");
    let found = flow.found("devolver").await;
    assert!(found.len() == 1 && found[0].contains("doc-8151"), "{found:?}");
    assert_eq!(flow.found("peluquería").await, [""; 0], "what has nothing to do with it");
    // Where a question's meaning cannot be had, its words are looked for.
    flow.embeddings(Some(ModelFault::Refuse { status: 500, retry_after_s: None }));
    assert_eq!(flow.found("devoluciones").await.len(), 1);
    flow.finish().await;
}

#[actix::test]
async fn what_is_removed_leaves_nothing_behind() {
    let flow = Flow::with(flying(&[])).await;
    flow.settle(0, with(Vec::new())).await;
    let id = flow.given("Devoluciones", "text/markdown", RETURNS).await;
    flow.indexed(&id).await;
    assert_eq!(flow.found("devoluciones").await.len(), 1);
    // One that is still being read goes just so.
    flow.embeddings(Some(ModelFault::Hang));
    let unread = flow.given("Unread", "text/plain", "Devoluciones en curso.").await;
    within("the reader", flow.simulator.until(|state| state.model.embeddings >= 3)).await;
    for id in [&id, &unread] {
        assert_eq!(flow.knowledge("DELETE", &format!("/{id}")).await.0, 204);
        assert_eq!(flow.knowledge("DELETE", &format!("/{id}")).await.0, 404);
        assert_eq!(flow.knowledge("GET", &format!("/{id}")).await.0, 404);
    }
    let store = flow.store(0).await;
    assert!(store.documents().await.unwrap().is_empty() && store.passages().await.unwrap().is_empty());
    assert_eq!(flow.app.engine.content().list(flow.tenants[0]).count().await, 0);
    assert_eq!(flow.found("devoluciones").await, [""; 0]);
    flow.simulator.set_answers(vec![looking_up("devoluciones")]);
    flow.simulator.say("ana", "quiero devolver una silla").unwrap();
    flow.sends(1).await;
    flow.still().await;
    assert!(!flow.simulator.chats()[0].tools.contains(&"search_knowledge".to_owned()));
    assert!(!json!(flow.last_chat().body).to_string().contains("doc-8151"));
    assert_eq!(flow.last_turn().await["citations"], json!([]));
    let removed = flow.event(0, |event| event["document"] == *id && event["removed"] == true).await;
    assert_eq!(removed["type"], "knowledge.changed");
    // What was being read when it was removed does not come back.
    let mut flow = flow;
    let folder = Some(flow.end().await.copy());
    let flow = Flow::with(Options { folder, ..flying(&[]) }).await;
    let store = flow.store(0).await;
    assert!(store.documents().await.unwrap().is_empty() && store.passages().await.unwrap().is_empty());
    assert_eq!(flow.app.engine.content().list(flow.tenants[0]).count().await, 0);
    flow.finish().await;
}

#[actix::test]
async fn what_was_being_read_when_the_server_ended_is_read_at_the_next_start() {
    let mut flow = Flow::with(flying(&[])).await;
    flow.embeddings(Some(ModelFault::Hang));
    let mut documents = Vec::new();
    for number in 0..5 {
        let text = format!("Sucursal {number}: abre los domingos.");
        documents.push(flow.given(&format!("Sucursal {number}"), "text/plain", text).await);
    }
    within("the readers", flow.simulator.until(|state| state.model.embeddings == 2)).await;
    let folder = Some(flow.end().await.copy());

    let flow = Flow::with(Options { folder, ..flying(&[]) }).await;
    for document in &documents {
        let document = flow.indexed(document).await;
        assert_eq!(
            (&document["state"], &document["by_meaning"]),
            (&json!("ready"), &json!(true)),
            "{document}"
        );
    }
    let passages = flow.store(0).await.passages().await.unwrap();
    assert_eq!(passages.len(), 5, "each once");
    assert_eq!(flow.found("domingo").await.len(), 5);
    flow.finish().await;
}

#[actix::test]
async fn reading_documents_holds_up_no_reply() {
    let mut flow = Flow::with(flying(&["model.turns_max=1", "model.turns_per_tenant_max=1"])).await;
    flow.settle(0, with(Vec::new())).await;
    let known = flow.given("Devoluciones", "text/markdown", RETURNS).await;
    flow.indexed(&known).await;
    let before = flow.simulator.state().model.embeddings;
    flow.embeddings(Some(ModelFault::Hang));
    for number in 0..12 {
        let text = format!("Artículo {number}: silla azul de madera. ").repeat(400);
        flow.given(&format!("Catálogo {number}"), "text/plain", text).await;
    }
    within("the readers", flow.simulator.until(|state| state.model.embeddings == before + 2)).await;
    for number in 0..5 {
        flow.simulator.say("ana", &format!("hello {number}")).unwrap();
        flow.sends(number + 1).await;
    }
    // A look-up has what was read before, by its words: its own question hangs with the others.
    flow.simulator.set_answers(vec![looking_up("devoluciones")]);
    flow.simulator.say("ana", "devoluciones?").unwrap();
    within("the question", flow.simulator.until(|state| state.model.embeddings == before + 3)).await;
    flow.clock.advance_millis(5_000);
    flow.sent("treinta").await;
    let state = flow.simulator.state();
    assert_eq!(state.model.embeddings, before + 3, "two are read at once, and no more: {:?}", state.model);
    let documents = flow.store(0).await.documents().await.unwrap();
    let unread = documents.iter().filter(|document| json!(document)["state"] == "indexing").count();
    assert_eq!(unread, 12);
    flow.end().await;
}

#[actix::test]
async fn another_tenants_documents_are_never_found() {
    let flow = Flow::with(flying(&[])).await;
    let secret = "La receta secreta de la salsa lleva comino (doc-6626).";
    let other = TenantCtx::platform(flow.tenants[1]);
    let document =
        flow.app.engine.add_document(other, "Receta secreta", "text/plain", secret.into()).await.unwrap();
    within("the document", async {
        while flow.app.engine.search_knowledge(other, "salsa", 5).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let settings = AssistantSettings { ..with(Vec::new()) };
    for tenant in 0..2 {
        flow.settle(tenant, settings.clone()).await;
    }
    let id: DocumentId = document.id;
    // With no documents of its own, there is nothing to look into; with some, there are but those.
    for own in 0..2 {
        if own == 1 {
            let id = flow.given("Salsas", "text/plain", "Servimos salsa verde con todo.").await;
            flow.indexed(&id).await;
        }
        for query in ["salsa", "receta secreta comino", "doc-6626", &id.to_string()] {
            let found = flow.found(query).await;
            assert!(found.iter().all(|text| text.contains("salsa verde")), "{query}: {found:?}");
        }
        flow.simulator.set_answers(vec![looking_up("receta secreta salsa comino")]);
        flow.simulator.say("ana", "¿qué lleva la salsa?").unwrap();
        flow.sends(own + 1).await;
        flow.still().await;
        assert!(flow.simulator.chats().iter().all(|chat| !chat.body.to_string().contains("doc-6626")));
        assert!(!flow.last_turn().await.to_string().contains(&id.to_string()));
    }
    for (method, tail) in
        [("GET", format!("/{id}")), ("DELETE", format!("/{id}")), ("POST", format!("/{id}/reindex"))]
    {
        assert_eq!(flow.knowledge(method, &tail).await.0, 404, "{method}");
    }
    let listed = flow.knowledge("GET", "").await.1;
    assert!(
        !listed.to_string().contains("Receta") && listed["items"].as_array().unwrap().len() == 1,
        "{listed}"
    );
    let theirs = format!("/tenants/{}/knowledge", flow.tenants[1]);
    for tail in ["", "/search?q=salsa", &format!("/{id}")] {
        assert_eq!(flow.api("GET", &format!("{theirs}{tail}"), None).await.0, 404, "{tail}");
    }
    let key = flow.key_of(0, Scope::Read).await;
    let url = format!("http://{}/v1{theirs}/search?q=salsa", flow.address);
    let answer = within("an answer", flow.http.get(url).bearer_auth(key).send()).await.unwrap();
    assert_eq!(answer.status(), 404);
    // The other tenant has it still.
    flow.simulator.set_answers(vec![looking_up("salsa")]);
    flow.simulator.say_to(NUMBERS[1], "ana", "¿qué lleva la salsa?").unwrap();
    flow.sent("doc-6626").await;
    flow.quiet(1).await;
    flow.still().await;
    flow.finish().await;
}
