//! Canaries: marks that say whose they are, and the search for them in any form in which they may come out.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// What every canary of letters begins with; then its owner (2 digits), its sort and its number (6 digits).
const LETTERS: &str = "canary7q";
/// What every canary of digits begins with; then its owner and its number (4 digits). Fifteen digits are
/// the longest number that people dial.
const DIGITS: &str = "999077705";

/// Who may see what has the mark: those who see how somebody is set up, or those who read what people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// Names, settings, documents, keys, people.
    SetUp,
    /// Contacts and what they and the operators write.
    Content,
}

/// A canary, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Whose: the number of a tenant, or of what else there is.
    pub owner: u8,
    pub sort: Sort,
    pub number: u32,
}

impl Mark {
    /// In letters, as it stands in names and texts.
    pub fn text(self) -> String {
        let sort = if self.sort == Sort::SetUp { 's' } else { 'c' };
        format!("{LETTERS}{:02}{sort}{:06}", self.owner, self.number)
    }

    /// In digits, as a contact's number.
    pub fn digits(self) -> String {
        format!("{DIGITS}{:02}{:04}", self.owner, self.number % 10_000)
    }
}

/// Looks for canaries.
pub struct Search {
    automaton: AhoCorasick,
    forms: Vec<Form>,
}

#[derive(Clone, Copy)]
enum Form {
    Letters,
    Digits,
    Hex,
    Base64,
}

impl Search {
    /// In letters, in digits, in hexadecimal and in base64, wherever in it the mark begins.
    pub fn new() -> Self {
        let mut patterns = vec![LETTERS.to_owned(), DIGITS.to_owned(), hex::encode(LETTERS)];
        let mut forms = vec![Form::Letters, Form::Digits, Form::Hex];
        for before in 0..3_usize {
            let bytes = [&vec![0; before][..], LETTERS.as_bytes()].concat();
            let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&bytes);
            // Characters that hold bits of what stands before or after it are not the mark's.
            patterns.push(text[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned());
            forms.push(Form::Base64);
        }
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(&patterns).unwrap();
        Self { automaton, forms }
    }

    /// The canaries in there, each once.
    pub fn find(&self, bytes: &[u8]) -> BTreeSet<Mark> {
        let mut found = BTreeSet::new();
        for hit in self.automaton.find_overlapping_iter(bytes) {
            match self.forms[hit.pattern().as_usize()] {
                Form::Letters => found.extend(letters(&bytes[hit.end()..])),
                Form::Digits => found.extend(digits(&bytes[hit.end()..])),
                Form::Hex => {
                    let run = around(bytes, hit.start(), |byte| byte.is_ascii_hexdigit());
                    let decoded = (0..2).filter_map(|skip| {
                        let run = run.get(skip..)?;
                        hex::decode(&run[..run.len() / 2 * 2]).ok()
                    });
                    decoded.for_each(|decoded| found.extend(plain(&decoded)));
                }
                Form::Base64 => {
                    let is = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
                    let run = around(bytes, hit.start(), is);
                    for skip in 0..4.min(run.len()) {
                        for alphabet in [&STANDARD, &URL_SAFE] {
                            found.extend(plain(&unbase64(&run[skip..], alphabet)));
                        }
                    }
                }
            }
        }
        found
    }
}

/// What follows on the letters that every canary begins with.
fn letters(rest: &[u8]) -> Option<Mark> {
    let rest = rest.get(..9)?.to_ascii_lowercase();
    let sort = match rest[2] {
        b's' => Sort::SetUp,
        b'c' => Sort::Content,
        _ => return None,
    };
    let owner = std::str::from_utf8(&rest[..2]).ok()?.parse().ok()?;
    Some(Mark { owner, sort, number: std::str::from_utf8(&rest[3..]).ok()?.parse().ok()? })
}

fn digits(rest: &[u8]) -> Option<Mark> {
    let rest = std::str::from_utf8(rest.get(..6)?).ok()?;
    let (owner, number) = rest.split_at_checked(2)?;
    Some(Mark { owner: owner.parse().ok()?, sort: Sort::Content, number: number.parse().ok()? })
}

fn plain(bytes: &[u8]) -> Vec<Mark> {
    let places = memchr::memmem::find_iter(bytes, LETTERS);
    places.filter_map(|place| letters(&bytes[place + LETTERS.len()..])).collect()
}

/// The run of such bytes that holds this place.
fn around(bytes: &[u8], place: usize, is: impl Fn(u8) -> bool) -> &[u8] {
    let begin = bytes[..place].iter().rposition(|byte| !is(*byte)).map_or(0, |before| before + 1);
    let length = bytes[begin..].iter().position(|byte| !is(*byte)).unwrap_or(bytes.len() - begin);
    &bytes[begin..begin + length]
}

fn unbase64(run: &[u8], alphabet: &base64::alphabet::Alphabet) -> Vec<u8> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let whole = &run[..run.len() / 4 * 4];
    GeneralPurpose::new(alphabet, config).decode(whole).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { owner: 7, sort: Sort::Content, number: 1_234 };

    #[test]
    fn a_mark_is_found_in_whatever_form_it_comes_out() {
        let (search, text) = (Search::new(), MARK.text());
        let only = BTreeSet::from([MARK]);
        assert_eq!(search.find(format!("x{text}y").as_bytes()), only);
        assert_eq!(search.find(text.to_uppercase().as_bytes()), only);
        assert_eq!(search.find(MARK.digits().as_bytes()), only);
        assert_eq!(search.find(format!("a{}", hex::encode(format!("b{text}"))).as_bytes()), only);
        for before in 0..9 {
            let bytes = format!("{}{text} and more", "z".repeat(before));
            for engine in [
                &base64::engine::general_purpose::STANDARD,
                &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            ] {
                let encoded = format!("\"{}\"", engine.encode(&bytes));
                assert_eq!(search.find(encoded.as_bytes()), only, "{before}");
            }
        }
        assert!(search.find(b"canary7q and 9990777 and nothing else").is_empty());
    }
}
