//! What the same websocket crate does with nothing behind it: one text, handed to all by a channel.

use std::sync::Arc;

use actix::{Actor, AsyncContext, StreamHandler};
use actix_web::{App, HttpRequest, HttpServer, web};
use actix_web_actors::ws;
use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::waves::{filler, told};

/// Texts that wait for the slowest; no wave has more.
const WAITING_MAX: usize = 4_096;

struct Socket(Option<Receiver<Arc<str>>>);

impl Actor for Socket {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(receiver) = self.0.take() else { return };
        context.add_stream(futures::stream::unfold(receiver, async |mut receiver| {
            let text = receiver.recv().await.ok()?;
            Some((Said(text), receiver))
        }));
    }
}

struct Said(Arc<str>);

impl StreamHandler<Said> for Socket {
    fn handle(&mut self, Said(text): Said, context: &mut Self::Context) {
        context.text(&*text);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Socket {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, context: &mut Self::Context) {
        if let Ok(ws::Message::Text(_)) = message {
            context.text(r#"{"type":"subscribed"}"#);
        }
    }
}

/// Serves until its input ends. Says where; then hands out so many texts of so many bytes as it is told to.
pub fn serve() {
    let (sender, _) = broadcast::channel::<Arc<str>>(WAITING_MAX);
    actix::System::new().block_on(async move {
        let all = sender.clone();
        let open = async |all: web::Data<Sender<Arc<str>>>, request: HttpRequest, payload: web::Payload| {
            ws::start(Socket(Some(all.subscribe())), &request, payload)
        };
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(all.clone())).route("/v1/live", web::get().to(open))
        });
        let server = server.backlog(4_096).bind(("127.0.0.1", 0)).unwrap();
        println!("{}", server.addrs()[0]);
        told(move |count, bytes| {
            for _ in 0..count {
                // Nobody watches before the first wave.
                drop(sender.send(filler(bytes).into()));
            }
        });
        server.run().await.unwrap();
    });
}
