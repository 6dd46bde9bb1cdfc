//! One line of a script: what it says to do.

use crate::act::{Act, Control, Deed, GivenFile};
use crate::faults::Faults;
use crate::script_model::{self, Counted, Told};
use crate::shown::MediaKind;

const WAIT_MS_MAX: u64 = 3_600_000;

/// What a line does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The lines after this are with that account.
    On(String),
    /// Somebody does something; the account is that of the lines.
    Do(Box<Deed>),
    /// The next reply to a contact is of this sort, if one is named, and contains these words.
    Reply { contact: String, sort: Option<String>, words: String },
    /// The newest message of a contact has this reaction of the business's.
    Sees { contact: String, emoji: String },
    /// Time passes.
    Wait { millis: u64 },
    /// So many replies since the beginning.
    Replies { count: usize },
    /// So many of something.
    Count { what: Counted, count: u64 },
    /// The model or the tool server is told something.
    Tell(Box<Told>),
    /// No reply to anybody for so long.
    Silence { millis: u64 },
    /// What goes wrong from now on.
    Faults(Box<Faults>),
}

type Parsed = Result<Step, &'static str>;

pub(crate) fn parse(line: &str) -> Parsed {
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '+');
    let end = line.find(|letter| !is_name(letter)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    if name.is_empty() {
        return Err(
            "a line begins with a contact, `on`, `number`, `owner`, `model`, `tool`, `wait`, `expect` or `#`",
        );
    }
    if let Some(text) = rest.strip_prefix(':') {
        return Ok(deed(name, Act::Text { text: words(text, "nothing is said: write `contact: text`")? }));
    }
    if let Some(reply) = rest.strip_prefix('<') {
        return expected(name, reply.trim());
    }
    match name {
        "number" if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Step::On(rest.to_owned()))
        }
        "number" => Err("write `number <phone_number_id>`"),
        "on" if !rest.is_empty() => Ok(Step::On(rest.to_owned())),
        "on" => Err("write `on <account>`: an id, a product or a name"),
        "wait" => match duration_ms(rest) {
            Some(millis) => Ok(Step::Wait { millis }),
            None => Err("write `wait 500ms` or `wait 2s`, at most an hour"),
        },
        "expect" => expect(rest),
        "owner" => owner(rest),
        "model" => script_model::model(rest).map(|told| Step::Tell(Box::new(told))),
        "tool" => script_model::tool(rest).map(|told| Step::Tell(Box::new(told))),
        "meta" => match serde_json::from_str(rest) {
            Ok(act) => Ok(Step::Do(Box::new(Deed::of_meta(None, act)))),
            Err(_) => Err("write `meta {\"kind\": …}`, an act as /sim/act takes it"),
        },
        "faults" => match serde_json::from_str::<Faults>(rest) {
            Ok(faults) if faults.check().is_ok() => Ok(Step::Faults(Box::new(faults))),
            _ => Err("write `faults {…}`, as /sim/faults takes them"),
        },
        _ => contact(name, rest),
    }
}

fn deed(contact: &str, act: Act) -> Step {
    Step::Do(Box::new(Deed::of(contact, None, act)))
}

/// Words with `\n` for new lines; not none.
fn words(text: &str, problem: &'static str) -> Result<String, &'static str> {
    let text = text.trim().replace("\\n", "\n");
    if text.is_empty() { Err(problem) } else { Ok(text) }
}

fn expected(name: &str, reply: &str) -> Parsed {
    let (sort, rest) = match reply.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((sort, rest)) => (Some(sort.trim().to_owned()), rest.trim()),
        None => (None, reply),
    };
    let rest = rest.strip_prefix("contains ").unwrap_or(rest).trim();
    if rest.is_empty() && sort.is_none() {
        return Err("nothing is expected: write `contact < words` or `contact < [choices] words`");
    }
    Ok(Step::Reply { contact: name.to_owned(), sort, words: rest.to_owned() })
}

fn expect(rest: &str) -> Parsed {
    const HOW: &str = "write `expect replies <count>`, `expect silence 500ms`, `expect chats <count>`, `expect cuts <count>`, \
                       `expect streams <count>` or `expect calls <tool> <count>`";
    if let Some(time) = rest.strip_prefix("silence ") {
        return duration_ms(time).map(|millis| Step::Silence { millis }).ok_or(HOW);
    }
    if let Some((what, count)) = script_model::counted(rest) {
        return Ok(Step::Count { what, count });
    }
    let count = rest.strip_prefix("replies ").and_then(|count| count.trim().parse().ok());
    count.map(|count| Step::Replies { count }).ok_or(HOW)
}

