//! What became of everything that was said, by what the simulator was sent.

use std::collections::HashMap;

use serde_json::Value;

use crate::load::Person;

/// The judgement. Everything said is acknowledged by then, so all of it has to be answered.
#[derive(Debug, Default)]
pub struct Verdict {
    pub replies: usize,
    /// Messages that no reply answers.
    pub lost: Vec<String>,
    /// Messages that are answered more than once, with how often.
    pub doubled: Vec<(String, usize)>,
    /// Messages that are answered after a later one.
    pub out_of_order: Vec<String>,
    /// Replies that answer nothing that this person said.
    pub strange: Vec<String>,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.replies > 0
            && self.lost.is_empty()
            && self.doubled.is_empty()
            && self.out_of_order.is_empty()
            && self.strange.is_empty()
    }

    /// Judges by the sends in the order in which they were accepted. The model repeats what it
    /// answers, so a reply tells by its words what it is to.
    pub fn of(people: &[Person], sends: &[Value]) -> Self {
        let mut verdict = Self { replies: sends.len(), ..Self::default() };
        for person in people {
            let texts = sends.iter().filter(|send| send["to"] == person.wa_id.as_str());
            verdict.judge(person, texts.map(|send| send["text"].as_str().unwrap_or_default()));
        }
        verdict
    }

    fn judge<'a>(&mut self, person: &Person, replies: impl Iterator<Item = &'a str>) {
        // By its words, a message and its place: a later place is answered later.
        let mut said = HashMap::new();
        for (place, group) in person.groups.iter().enumerate() {
            for message in group.messages.clone() {
                let within = if group.in_one { message } else { 0 };
                said.insert(person.token(message), (place, within));
            }
        }
        let (mut answers, mut latest) = (HashMap::<&str, usize>::new(), (0, 0));
        for reply in replies {
            let mut tokens = reply.split_whitespace().filter(|word| word.starts_with("t-")).peekable();
            if tokens.peek().is_none() {
                self.strange.push(reply.to_owned());
            }
            for token in tokens {
                let Some(place) = said.get(token) else {
                    self.strange.push(reply.to_owned());
                    continue;
                };
                let answered = answers.entry(token).or_default();
                *answered += 1;
                if *answered == 1 && *place < latest {
                    self.out_of_order.push(token.to_owned());
                }
                latest = latest.max(*place);
            }
        }
        self.doubled.extend(
            answers
                .iter()
                .filter(|(_, count)| **count > 1)
                .map(|(token, count)| ((*token).to_owned(), *count)),
        );
        self.lost.extend(said.into_keys().filter(|token| !answers.contains_key(token.as_str())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Group;
    use serde_json::json;

    /// One person who wrote 0, then 1 and 2 in one webhook, then 3 and 4 in two.
    fn judged(replies: &[&str]) -> Verdict {
        let mut person = Person::new(7, 0);
        for (messages, in_one) in [(0..1, false), (1..3, true), (3..5, false)] {
            person.groups.push(Group { messages, in_one });
        }
        let send =
            |text: &&str| json!({ "to": person.wa_id, "text": format!("[simulated] You said: {text}") });
        let sends: Vec<_> = replies.iter().map(send).collect();
        Verdict::of(&[person], &sends)
    }

    #[test]
    fn all_answered_once_and_in_order_is_good() {
        for replies in [
            &["t-7-0", "t-7-1\nt-7-2", "t-7-3\nt-7-4"][..],
            &["t-7-0 t-7-1 t-7-2 t-7-4 t-7-3"],
            &["t-7-0", "t-7-1", "t-7-2", "t-7-4", "t-7-3"],
        ] {
            let verdict = judged(replies);
            assert!(verdict.is_good(), "{verdict:?}");
        }
    }

    #[test]
    fn what_is_lost_doubled_late_or_strange_is_seen() {
        assert!(!judged(&[]).is_good());
        assert_eq!(judged(&["t-7-0 t-7-1 t-7-2 t-7-3"]).lost, ["t-7-4"]);
        assert_eq!(judged(&["t-7-0 t-7-1 t-7-2", "t-7-2 t-7-3 t-7-4"]).doubled, [("t-7-2".to_owned(), 2)]);
        assert_eq!(judged(&["t-7-0 t-7-2 t-7-1 t-7-3 t-7-4"]).out_of_order, ["t-7-1"]);
        assert_eq!(judged(&["t-7-1 t-7-2 t-7-0 t-7-3 t-7-4"]).out_of_order, ["t-7-0"]);
        assert_eq!(judged(&["t-7-0 t-7-1 t-7-2 t-7-3 t-7-4", "t-8-0"]).strange.len(), 1);
        assert_eq!(judged(&["t-7-0 t-7-1 t-7-2 t-7-3 t-7-4", "sorry"]).strange.len(), 1);
    }
}
