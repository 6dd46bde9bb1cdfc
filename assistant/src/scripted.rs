//! A generator that follows a script: the model of tests and of nobody else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};
use iassistance_domain::Clock;
use iassistance_domain::pii::Reply;
use tokio_util::sync::CancellationToken;

use crate::error::GenerateError;
use crate::generate::{Chunk, FinishReason, Generator, ModelServer};
use crate::prompt::{Prompt, Role};

/// What the model does when it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Says this, word by word; usage is left to be counted.
    Say(String),
    /// Says this after a while.
    SayAfter {
        /// How long, milliseconds.
        ms: u64,
        /// What.
        text: String,
    },
    /// Says this, and then fails.
    SayThenFail {
        /// What.
        text: String,
        /// How.
        error: GenerateError,
    },
    /// Repeats the last thing that the contact wrote.
    Echo,
    /// Fails.
    Fail(GenerateError),
    /// Never says anything.
    Hang,
    /// Panics when its stream is polled.
    Panic,
}

/// One call that was made.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// Which server was asked, and for which model.
    pub server: ModelServer,
    /// What was to be read.
    pub messages: Vec<(Role, String)>,
    /// What stood for the contact.
    pub safety_identifier: String,
}

impl Call {
    /// What the contact wrote last.
    pub fn last_words(&self) -> &str {
        let mut theirs = self.messages.iter().rev().filter(|(role, _)| *role == Role::User);
        theirs.next().map_or("", |(_, text)| text)
    }
}

/// Follows a script, call by call; when it has come to its end, the last behaviour goes on.
#[derive(Clone)]
pub struct Scripted {
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    script: VecDeque<Behaviour>,
    calls: Vec<Call>,
    open: usize,
    abandoned: usize,
}

impl Scripted {
    /// A model that does this; an empty script echoes.
    pub fn new(clock: Arc<dyn Clock>, script: impl IntoIterator<Item = Behaviour>) -> Self {
        let shared = Shared { script: script.into_iter().collect(), ..Shared::default() };
        Self { clock, shared: Arc::new(Mutex::new(shared)) }
    }

    /// Replaces what is left of the script.
    pub fn follow(&self, script: impl IntoIterator<Item = Behaviour>) {
        self.lock().script = script.into_iter().collect();
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many streams are under way.
    pub fn open(&self) -> usize {
        self.lock().open
    }

    /// How many streams were cancelled, or dropped before their end.
    pub fn abandoned(&self) -> usize {
        self.lock().abandoned
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, call: Call) -> (Behaviour, Under) {
        let mut shared = self.lock();
        let behaviour = match shared.script.len() {
            0 => Behaviour::Echo,
            1 => shared.script[0].clone(),
            _ => shared.script.pop_front().unwrap_or(Behaviour::Echo),
        };
        shared.calls.push(call);
        shared.open += 1;
        (behaviour, Under { shared: Arc::clone(&self.shared), ended: false })
    }
}

/// A stream under way.
struct Under {
    shared: Arc<Mutex<Shared>>,
    ended: bool,
}

impl Drop for Under {
    fn drop(&mut self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.open -= 1;
        shared.abandoned += usize::from(!self.ended);
    }
}

impl Generator for Scripted {
    fn generate(
        &self,
        server: &ModelServer,
        prompt: Prompt,
        cancel: CancellationToken,
    ) -> BoxStream<'static, Chunk> {
        let call = Call {
            server: server.clone(),
            messages: prompt
                .messages
                .into_iter()
                .map(|message| (message.role, message.text.into_inner(Reply)))
                .collect(),
            safety_identifier: prompt.safety_identifier,
        };
        let last_words = call.last_words().to_owned();
        let (behaviour, under) = self.begin(call);
        let finished = Chunk::Finished { reason: FinishReason::Stop, usage: None };
        let chunks = match behaviour {
            Behaviour::Say(text) => words(&text, finished),
            Behaviour::SayAfter { ms, text } => {
                let (pause, chunks) = (self.clock.sleep_millis(ms), words(&text, finished));
                stream::once(async move {
                    pause.await;
                    chunks
                })
                .flatten()
                .boxed()
            }
            Behaviour::SayThenFail { text, error } => words(&text, Chunk::Failed(error)),
            Behaviour::Echo => words(&last_words, finished),
            Behaviour::Fail(error) => words("", Chunk::Failed(error)),
            Behaviour::Hang => stream::pending().boxed(),
            Behaviour::Panic => stream::once(async { panicking() }).boxed(),
        };
        until_cancelled(chunks, under, cancel)
    }
}

fn words(text: &str, end: Chunk) -> BoxStream<'static, Chunk> {
    let words: Vec<_> = text.split_inclusive(' ').map(|word| Chunk::Text(word.to_owned())).collect();
    stream::iter(words).chain(stream::iter([end])).boxed()
}

#[expect(clippy::panic, reason = "a fake that fails as code can fail")]
fn panicking() -> Chunk {
    panic!("the scripted model panics")
}

fn until_cancelled(
    chunks: BoxStream<'static, Chunk>,
    under: Under,
    cancel: CancellationToken,
) -> BoxStream<'static, Chunk> {
    stream::unfold(Some((chunks, under, cancel)), |state| async move {
        let (mut chunks, mut under, cancel) = state?;
        let chunk = tokio::select! {
            biased;
            () = cancel.cancelled() => return Some((Chunk::Failed(GenerateError::Cancelled), None)),
            chunk = chunks.next() => chunk?,
        };
        if matches!(chunk, Chunk::Text(_)) {
            return Some((chunk, Some((chunks, under, cancel))));
        }
        under.ended = true;
        Some((chunk, None))
    })
    .boxed()
}