/// `owner to ana: text`, `owner to ana sends image caption`, `owner to ana unsends`.
fn owner(rest: &str) -> Parsed {
    const HOW: &str = "write `owner to <contact>: text`, `… sends <image> caption` or `… unsends`";
    let rest = rest.strip_prefix("to ").ok_or(HOW)?.trim_start();
    let end = rest.find(|letter: char| letter == ':' || letter.is_whitespace()).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let rest = rest.trim();
    if name.is_empty() {
        return Err(HOW);
    }
    if let Some(text) = rest.strip_prefix(':') {
        return Ok(deed(name, Act::OwnerText { text: words(text, HOW)? }));
    }
    if let Some(file) = rest.strip_prefix("sends ") {
        return Ok(deed(name, Act::OwnerFile(given(file.trim()).ok_or(HOW)?)));
    }
    if rest == "unsends" { Ok(deed(name, Act::OwnerTakeBack { of: "last".to_owned() })) } else { Err(HOW) }
}

fn given(text: &str) -> Option<GivenFile> {
    let (sort, caption) = text.split_once(' ').unwrap_or((text, ""));
    let media = match sort {
        "image" => MediaKind::Image,
        "video" => MediaKind::Video,
        "audio" => MediaKind::Audio,
        "voice" => MediaKind::Voice,
        "document" => MediaKind::Document,
        "sticker" => MediaKind::Sticker,
        _ => return None,
    };
    Some(GivenFile { caption: caption.trim().to_owned(), ..GivenFile::sample(media) })
}

const VERBS: &str = "after a contact comes `:` (says), `<` (expects) or what they do: sends, chooses, taps, replies, reacts, unreacts, \
                     edits, unsends, comes, comments, mentions, answers, sees, reads, calls, blocks, unblocks, stops, \
                     resumes, thread, does";

/// What a contact does, by its verb.
fn contact(name: &str, rest: &str) -> Parsed {
    let last = || "last".to_owned();
    let (verb, rest) = rest.split_once([' ', ':']).map_or((rest, ""), |(verb, rest)| (verb, rest.trim()));
    let act = match verb {
        "sends" => sends(rest)?,
        "chooses" => Act::Choose {
            of: last(),
            choice: words(rest, "write `contact chooses <button, row or quick reply>`")?,
            answers: None,
        },
        "taps" => {
            let payload = words(rest, "write `contact taps <payload>`")?;
            Act::Postback { title: payload.clone(), payload }
        }
        "reacts" => Act::React { to: last(), emoji: Some(words(rest, "write `contact reacts <emoji>`")?) },
        "unreacts" => Act::React { to: last(), emoji: None },
        "edits" => Act::Edit { of: last(), text: words(rest, "write `contact edits: new words`")? },
        "unsends" => Act::TakeBack { of: last() },
        "replies" => {
            let text = words(rest, "write `contact replies: text`")?;
            let reply = Deed::of(name, None, Act::Text { text });
            return Ok(Step::Do(Box::new(Deed { quoting: Some(last()), ..reply })));
        }
        "comes" => {
            const HOW: &str = "write `contact comes from ad: text` or `contact comes by link <ref>`";
            if let Some(reference) = rest.strip_prefix("by link ") {
                Act::Referral { reference: words(reference, HOW)? }
            } else {
                let text = rest.strip_prefix("from ad:").ok_or(HOW)?;
                let first = Deed::of(name, None, Act::Text { text: words(text, HOW)? });
                return Ok(Step::Do(Box::new(Deed { came_from_ad: true, ..first })));
            }
        }
        "comments" => {
            Act::Comment { text: words(rest, "write `contact comments: text`")?, by_business: false }
        }
        "mentions" => Act::StoryMention,
        "answers" => {
            const HOW: &str = "write `contact answers story: text`";
            Act::StoryReply { text: words(rest.strip_prefix("story:").ok_or(HOW)?, HOW)? }
        }
        "sees" => {
            let emoji = words(rest, "write `contact sees <emoji>`")?;
            return Ok(Step::Sees { contact: name.to_owned(), emoji });
        }
        "reads" => Act::Read,
        "calls" => Act::Call,
        "blocks" => Act::Block { blocked: true },
        "unblocks" => Act::Block { blocked: false },
        "stops" if rest == "marketing" => Act::Marketing { wanted: false },
        "resumes" if rest == "marketing" => Act::Marketing { wanted: true },
        "thread" => Act::Thread {
            control: match rest {
                "take" => Control::Take,
                "pass" => Control::Pass,
                "request" => Control::Request,
                _ => return Err("write `contact thread take`, `… pass` or `… request`"),
            },
        },
        "does" => serde_json::from_str(rest)
            .map_err(|_| "write `contact does {\"kind\": …}`, an act as /sim/act takes it")?,
        _ => return Err(VERBS),
    };
    Ok(deed(name, act))
}

