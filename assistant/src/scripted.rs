//! A generator that follows a script: the model of tests and of nobody else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};
use iassistance_domain::Clock;
use iassistance_domain::pii::Reply;
use tokio_util::sync::CancellationToken;

use crate::error::GenerateError;
use crate::generate::{Chunk, FinishReason, Generator, ModelServer, Prompt, Role};
use crate::scripted_services::ServiceState;
use crate::tools::{ToolCall, ToolSpec};

pub use crate::scripted_services::ServiceCall;

/// What a model does that is told by each call.
pub type Doing = Arc<dyn Fn(&Call) -> Behaviour + Send + Sync>;

/// What the model does when it is called.
#[derive(Clone)]
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
    /// Says this with a pause before each word.
    SaySlowly {
        /// How long a pause, milliseconds.
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
    /// Wants these tools to be called.
    Calls(Vec<ToolCall>),
    /// Says this, and then wants these tools to be called.
    SayThenCalls {
        /// What.
        text: String,
        /// The calls.
        calls: Vec<ToolCall>,
    },
    /// Exactly these pieces.
    Chunks(Vec<Chunk>),
    /// Repeats the last thing that the contact wrote.
    Echo,
    /// Fails.
    Fail(GenerateError),
    /// Never says anything.
    Hang,
    /// Panics when its stream is polled.
    Panic,
    /// Whatever comes of looking at the call.
    Do(Doing),
}

impl Behaviour {
    /// Whatever comes of looking at the call.
    pub fn doing(doing: impl Fn(&Call) -> Self + Send + Sync + 'static) -> Self {
        Self::Do(Arc::new(doing))
    }

    /// Wants one tool to be called, with arguments in JSON.
    pub fn call(name: &str, arguments: &str) -> Self {
        let (id, name) = (format!("call_{name}"), name.to_owned());
        Self::Calls(vec![ToolCall { id, name, arguments: arguments.to_owned().into() }])
    }
}

/// One call that was made.
#[derive(Clone, PartialEq)]
pub struct Call {
    /// Which server was asked, and for which model.
    pub server: ModelServer,
    /// What was to be read.
    pub messages: Vec<(Role, String)>,
    /// The tools that were told of.
    pub tools: Vec<ToolSpec>,
    /// How many pictures there were.
    pub images: usize,
    /// The tools that had been called in this turn, as they were told again.
    pub calls: Vec<ToolCall>,
    /// The longest answer that was asked for, in tokens.
    pub output_tokens_max: u32,
    /// What stood for the contact.
    pub safety_identifier: String,
}

impl Call {
    fn of(server: &ModelServer, prompt: &Prompt) -> Self {
        let messages = prompt.messages.iter();
        Self {
            server: server.clone(),
            messages: messages.clone().map(|message| (message.role, message.words().to_owned())).collect(),
            tools: prompt.tools.clone(),
            images: messages.clone().map(crate::generate::PromptMessage::images).sum(),
            calls: messages.flat_map(|message| message.calls.clone()).collect(),
            output_tokens_max: prompt.output_tokens_max,
            safety_identifier: prompt.safety_identifier.clone(),
        }
    }

    /// What the contact wrote last.
    pub fn last_words(&self) -> &str {
        self.last(Role::User)
    }

    /// What a tool answered last; empty where none did.
    pub fn last_tool_answer(&self) -> &str {
        self.last(Role::Tool)
    }

    /// Whether a tool of this name was told of.
    pub fn knows_tool(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name)
    }

    /// What the tools were called with in this turn, as JSON text, in order.
    pub fn arguments(&self) -> Vec<String> {
        self.calls.iter().map(|call| call.arguments.reveal(Reply).clone()).collect()
    }

    fn last(&self, role: Role) -> &str {
        let mut theirs = self.messages.iter().rev().filter(|(by, _)| *by == role);
        theirs.next().map_or("", |(_, text)| text)
    }
}

/// Follows a script, call by call; when it has come to its end, the last behaviour goes on.
#[derive(Clone)]
pub struct Scripted {
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Shared>>,
    pub(crate) services: Arc<Mutex<ServiceState>>,
}

#[derive(Default)]
struct Shared {
    script: VecDeque<Behaviour>,
    calls: Vec<Call>,
    open: usize,
    open_max: usize,
    abandoned: usize,
}

