//! The assistant: prompt, generation over an OpenAI-compatible server, limits.
//!
//! [`prompt`] writes down what a model is to read, within a limit of tokens. A
//! [`generate::Generator`] streams what it answers: [`openai`] is the one that leaves the process,
//! [`scripted`] its stand-in for tests. [`answer`] runs the attempts of one turn, and [`slots`]
//! shares out how many turns may wait for a model at once.

pub mod answer;
pub mod documents;
pub mod error;
pub mod generate;
pub mod knowledge;
pub mod money;
pub mod openai;
pub mod prompt;
pub mod scripted;
pub mod services;
pub mod slots;
pub mod tokens;
pub mod tools;
mod transport;
pub mod words;
