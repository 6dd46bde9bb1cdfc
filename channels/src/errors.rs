//! What Meta's error codes mean: one classifier for the answer to a send and for the `failed`
//! status that comes later.
//!
//! It decides on the code, and on the subcode where the table has one: never on Meta's text, which
//! is localised, nor on the HTTP status, which is not reliable (permanent errors come with 500,
//! limits with 400 or 403, an error even inside a 200). Meta: Cloud API, "Error codes"; Messenger
//! Platform, "Error codes"; Graph API, "Rate limiting".

mod table;

use iassistance_domain::channel::ChannelKind;
use iassistance_domain::delivery::{DeliveryProblem, ProblemClass};

/// `WhatsApp`: something went wrong and Meta does not say what.
const SOMETHING_WENT_WRONG: i64 = 131_000;
/// `WhatsApp`: Meta could not take the media.
pub(crate) const MEDIA_UPLOAD: i64 = 131_053;

/// Whose codes they are: the same number may mean different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// `WhatsApp` Cloud API.
    Whatsapp,
    /// Messenger and Instagram, which share their codes.
    PageMessaging,
}

impl From<ChannelKind> for Product {
    fn from(kind: ChannelKind) -> Self {
        match kind {
            ChannelKind::Whatsapp => Self::Whatsapp,
            _ => Self::PageMessaging,
        }
    }
}

/// How much waits when a limit was hit, from wide to narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThrottleScope {
    /// Everything that goes through the Meta app.
    App,
    /// Everything of the business account.
    Account,
    /// Everything that leaves from this number or page.
    Number,
    /// What goes from this number to this contact.
    Pair,
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Try again.
    Retry,
    /// Try again, three times in all.
    RetryFew,
    /// Let this much wait, then try again.
    Wait(ThrottleScope),
    /// Do not repeat it.
    GiveUp,
}

/// What to do about an error of this class.
pub const fn action(class: ProblemClass) -> Action {
    match class {
        ProblemClass::Transient => Action::Retry,
        ProblemClass::TransientBounded => Action::RetryFew,
        ProblemClass::ThrottleApp => Action::Wait(ThrottleScope::App),
        ProblemClass::ThrottleAccount => Action::Wait(ThrottleScope::Account),
        ProblemClass::ThrottleSender => Action::Wait(ThrottleScope::Number),
        ProblemClass::ThrottlePair => Action::Wait(ThrottleScope::Pair),
        ProblemClass::Auth
        | ProblemClass::Window
        | ProblemClass::Recipient
        | ProblemClass::ThreadControl
        | ProblemClass::AccountBlock
        | ProblemClass::OptOut
        | ProblemClass::Drop
        | ProblemClass::Request => Action::GiveUp,
    }
}

/// What to do about a message that was accepted and then reported as failed. Such a report says that
/// it was not delivered, so sending it again cannot make two of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterStatus {
    /// Send it again, waiting longer each time.
    Again,
    /// Send it again once: this report is the first of its kind for it.
    Once,
    /// Let this much wait, then send it again.
    Wait(ThrottleScope),
    /// It stays failed.
    Stay,
}

/// What to do after a failed status with this problem.
pub const fn after_status(problem: &DeliveryProblem) -> AfterStatus {
    match (action(problem.class), problem.code) {
        (Action::Retry, _) => AfterStatus::Again,
        (Action::RetryFew, SOMETHING_WENT_WRONG | MEDIA_UPLOAD) => AfterStatus::Once,
        (Action::Wait(scope), _) => AfterStatus::Wait(scope),
        (Action::RetryFew | Action::GiveUp, _) => AfterStatus::Stay,
    }
}

/// An error in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// What kind of trouble it is, and what can be shown: what it means and what to do.
    pub problem: DeliveryProblem,
    /// How long Meta says that it takes, milliseconds, where the code implies a time.
    pub wait_ms: Option<u64>,
}

/// What a code means. `http_status` is that of the answer, `None` for a failed status; it counts
/// only for codes that are not in the table: 5xx and `None` are tried again a few times, the rest
/// is taken for a bad request.
pub fn classify(product: Product, code: i64, subcode: Option<i64>, http_status: Option<u16>) -> Classified {
    let rows = match product {
        Product::Whatsapp => table::WHATSAPP,
        Product::PageMessaging => table::PAGE_MESSAGING,
    };
    let find = |subcode| rows.iter().find(|row| row.code == code && row.subcode == subcode);
    let known = subcode.and_then(|subcode| find(Some(subcode))).or_else(|| find(None));
    let (class, title) = match known {
        Some(row) => (row.class, row.title),
        None if (200..300).contains(&code) => (ProblemClass::Auth, table::PERMISSION),
        None if http_status.is_none_or(|status| status >= 500) => {
            (ProblemClass::TransientBounded, table::UNKNOWN_PASSING)
        }
        None => (ProblemClass::Request, table::UNKNOWN_REFUSAL),
    };
    Classified {
        problem: DeliveryProblem { class, code, title: title.to_owned() },
        wait_ms: known.and_then(|row| row.wait_s).map(|seconds| seconds * 1_000),
    }
}