/// `image a caption`, or `location 52.2 21.0 a name`.
fn sends(rest: &str) -> Result<Act, &'static str> {
    const HOW: &str = "write `contact sends image caption` (or video, audio, voice, document, sticker) or \
                       `contact sends location <latitude> <longitude> name`";
    let Some(place) = rest.strip_prefix("location ") else {
        return given(rest).map(Act::File).ok_or(HOW);
    };
    let mut parts = place.trim().splitn(3, ' ');
    let mut number = || parts.next().and_then(|part| part.parse::<f64>().ok());
    let (latitude, longitude) = (number().ok_or(HOW)?, number().ok_or(HOW)?);
    let name = parts.next().map(|name| name.trim().to_owned());
    Ok(Act::Location { latitude, longitude, name, address: None })
}

fn duration_ms(text: &str) -> Option<u64> {
    let (count, unit) = match text.strip_suffix("ms") {
        Some(count) => (count, 1),
        None => (text.strip_suffix('s')?, 1_000),
    };
    let millis = count.trim().parse::<u64>().ok()?.checked_mul(unit)?;
    (millis <= WAIT_MS_MAX).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(line: &str) -> Deed {
        match parse(line) {
            Ok(Step::Do(deed)) => *deed,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn each_verb_is_read() {
        let last = || "last".to_owned();
        let table = [
            (
                "ana sends image my receipt",
                Act::File(GivenFile { caption: "my receipt".into(), ..GivenFile::sample(MediaKind::Image) }),
            ),
            (
                "ana sends location 52.2 21.0 the shop",
                Act::Location {
                    latitude: 52.2,
                    longitude: 21.0,
                    name: Some("the shop".into()),
                    address: None,
                },
            ),
            (
                "ana chooses Yes, please",
                Act::Choose { of: last(), choice: "Yes, please".into(), answers: None },
            ),
            ("ana reacts 👍", Act::React { to: last(), emoji: Some("👍".into()) }),
            ("ana unreacts", Act::React { to: last(), emoji: None }),
            ("ana edits: better", Act::Edit { of: last(), text: "better".into() }),
            ("ana unsends", Act::TakeBack { of: last() }),
            ("ana comments: how much?", Act::Comment { text: "how much?".into(), by_business: false }),
            ("ana answers story: wow", Act::StoryReply { text: "wow".into() }),
            ("ana comes by link spring", Act::Referral { reference: "spring".into() }),
            ("ana stops marketing", Act::Marketing { wanted: false }),
            ("ana thread take", Act::Thread { control: Control::Take }),
            ("owner to ana: I will see to it", Act::OwnerText { text: "I will see to it".into() }),
            ("owner to ana unsends", Act::OwnerTakeBack { of: last() }),
            ("ana does {\"kind\": \"read\"}", Act::Read),
            (
                "meta {\"kind\": \"account_update\", \"event\": \"X\"}",
                Act::AccountUpdate { event: "X".into() },
            ),
        ];
        for (line, act) in table {
            assert_eq!(done(line).act, act, "{line}");
        }
        assert!(done("ana comes from ad: Hello").came_from_ad);
        assert_eq!(done("ana replies: yes").quoting.as_deref(), Some("last"));
        assert_eq!(parse("on Demo Shop"), Ok(Step::On("Demo Shop".into())));
        let sort = Some("choices".to_owned());
        let reply = Step::Reply { contact: "ana".into(), sort, words: "which".into() };
        assert_eq!(parse("ana < [choices] which"), Ok(reply));
        assert_eq!(parse("expect silence 500ms"), Ok(Step::Silence { millis: 500 }));
        assert!(matches!(parse("faults {}"), Ok(Step::Faults(_))));
        assert!(matches!(parse("model forgets"), Ok(Step::Tell(_))));
        assert!(matches!(parse("tool order answers: sent"), Ok(Step::Tell(_))));
        assert_eq!(parse("expect cuts 1"), Ok(Step::Count { what: Counted::Cuts, count: 1 }));
    }

    #[test]
    fn what_is_half_written_is_refused() {
        for line in [
            "ana sends",
            "ana sends song",
            "ana sends location north",
            "ana chooses",
            "ana comes",
            "ana thread away",
            "ana does nothing",
            "owner ana: x",
            "owner to ana",
            "meta x",
            "faults {\"x\": 1}",
            "on",
            "expect silence",
            "expect calls 1",
            "model",
            "tool order",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
