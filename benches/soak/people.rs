//! People who write, each in their own time; some do everything else that people do on a phone.

use std::cell::RefCell;
use std::time::Duration;

use iassistance_domain::{Entropy, SeededEntropy};
use iassistance_simulator::act::GivenFile;
use iassistance_simulator::{Act, Deed, MediaKind};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::place::{Place, TENANTS};

/// How many messages somebody writes at a time, and how long they are silent then, milliseconds.
const AT_A_TIME_MAX: u64 = 3;
const SILENT_MS: (u64, u64) = (4_000, 24_000);
/// One in so many times somebody goes away, and somebody new comes in their place.
const LEAVES_ONE_IN: u64 = 40;
/// One in so many people does not only write.
const FIDGETS_ONE_IN: usize = 8;

/// Somebody.
struct Person<'a> {
    place: &'a Place,
    book: &'a RefCell<Book>,
    account: &'a str,
    /// Their number, which they have no name besides.
    number: String,
    entropy: &'a SeededEntropy,
}

/// One person after another in the same place, until it is over.
pub async fn live(index: usize, place: &Place, book: &RefCell<Book>, seed: u64, over: &CancellationToken) {
    let entropy = SeededEntropy::new(seed.wrapping_add(1 + index as u64));
    let account = &place.tenants[index % TENANTS].accounts[index / TENANTS % 3];
    let fidgets = index.is_multiple_of(FIDGETS_ONE_IN);
    let mut person = Person { place, book, account, number: number(index, 0), entropy: &entropy };
    let (mut burst, mut before) = (0, 0);
    // So that not all begin at once.
    let mut silent_ms = entropy.up_to(SILENT_MS.1);
    while over.run_until_cancelled(tokio::time::sleep(Duration::from_millis(silent_ms))).await.is_some() {
        if entropy.up_to(LEAVES_ONE_IN - 1) == 0 {
            before += 1;
            person.number = number(index, before);
        }
        if fidgets {
            person.fidget();
        } else {
            burst += 1;
            for _ in 0..=entropy.up_to(AT_A_TIME_MAX - 1) {
                person.write(burst);
            }
        }
        silent_ms = SILENT_MS.0 + entropy.up_to(SILENT_MS.1 - SILENT_MS.0);
    }
}

fn number(index: usize, before: usize) -> String {
    format!("1555{:07}", before * 1_000 + index)
}

impl Person<'_> {
    /// Writes something that the answer can be told by.
    fn write(&self, burst: u64) {
        let (said, text) = self.book.borrow_mut().says(&self.number, burst);
        if !self.act(Act::Text { text }) {
            self.book.borrow_mut().never_said(said);
        }
    }

    /// Does what leaves no such trace: what is answered is not counted.
    fn fidget(&self) {
        let last = || "last".to_owned();
        let act = match self.entropy.up_to(7) {
            0 => Act::File(GivenFile::sample(MediaKind::Image)),
            1 => Act::React { to: last(), emoji: Some("👍".to_owned()) },
            2 => Act::Edit { of: last(), text: "I meant the green ones.".to_owned() },
            3 => Act::TakeBack { of: last() },
            4 => Act::Location { latitude: -32.95, longitude: -60.64, name: None, address: None },
            5 => Act::Read,
            _ => Act::Text { text: "Do you have these in green?".to_owned() },
        };
        // Not every product has everything, and not everybody has written something to change.
        self.act(act);
    }

    fn act(&self, act: Act) -> bool {
        self.place.simulator.act(Deed::of(&self.number, Some(self.account), act)).is_ok()
    }
}
