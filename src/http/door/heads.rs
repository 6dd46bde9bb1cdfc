//! Where on a connection a head is being sent, told from the bytes alone.

/// Follows one connection.
#[derive(Debug, Default)]
pub(super) struct Heads {
    stage: Stage,
    /// Whether an answer has been written since the last flush.
    answered: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing of the next request has come.
    #[default]
    Between,
    /// Its head has begun. How much of the empty line at its end has come.
    Head(LineEnd),
    /// Its head has come, and its answer has not gone.
    Request,
    /// It speaks something else by now.
    Upgraded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    None,
    Feed,
    FeedReturn,
}

impl Heads {
    /// These bytes came.
    pub(super) fn came(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.stage = match (self.stage, byte) {
                (Stage::Request | Stage::Upgraded, _) => return,
                // Empty lines before a request count for nothing (RFC 9112, 2.2).
                (Stage::Between, b'\r' | b'\n') => Stage::Between,
                (Stage::Head(LineEnd::Feed | LineEnd::FeedReturn), b'\n') => Stage::Request,
                (Stage::Head(LineEnd::Feed), b'\r') => Stage::Head(LineEnd::FeedReturn),
                (Stage::Head(_), b'\n') => Stage::Head(LineEnd::Feed),
                (Stage::Between | Stage::Head(_), _) => Stage::Head(LineEnd::None),
            };
        }
    }

    /// These bytes are about to go.
    pub(super) fn goes(&mut self, bytes: &[u8]) {
        if bytes.starts_with(b"HTTP/1.1 101") {
            self.stage = Stage::Upgraded;
        } else if !bytes.starts_with(b"HTTP/1.1 100") {
            self.answered = true;
        }
    }

    /// All that was to go has gone.
    pub(super) fn gone(&mut self) {
        if std::mem::take(&mut self.answered) && self.stage != Stage::Upgraded {
            self.stage = Stage::Between;
        }
    }

    /// Whether a head has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        matches!(self.stage, Stage::Head(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

    fn after(parts: &[&[u8]]) -> bool {
        let mut heads = Heads::default();
        for part in parts {
            if part.starts_with(b"HTTP/1.1 ") {
                heads.goes(part);
                heads.gone();
            } else {
                heads.came(part);
            }
        }
        heads.is_within()
    }

    #[test]
    fn a_head_begins_with_its_first_byte_and_ends_with_its_empty_line() {
        assert!(!after(&[]));
        assert!(after(&[b"G"]));
        assert!(after(&[b"GET / HTTP/1.1\r\nhost: a\r\n"]));
        assert!(!after(&[b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"]));
        assert!(!after(&[b"GET / HTTP/1.1\r", b"\n", b"\r", b"\n"]), "however it is cut");
        assert!(!after(&[b"GET / HTTP/1.1\n\n"]));
        assert!(after(&[b"\r\n\r\nGET"]), "empty lines before it end nothing");
    }

    #[test]
    fn the_next_one_begins_after_the_answer() {
        let request: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n";
        assert!(!after(&[request, b"some body"]), "a body is no head");
        assert!(after(&[request, b"some body", ANSWER, b"GET"]));
        assert!(!after(&[request, b"some body", ANSWER]));
        assert!(!after(&[request, b"HTTP/1.1 100 Continue\r\n\r\n", b"some body"]));
        assert!(!after(&[request, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"frames"]));
        assert!(!after(&[request, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"f", b"HTTP/1.1 ", b"f"]));
    }
}