impl Classified {
    /// With Meta's details taken into account where they decide: media that Meta could not fetch are
    /// tried once more if the server that holds them was at fault for the moment (HTTP 429 or 5xx).
    #[must_use]
    pub fn with_details(mut self, details: Option<&str>) -> Self {
        if self.problem.code == MEDIA_UPLOAD && details.is_some_and(blames_link_host) {
            self.problem.class = ProblemClass::TransientBounded;
            table::LINK_HOST.clone_into(&mut self.problem.title);
        }
        self
    }
}

/// Whether `details` name a passing HTTP status, as in "failed with http code 503".
fn blames_link_host(details: &str) -> bool {
    let mut after_code = false;
    details.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).any(|word| {
        let passing = word.parse().is_ok_and(|status: u16| status == 429 || (500..600).contains(&status));
        let named = after_code && passing;
        after_code = ["code", "status", "http"].iter().any(|name| word.eq_ignore_ascii_case(name));
        named
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_named(name: &str) -> ProblemClass {
        match name {
            "TRANSIENT" => ProblemClass::Transient,
            "TRANSIENT_BOUNDED" => ProblemClass::TransientBounded,
            "THROTTLE_APP" => ProblemClass::ThrottleApp,
            "THROTTLE_WABA" => ProblemClass::ThrottleAccount,
            "THROTTLE_SENDER" => ProblemClass::ThrottleSender,
            "THROTTLE_PAIR" => ProblemClass::ThrottlePair,
            "AUTH" => ProblemClass::Auth,
            "WINDOW" => ProblemClass::Window,
            "PERMANENT_RECIPIENT" => ProblemClass::Recipient,
            "THREAD_CONTROL" => ProblemClass::ThreadControl,
            "ACCOUNT_BLOCK" => ProblemClass::AccountBlock,
            "OPTOUT" => ProblemClass::OptOut,
            "DROP" => ProblemClass::Drop,
            "PERMANENT_REQUEST" => ProblemClass::Request,
            other => panic!("the matrix has a class that is not known here: {other}"),
        }
    }

    #[test]
    fn every_row_of_the_matrix_is_classified_as_it_says() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/graph_errors/ERROR_MATRIX.tsv");
        let file = std::fs::read_to_string(file).unwrap();
        let mut rows = 0;
        for line in file.lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            let product = if cells[0] == "whatsapp" { Product::Whatsapp } else { Product::PageMessaging };
            let code = cells[1].parse().unwrap();
            let subcode = (!cells[2].is_empty()).then(|| cells[2].parse().unwrap());
            let status = cells[3].parse().ok();
            let said = classify(product, code, subcode, status);
            assert_eq!(said.problem.class, class_named(cells[6]), "{line}");
            assert_eq!(said, classify(product, code, subcode, None), "the HTTP status decided: {line}");
            assert!(
                ![table::UNKNOWN_PASSING, table::UNKNOWN_REFUSAL].contains(&&*said.problem.title),
                "{line}"
            );
            rows += 1;
        }
        assert_eq!(rows, table::WHATSAPP.len() + table::PAGE_MESSAGING.len());
    }

    #[test]
    fn an_unknown_subcode_falls_back_to_its_code() {
        let said = classify(Product::PageMessaging, 10, Some(7), Some(400));
        assert_eq!(said.problem.class, ProblemClass::Auth);
    }

    #[test]
    fn unknown_codes_go_by_the_status() {
        let class = |code, status| classify(Product::Whatsapp, code, None, status).problem.class;
        assert_eq!(class(987_654, Some(400)), ProblemClass::Request);
        assert_eq!(class(987_654, Some(200)), ProblemClass::Request);
        assert_eq!(class(987_654, Some(500)), ProblemClass::TransientBounded);
        assert_eq!(class(987_654, None), ProblemClass::TransientBounded);
        assert_eq!(class(299, Some(403)), ProblemClass::Auth);
    }

    #[test]
    fn media_are_tried_once_more_only_when_their_server_was_at_fault() {
        let class = |code, details: &str| {
            classify(Product::Whatsapp, code, None, Some(400)).with_details(Some(details)).problem.class
        };
        let fetched =
            |status| format!("Downloading media from weblink failed with http code {status}, status message");
        assert_eq!(class(131_053, &fetched(503)), ProblemClass::TransientBounded);
        assert_eq!(class(131_053, &fetched(429)), ProblemClass::TransientBounded);
        assert_eq!(class(131_053, &fetched(404)), ProblemClass::Request);
        assert_eq!(class(131_053, "the file has 503 pages"), ProblemClass::Request);
        assert_eq!(class(131_008, &fetched(503)), ProblemClass::Request);
    }

    #[test]
    fn a_failed_status_says_whether_to_send_again() {
        let after = |code| after_status(&classify(Product::Whatsapp, code, None, None).problem);
        assert_eq!(after(131_016), AfterStatus::Again);
        assert_eq!(after(131_000), AfterStatus::Once);
        assert_eq!(after(130_429), AfterStatus::Wait(ThrottleScope::Number));
        assert_eq!(after(131_056), AfterStatus::Wait(ThrottleScope::Pair));
        assert_eq!(after(80_007), AfterStatus::Wait(ThrottleScope::Account));
        for code in [1, 190, 131_026, 131_047, 131_049, 131_050, 131_053, 987_654] {
            assert_eq!(after(code), AfterStatus::Stay, "{code}");
        }
        let at_fault = classify(Product::Whatsapp, 131_053, None, None).with_details(Some("http code 500"));
        assert_eq!(after_status(&at_fault.problem), AfterStatus::Once);
    }
}
