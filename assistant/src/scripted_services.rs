//! What the scripted model does besides chatting.

use std::collections::VecDeque;
use std::sync::{MutexGuard, PoisonError};

use async_trait::async_trait;
use iassistance_domain::Pii;
use iassistance_domain::pii::Reply;
use iassistance_domain::turn::Usage;

use crate::error::GenerateError;
use crate::generate::ModelServer;
use crate::scripted::Scripted;
use crate::services::{Audio, Embedded, Services, Verdict};
use crate::tokens::TokenCounter;

const DIMENSIONS: usize = 64;

/// What was asked of the services.
#[derive(Clone, PartialEq, Eq)]
pub enum ServiceCall {
    /// Texts were to be embedded.
    Embed {
        /// With which model.
        model: String,
        /// Which texts.
        texts: Vec<String>,
    },
    /// A recording was to be written down.
    Transcribe {
        /// With which model.
        model: String,
        /// Of which type it was.
        mime: String,
        /// How long it was, bytes.
        bytes: usize,
    },
    /// Texts were to be judged.
    Moderate {
        /// With which model.
        model: String,
        /// Which texts.
        texts: Vec<String>,
    },
}

#[derive(Default)]
pub(crate) struct ServiceState {
    transcripts: VecDeque<String>,
    objectionable: Vec<String>,
    failures: VecDeque<GenerateError>,
    hangs: bool,
    calls: Vec<ServiceCall>,
}

impl Scripted {
    /// The next recordings say this, in order; one for which there is nothing left says nothing.
    pub fn hears(&self, transcripts: impl IntoIterator<Item = impl Into<String>>) {
        self.services().transcripts.extend(transcripts.into_iter().map(Into::into));
    }

    /// Moderation objects to texts with this word in them, whatever the case of its letters.
    pub fn objects_to(&self, word: &str) {
        self.services().objectionable.push(word.to_lowercase());
    }

    /// The next calls of services fail so, in order.
    pub fn fails_services(&self, errors: impl IntoIterator<Item = GenerateError>) {
        self.services().failures.extend(errors);
    }

    /// From now on services never answer, or do again.
    pub fn hangs_services(&self, hangs: bool) {
        self.services().hangs = hangs;
    }

    /// Every call of a service so far, in order.
    pub fn service_calls(&self) -> Vec<ServiceCall> {
        self.services().calls.clone()
    }

    fn services(&self) -> MutexGuard<'_, ServiceState> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, call: ServiceCall) -> Result<(), GenerateError> {
        let (failure, hangs) = {
            let mut services = self.services();
            services.calls.push(call);
            (services.failures.pop_front(), services.hangs)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        failure.map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Services for Scripted {
    /// Texts that share words point in similar directions.
    async fn embed(&self, server: &ModelServer, texts: Vec<Pii<String>>) -> Result<Embedded, GenerateError> {
        let (model, texts) = (server.model.clone(), revealed(texts));
        self.serve(ServiceCall::Embed { model, texts: texts.clone() }).await?;
        let tokens = texts.iter().map(|text| TokenCounter::count(text) as u64).sum();
        let vectors = texts.iter().map(|text| vector(text)).collect();
        Ok(Embedded { vectors, usage: Usage { input_tokens: tokens, output_tokens: 0 } })
    }

    async fn transcribe(&self, server: &ModelServer, audio: Audio) -> Result<Pii<String>, GenerateError> {
        let (model, bytes) = (server.model.clone(), audio.bytes.len());
        self.serve(ServiceCall::Transcribe { model, mime: audio.mime, bytes }).await?;
        Ok(self.services().transcripts.pop_front().unwrap_or_default().into())
    }

    async fn moderate(
        &self,
        server: &ModelServer,
        texts: Vec<Pii<String>>,
    ) -> Result<Verdict, GenerateError> {
        let (model, texts) = (server.model.clone(), revealed(texts));
        self.serve(ServiceCall::Moderate { model, texts: texts.clone() }).await?;
        let services = self.services();
        let objects = texts.iter().any(|text| {
            let text = text.to_lowercase();
            services.objectionable.iter().any(|word| text.contains(word))
        });
        let categories = if objects { vec!["harassment".to_owned()] } else { Vec::new() };
        Ok(Verdict { objects, categories })
    }
}

fn revealed(texts: Vec<Pii<String>>) -> Vec<String> {
    texts.into_iter().map(|text| text.into_inner(Reply)).collect()
}

/// A direction for each word, added up, of length 1.
fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIMENSIONS];
    let lower = text.to_lowercase();
    for word in lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // FNV-1a.
        let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let place = usize::try_from(hash % DIMENSIONS as u64).unwrap_or_default();
        vector[place] += 1.0;
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 {
        for number in &mut vector {
            *number /= length;
        }
    } else {
        vector[0] = 1.0;
    }
    vector
}
