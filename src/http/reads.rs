//! Whose data an answer shows: the ids of contacts and conversations are found in it as it goes out, whichever route
//! it is of, and are in the access log before the reader has them. So it can be said exactly, later, whom somebody
//! read who should not have.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;

use iassistance_domain::Entropy;
use iassistance_domain::access::{AccessRecord, READ_MAX};
use iassistance_domain::id::{AccessId, ContactId, ConversationId};

use crate::access_log::AccessLog;

/// An id as text: three letters, `_`, 32 hexadecimal digits.
const ID_BYTES: usize = 36;
/// Ids that are remembered as noted in one answer; beyond it one may be noted again.
const NOTED_MAX: usize = 100_000;
/// Routes that tell of ids and show nobody's data.
const NOTHING_SHOWN: [&str; 3] = ["/audit", "/access-log", "/erasures"];

/// Finds ids in what passes, each once.
#[derive(Default)]
pub struct Reads {
    /// The end of what passed, in which an id may have begun.
    tail: Vec<u8>,
    noted: HashSet<[u8; ID_BYTES]>,
    found: Vec<[u8; ID_BYTES]>,
}

impl Reads {
    /// Looks through the next piece.
    pub fn look(&mut self, piece: &[u8]) {
        let keep = ID_BYTES - 1;
        let joint: Vec<u8> = self.tail.iter().chain(piece.iter().take(keep)).copied().collect();
        self.find(&joint);
        self.find(piece);
        if piece.len() >= keep {
            self.tail = piece[piece.len() - keep..].to_vec();
        } else {
            let from = joint.len().saturating_sub(keep);
            self.tail = joint[from..].to_vec();
        }
    }

    fn find(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(place) = bytes[at..].windows(4).position(|four| four == b"con_" || four == b"cnv_") {
            at += place;
            let id = bytes[at..].first_chunk::<ID_BYTES>();
            at += 4;
            let Some(id) = id.filter(|id| id[4..].iter().all(u8::is_ascii_hexdigit)) else { continue };
            if self.noted.len() >= NOTED_MAX {
                self.noted.clear();
            }
            if self.noted.insert(*id) {
                self.found.push(*id);
            }
        }
    }

    /// What was found since it was asked last.
    pub fn take(&mut self) -> (Vec<ContactId>, Vec<ConversationId>) {
        let found = std::mem::take(&mut self.found);
        (of_kind(&found), of_kind(&found))
    }
}

fn of_kind<T: FromStr>(found: &[[u8; ID_BYTES]]) -> Vec<T> {
    found.iter().filter_map(|id| std::str::from_utf8(id).ok()?.parse().ok()).collect()
}

/// Whether answers of this route show people's data: what is under a tenant, but its logs.
pub fn shows_people(pattern: &str) -> bool {
    let rest = pattern.strip_prefix("/v1/tenants/{tenant}");
    rest.is_some_and(|rest| !NOTHING_SHOWN.iter().any(|nothing| rest.starts_with(nothing)))
}

/// The records of a request that showed all of these: one, or more where they are many.
pub fn records(
    record: &AccessRecord,
    (contacts, conversations): (&[ContactId], &[ConversationId]),
    entropy: &dyn Entropy,
) -> Vec<AccessRecord> {
    let parts = contacts.len().div_ceil(READ_MAX).max(conversations.len().div_ceil(READ_MAX)).max(1);
    let part = |number: usize| {
        let id = if number == 0 { record.id } else { AccessId::new(record.at, entropy) };
        AccessRecord {
            id,
            part_of: if number == 0 { record.part_of } else { Some(record.part_of.unwrap_or(record.id)) },
            contacts: contacts.iter().skip(number * READ_MAX).take(READ_MAX).copied().collect(),
            conversations: conversations.iter().skip(number * READ_MAX).take(READ_MAX).copied().collect(),
            ..record.clone()
        }
    };
    (0..parts).map(part).collect()
}

type Noting = Pin<Box<dyn Future<Output = ()>>>;

/// A body whose pieces are looked through, and noted, before they go out.
pub struct Watched {
    body: BoxBody,
    reads: Reads,
    /// The request's own record, which was kept when its answer began.
    record: AccessRecord,
    log: AccessLog,
    entropy: Arc<dyn Entropy>,
    noting: Option<(Noting, Bytes)>,
}

impl Watched {
    /// Of this request.
    pub fn new(body: BoxBody, record: AccessRecord, log: AccessLog, entropy: Arc<dyn Entropy>) -> Self {
        Self { body, reads: Reads::default(), record, log, entropy, noting: None }
    }

    /// What keeps the ids of a piece, if there are new ones in it.
    fn note(&mut self, piece: &Bytes) -> Option<Noting> {
        self.reads.look(piece);
        let (contacts, conversations) = self.reads.take();
        if contacts.is_empty() && conversations.is_empty() {
            return None;
        }
        let id = AccessId::new(self.record.at, &*self.entropy);
        let record = AccessRecord { id, part_of: Some(self.record.id), ..self.record.clone() };
        let records = records(&record, (&contacts, &conversations), &*self.entropy);
        let log = self.log.clone();
        Some(Box::pin(async move {
            for record in records {
                log.note(record).await;
            }
        }))
    }
}

impl MessageBody for Watched {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        loop {
            if let Some((noting, _)) = &mut self.noting {
                ready!(noting.as_mut().poll(context));
                return Poll::Ready(self.noting.take().map(|(_, piece)| Ok(piece)));
            }
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(piece)) => match self.note(&piece) {
                    Some(noting) => self.noting = Some((noting, piece)),
                    None => return Poll::Ready(Some(Ok(piece))),
                },
                other => return Poll::Ready(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(number: u8) -> ContactId {
        ContactId::from_bytes([number; 16])
    }

    #[test]
    fn ids_are_found_wherever_the_pieces_are_cut_and_each_once() {
        let conversation = ConversationId::from_bytes([7; 16]);
        let text = format!(
            "{{\"a\":\"{}\",\"b\":[\"{conversation}\",\"{}\"],\"c\":\"con_123\",\"d\":\"{}\",\"e\":\"xcon_{}\"}}",
            contact(1),
            contact(2),
            contact(1),
            "g".repeat(32)
        );
        for cut in 0..text.len() {
            for length in [1, 5, 36, 1_000] {
                let mut reads = Reads::default();
                let (first, rest) = text.as_bytes().split_at(cut);
                reads.look(first);
                rest.chunks(length).for_each(|piece| reads.look(piece));
                let (mut contacts, conversations) = reads.take();
                contacts.sort();
                assert_eq!(
                    (contacts, conversations),
                    (vec![contact(1), contact(2)], vec![conversation]),
                    "{cut} {length}"
                );
                assert_eq!(reads.take(), (Vec::new(), Vec::new()));
            }
        }
    }

    #[test]
    fn what_is_under_a_tenant_shows_people_and_its_logs_do_not() {
        assert!(shows_people("/v1/tenants/{tenant}/contacts/{contact}"));
        assert!(shows_people("/v1/tenants/{tenant}/export/{kind}"));
        for pattern in ["/v1/tenants/{tenant}/audit/export", "/v1/me/access-log", "/v1/tenants", "none"] {
            assert!(!shows_people(pattern), "{pattern}");
        }
    }
}
