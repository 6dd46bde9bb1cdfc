//! What work beside the conversation came to: turns, files, summaries, notes.

use iassistance_domain::Pii;
use iassistance_domain::content::{Content, MediaSource};
use iassistance_domain::conversation::Input;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::MessageId;
use iassistance_domain::message::{Author, Message};
use iassistance_storage::{StorageError, SummaryChange};

use super::super::{FinishMedia, FinishSummary, FinishTurn, SettledFile};
use super::Step;

impl Step {
    /// Takes the end of a turn into account. What was paid for is recorded also when the turn was
    /// cancelled meanwhile; what its tools noted counts only with what it says.
    pub(in crate::conversation) async fn finish_turn(
        &mut self,
        finished: FinishTurn,
    ) -> Result<(), StorageError> {
        let FinishTurn { turn, outcome, work, attributes, .. } = finished;
        let Some(mut record) = self.store.turn(self.key.conversation, turn).await? else {
            return Ok(());
        };
        if record.settings_version != self.assistant.version {
            self.began_with = self.store.assistant_version(record.settings_version).await?;
        }
        record.work.extend(work);
        self.turns.insert(turn, record);
        let Some(outcome) = outcome else { return Ok(()) };
        let counts = self.commit.conversation.running_turn().is_some_and(|running| running.id == turn);
        self.decide(Input::TurnFinished { turn, outcome });
        if counts && !attributes.is_empty() {
            let names = attributes.keys().cloned().collect();
            self.tell(EventKind::ContactAttributesChanged { names });
            self.commit.attributes.extend(attributes);
        }
        Ok(())
    }

    /// A person writes something for the others.
    pub(in crate::conversation) fn note(&mut self, operator: String, body: Pii<String>) -> MessageId {
        let id = MessageId::new(self.now, &*self.shared.parts.entropy);
        let (author, content) = (Author::Operator { name: operator }, Content::Note { body });
        let message = Message::new(id, self.key.conversation, author, content, self.now);
        self.tell(EventKind::NoteAdded { message: message.clone() });
        self.put_message(message);
        id
    }

    /// A summary of what is too old to be read whole was made, or was not. It counts only if it goes on
    /// where the stored one ends, and if all that it was made of is as it was.
    pub(in crate::conversation) async fn finish_summary(
        &mut self,
        finished: FinishSummary,
    ) -> Result<(), StorageError> {
        let FinishSummary { turn, attempts, made } = finished;
        if let Some(mut record) = self.store.turn(self.key.conversation, turn).await? {
            record.work.attempts.extend(attempts);
            self.turns.insert(turn, record);
        }
        let Some(made) = made else { return Ok(()) };
        let stored = self.store.summary(self.key.conversation).await?;
        if stored.map(|stored| (stored.until, stored.made_at)) != made.after {
            return Ok(());
        }
        for (id, edited_at) in made.of {
            let message = self.message(id).await?;
            let is_same = |message: Message| message.removed_at.is_none() && message.edited_at == edited_at;
            if !message.is_some_and(is_same) {
                return Ok(());
            }
        }
        self.commit.summary = Some(SummaryChange::Put(made.summary));
        Ok(())
    }

    /// Takes the end of fetching and reading a message's files into account.
    pub(in crate::conversation) async fn finish_media(
        &mut self,
        finished: FinishMedia,
    ) -> Result<(), StorageError> {
        let FinishMedia { message: id, files } = finished;
        let Some(mut message) = self.message(id).await? else { return Ok(()) };
        let (mut changed, mut reads) = (false, false);
        for SettledFile { index, source, text } in files {
            let media = message.content.media_mut().get_mut(index);
            match media.filter(|media| matches!(media.source, MediaSource::Meta { .. })) {
                Some(media) => {
                    media.source = source;
                    reads |= text.is_some();
                    media.text = text;
                    changed = true;
                }
                // It was taken back, or changed, while its files were fetched.
                None => source.stored().into_iter().for_each(|file| self.condemn(file)),
            }
        }
        if changed {
            self.tell(EventKind::MediaSettled { message: message.clone() });
            self.put_message(message);
        }
        // What is said in it came too late for the turn that answers it: that one begins again.
        if reads {
            self.decide(Input::MessageEdited { message: id });
        }
        self.decide(Input::MediaSettled { message: id });
        Ok(())
    }
}
