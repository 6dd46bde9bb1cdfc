//! What Meta's error codes mean: one classifier for the answer to a send and for the `failed`
//! status that comes later.
//!
//! It decides on the code, and on the subcode where the table has one: never on Meta's text, which
//! is localised, nor on the HTTP status, which is not reliable (permanent errors come with 500,
//! limits with 400 or 403, an error even inside a 200). Meta: Cloud API, "Error codes"; Messenger
//! Platform, "Error codes"; Graph API, "Rate limiting".

mod table;

use iassistance_domain::channel::ChannelKind;
use iassistance_domain::delivery::DeliveryProblem;

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

/// What kind of trouble an error is, by what helps against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Meta's side is down for a moment: try again.
    Transient,
    /// May be a moment's trouble or a bad request: try again a few times only.
    TransientBounded,
    /// The Meta app calls too often: all its calls wait.
    ThrottleApp,
    /// The business account calls too often: all its calls wait.
    ThrottleAccount,
    /// The number or page sends too fast.
    ThrottleSender,
    /// Too many messages to this one contact.
    ThrottlePair,
    /// The token or a permission is missing or over: no send works until a person mends it.
    Auth,
    /// The time for free answers is over; only the contact, or a template, opens it again.
    Window,
    /// This contact cannot be reached.
    Recipient,
    /// Another app has the conversation.
    ThreadControl,
    /// The account, number or page is blocked or not set up: a person must act.
    AccountBlock,
    /// The contact opted out.
    OptOut,
    /// Meta chose not to deliver this one.
    Drop,
    /// The request itself is wrong: repeating it changes nothing.
    Request,
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

impl ErrorClass {
    /// What to do about it.
    pub const fn action(self) -> Action {
        match self {
            Self::Transient => Action::Retry,
            Self::TransientBounded => Action::RetryFew,
            Self::ThrottleApp => Action::Wait(ThrottleScope::App),
            Self::ThrottleAccount => Action::Wait(ThrottleScope::Account),
            Self::ThrottleSender => Action::Wait(ThrottleScope::Number),
            Self::ThrottlePair => Action::Wait(ThrottleScope::Pair),
            Self::Auth
            | Self::Window
            | Self::Recipient
            | Self::ThreadControl
            | Self::AccountBlock
            | Self::OptOut
            | Self::Drop
            | Self::Request => Action::GiveUp,
        }
    }

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::TransientBounded => "transient_bounded",
            Self::ThrottleApp => "throttle_app",
            Self::ThrottleAccount => "throttle_account",
            Self::ThrottleSender => "throttle_sender",
            Self::ThrottlePair => "throttle_pair",
            Self::Auth => "auth",
            Self::Window => "window",
            Self::Recipient => "recipient",
            Self::ThreadControl => "thread_control",
            Self::AccountBlock => "account_block",
            Self::OptOut => "opt_out",
            Self::Drop => "drop",
            Self::Request => "request",
        }
    }
}

/// An error in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// What kind of trouble it is.
    pub class: ErrorClass,
    /// What can be shown: what it means and what to do.
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
        None if (200..300).contains(&code) => (ErrorClass::Auth, table::PERMISSION),
        None if http_status.is_none_or(|status| status >= 500) => {
            (ErrorClass::TransientBounded, table::UNKNOWN_PASSING)
        }
        None => (ErrorClass::Request, table::UNKNOWN_REFUSAL),
    };
    Classified {
        class,
        problem: DeliveryProblem { code, title: title.to_owned() },
        wait_ms: known.and_then(|row| row.wait_s).map(|seconds| seconds * 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_named(name: &str) -> ErrorClass {
        match name {
            "TRANSIENT" => ErrorClass::Transient,
            "TRANSIENT_BOUNDED" => ErrorClass::TransientBounded,
            "THROTTLE_APP" => ErrorClass::ThrottleApp,
            "THROTTLE_WABA" => ErrorClass::ThrottleAccount,
            "THROTTLE_SENDER" => ErrorClass::ThrottleSender,
            "THROTTLE_PAIR" => ErrorClass::ThrottlePair,
            "AUTH" => ErrorClass::Auth,
            "WINDOW" => ErrorClass::Window,
            "PERMANENT_RECIPIENT" => ErrorClass::Recipient,
            "THREAD_CONTROL" => ErrorClass::ThreadControl,
            "ACCOUNT_BLOCK" => ErrorClass::AccountBlock,
            "OPTOUT" => ErrorClass::OptOut,
            "DROP" => ErrorClass::Drop,
            "PERMANENT_REQUEST" => ErrorClass::Request,
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
            assert_eq!(said.class, class_named(cells[6]), "{line}");
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
        assert_eq!(said.class, ErrorClass::Auth);
    }

    #[test]
    fn unknown_codes_go_by_the_status() {
        let class = |code, status| classify(Product::Whatsapp, code, None, status).class;
        assert_eq!(class(987_654, Some(400)), ErrorClass::Request);
        assert_eq!(class(987_654, Some(200)), ErrorClass::Request);
        assert_eq!(class(987_654, Some(500)), ErrorClass::TransientBounded);
        assert_eq!(class(987_654, None), ErrorClass::TransientBounded);
        assert_eq!(class(299, Some(403)), ErrorClass::Auth);
    }
}