impl Scripted {
    /// A model that does this; an empty script echoes.
    pub fn new(clock: Arc<dyn Clock>, script: impl IntoIterator<Item = Behaviour>) -> Self {
        let shared = Shared { script: script.into_iter().collect(), ..Shared::default() };
        Self { clock, shared: Arc::new(Mutex::new(shared)), services: Arc::default() }
    }

    /// Replaces what is left of the script.
    pub fn follow(&self, script: impl IntoIterator<Item = Behaviour>) {
        self.lock().script = script.into_iter().collect();
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Forgets the calls so far: a long test need not keep them.
    pub fn forget(&self) {
        self.lock().calls.clear();
    }

    /// How many streams are under way.
    pub fn open(&self) -> usize {
        self.lock().open
    }

    /// How many streams were under way at once at most.
    pub fn open_max(&self) -> usize {
        self.lock().open_max
    }

    /// How many streams were cancelled, or dropped before their end.
    pub fn abandoned(&self) -> usize {
        self.lock().abandoned
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Behaviour {
        let mut shared = self.lock();
        match shared.script.len() {
            0 => Behaviour::Echo,
            1 => shared.script[0].clone(),
            _ => shared.script.pop_front().unwrap_or(Behaviour::Echo),
        }
    }

    fn begin(&self, call: Call) -> Under {
        let mut shared = self.lock();
        shared.calls.push(call);
        shared.open += 1;
        shared.open_max = shared.open_max.max(shared.open);
        Under { shared: Arc::clone(&self.shared), ended: false }
    }

    fn chunks(&self, behaviour: Behaviour, call: &Call) -> BoxStream<'static, Chunk> {
        let finished = Chunk::Finished { reason: FinishReason::Stop, usage: None };
        let called = |calls| {
            let called = Chunk::Finished { reason: FinishReason::Calls, usage: None };
            stream::iter([Chunk::Calls(calls), called])
        };
        match behaviour {
            Behaviour::Say(text) => words(&text).chain(stream::iter([finished])).boxed(),
            Behaviour::SayAfter { ms, text } => {
                let pause = self.clock.sleep_millis(ms);
                let pause = stream::once(pause).filter_map(|()| async { None });
                pause.chain(words(&text)).chain(stream::iter([finished])).boxed()
            }
            Behaviour::SaySlowly { ms, text } => {
                let clock = Arc::clone(&self.clock);
                let slowly = words(&text).then(move |word| {
                    let pause = clock.sleep_millis(ms);
                    async move {
                        pause.await;
                        word
                    }
                });
                slowly.chain(stream::iter([finished])).boxed()
            }
            Behaviour::SayThenFail { text, error } => {
                words(&text).chain(stream::iter([Chunk::Failed(error)])).boxed()
            }
            Behaviour::Calls(calls) => called(calls).boxed(),
            Behaviour::SayThenCalls { text, calls } => words(&text).chain(called(calls)).boxed(),
            Behaviour::Chunks(chunks) => stream::iter(chunks).boxed(),
            Behaviour::Echo => words(call.last_words()).chain(stream::iter([finished])).boxed(),
            Behaviour::Fail(error) => stream::iter([Chunk::Failed(error)]).boxed(),
            Behaviour::Hang => stream::pending().boxed(),
            Behaviour::Panic => stream::once(async { panicking() }).boxed(),
            Behaviour::Do(doing) => {
                let behaviour = doing(call);
                self.chunks(behaviour, call)
            }
        }
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
        prompt: &Prompt,
        cancel: CancellationToken,
    ) -> BoxStream<'static, Chunk> {
        let call = Call::of(server, prompt);
        // Before it shows that it was called: who moves the clock because of that moves it for its pauses too.
        let chunks = self.chunks(self.next(), &call);
        until_cancelled(chunks, self.begin(call), cancel)
    }
}

fn words(text: &str) -> impl StreamExt<Item = Chunk> + Send + use<> {
    let words: Vec<_> = text.split_inclusive(' ').map(|word| Chunk::Text(word.to_owned())).collect();
    stream::iter(words)
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
        if matches!(chunk, Chunk::Text(_) | Chunk::Calls(_)) {
            return Some((chunk, Some((chunks, under, cancel))));
        }
        under.ended = true;
        Some((chunk, None))
    })
    .boxed()
}
