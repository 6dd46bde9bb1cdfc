//! The assistant: prompt, generation over an OpenAI-compatible server, limits.
//!
//! [`prompt`] writes down what a model is to read, within a limit of tokens. A
//! [`generate::Generator`] streams what it answers: [`openai`] is the one that leaves the process,
//! [`scripted`] its stand-in for tests. [`answer`] is the whole effort of one turn: rounds of tools,
//! attempts, other models, the money for them and moderation. [`breaker`] spares a server that fails,
//! [`slots`] shares out how many turns may wait for a model at once, [`summary`] sums up what no longer
//! fits into a prompt, and [`phrases`] has the platform's own sentences.

pub mod answer;
mod attempt;
pub mod breaker;
mod canonical;
mod deltas;
pub mod documents;
pub mod error;
pub mod fingerprint;
mod gate;
pub mod generate;
pub mod knowledge;
pub mod money;
pub mod openai;
mod openai_services;
pub mod phrases;
pub mod prompt;
mod pseudonyms;
mod request;
mod room;
mod rules;
pub mod scripted;
mod scripted_services;
pub mod services;
pub mod slots;
pub mod summary;
pub mod tokens;
pub mod tools;
mod transport;
pub mod words;
