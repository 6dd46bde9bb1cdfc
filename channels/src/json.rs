//! Reading JSON that may be anything.
//!
//! A webhook holds many elements of many tenants, and one that is odd must cost itself alone. So it
//! is walked through once: a [`Cursor`] stands at a value, members are read by name, what is wanted
//! is remembered as it is written, and whatever has another type than expected reads as absent. Text
//! is decoded last: a lone surrogate, which makes JSON that no parser turns into text, spoils one
//! value. The brackets and quotes of the whole must fit; what is between them is looked at where it
//! is wanted. Nothing here recurses with the input.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use serde_json::value::RawValue;

/// How many elements of one list are read; what follows is passed over.
pub(crate) const ELEMENTS_MAX: usize = 10_000;

/// A value somewhere in a text, and everything after it.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    broken: bool,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a text.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, broken: false }
    }

    /// Whether everything was passed, and its brackets and quotes fit.
    pub(crate) fn is_through(mut self) -> bool {
        self.peek() == 0 && self.at >= self.text.len() && !self.broken
    }

    /// Goes to the next value or closing bracket and says how it begins; 0 at the end. Commas and
    /// colons say nothing that the brackets do not.
    #[inline]
    fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') => self.at += 1,
                Some(byte) => return *byte,
                None => return 0,
            }
        }
    }

    /// Passes over a value and hands it out as it is written.
    pub(crate) fn value(&mut self) -> Scalar<'a> {
        let first = self.peek();
        let start = self.at;
        match first {
            b'"' => {
                self.pass_string();
            }
            b'{' | b'[' => self.pass_nested(),
            _ => self.pass_bare(),
        }
        self.since(start)
    }

    /// What was passed over since `start`, as it is written.
    #[inline]
    fn since(&self, start: usize) -> Scalar<'a> {
        Scalar(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Passes over the string that begins here; says whether nothing in it is escaped.
    fn pass_string(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let mut plain = true;
        self.at += 1;
        loop {
            self.at += quote_or_escape(bytes.get(self.at..).unwrap_or_default());
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return plain;
                }
                Some(_) => self.at += 2,
                None => {
                    self.at = bytes.len();
                    self.broken = true;
                    return false;
                }
            }
            plain = false;
        }
    }

    fn pass_nested(&mut self) {
        let bytes = self.text.as_bytes();
        let mut depth = 0_usize;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.pass_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
        self.broken = true;
    }

    fn pass_bare(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    /// Reads an object: `take` gets the name of each member and the place of its value, and what it
    /// leaves there is passed over. Says whether it was one; what is no object is passed over whole.
    pub(crate) fn members(&mut self, mut take: impl FnMut(&str, &mut Self)) -> bool {
        self.members_while(|name, cursor| {
            take(name, cursor);
            true
        })
    }

    /// The member `name` of the object here, without moving. Looks no further than it must.
    pub(crate) fn find(mut self, name: &str) -> Scalar<'a> {
        let mut found = Scalar::default();
        if self.peek() != b'{' {
            return found;
        }
        self.members_while(|member, cursor| {
            if member == name {
                found = cursor.value();
            }
            member != name
        });
        found
    }

    fn members_while(&mut self, mut take: impl FnMut(&str, &mut Self) -> bool) -> bool {
        if self.peek() != b'{' {
            self.value();
            return false;
        }
        self.at += 1;
        while self.peek() == b'"' {
            let start = self.at;
            let plain = self.pass_string();
            let name = self.since(start).decoded(plain);
            self.peek();
            let start = self.at;
            // A name that is no text is one that nobody asks for.
            if name.is_some_and(|name| !take(&name, self)) {
                return true;
            }
            if self.at == start {
                self.value();
            }
        }
        self.close(b'}');
        true
    }

    fn close(&mut self, bracket: u8) {
        self.broken |= self.peek() != bracket;
        self.at += 1;
    }

    /// Reads a list: `take` gets the place of each element, and what it leaves is passed over. Says
    /// whether it was one; what is no list is passed over whole.
    pub(crate) fn elements(&mut self, mut take: impl FnMut(&mut Self)) -> bool {
        if self.peek() != b'[' {
            self.value();
            return false;
        }
        self.at += 1;
        while !matches!(self.peek(), b']' | b'}' | 0) {
            let start = self.at;
            take(self);
            if self.at == start {
                self.value();
            }
        }
        self.close(b']');
        true
    }

    /// Reads the value here, and hands it out as it is written besides.
    pub(crate) fn with_raw<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> (Scalar<'a>, R) {
        self.peek();
        let start = self.at;
        let result = read(self);
        (self.since(start), result)
    }
}

/// What is read from one value, in its place: nothing of a long list is moved about.
pub(crate) trait Read<'a>: Default {
    /// Reads the value at `cursor` into itself, and moves behind it.
    fn read(&mut self, cursor: &mut Cursor<'a>);

    /// The value at `cursor`.
    fn of(cursor: &mut Cursor<'a>) -> Self {
        let mut value = Self::default();
        value.read(cursor);
        value
    }
}

/// An object whose members are read by name. Later duplicates of a name win.
pub(crate) trait Shape<'a>: Default {
    /// Takes the member `name`, whose value is at `cursor`, or leaves it.
    fn member(&mut self, name: &str, cursor: &mut Cursor<'a>);

    /// What the object at `cursor` says.
    fn of(cursor: &mut Cursor<'a>) -> Self {
        let mut shape = Self::default();
        cursor.members(|name, cursor| shape.member(name, cursor));
        shape
    }
}

/// One value as it is written, whatever it is; empty where there is none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scalar<'a>(&'a str);

impl<'a> Scalar<'a> {
    /// As it is written.
    pub(crate) const fn get(self) -> &'a str {
        self.0
    }

    /// Whether there is a value that is not `null`.
    pub(crate) fn is_some(self) -> bool {
        !self.0.is_empty() && self.0 != "null"
    }

    /// Whether it is written so, or as a string of it: flags come both ways.
    pub(crate) fn is(self, word: &str) -> bool {
        !self.0.is_empty() && self.0.trim_matches('"') == word
    }

    /// Its text, for an id or a text: a string as it reads, a number as it is written (so no digit
    /// of a large one is lost). Nothing for anything else and for what is no text.
    #[inline]
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self.0.as_bytes().first()? {
            b'"' => self.decoded(memchr(b'\\', self.0.as_bytes()).is_none()),
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(self.0)),
            _ => None,
        }
    }

    /// A string, decoded; borrowed when nothing in it is escaped.
    #[inline]
    fn decoded(self, plain: bool) -> Option<Cow<'a, str>> {
        if plain {
            self.0.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
        } else {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        }
    }

    /// Its text, unless there is nothing to see in it.
    #[inline]
    pub(crate) fn id(self) -> Option<Cow<'a, str>> {
        let visible = |text: &str| text.as_bytes().first().is_some_and(u8::is_ascii_graphic);
        self.text().filter(|text| visible(text) || !text.trim_start().is_empty())
    }

    /// The same, for keeping.
    pub(crate) fn owned(self) -> Option<String> {
        self.id().map(Cow::into_owned)
    }

    /// A whole number, or a string of one.
    pub(crate) fn integer(self) -> Option<i64> {
        self.text()?.trim().parse().ok()
    }

    /// A number as it is written, or a string of one.
    pub(crate) fn number(self) -> Option<String> {
        let text = self.text()?;
        let text = text.trim();
        text.parse::<f64>().is_ok_and(f64::is_finite).then(|| text.to_owned())
    }

    /// Its beginning, for reading it.
    pub(crate) const fn cursor(self) -> Cursor<'a> {
        Cursor::new(self.0)
    }

    /// The object that it is, if it is one.
    pub(crate) fn object<T: Shape<'a>>(self) -> Option<T> {
        let mut cursor = self.cursor();
        (cursor.peek() == b'{').then(|| T::of(&mut cursor))
    }

    /// The list that it is, if it is one.
    pub(crate) fn list<T: Read<'a>>(self) -> List<'a, T> {
        List::of(&mut self.cursor())
    }

    /// The member of this name, if it is an object that has it.
    pub(crate) fn member(self, name: &str) -> Self {
        self.cursor().find(name)
    }
}

impl<'a> Read<'a> for Scalar<'a> {
    fn read(&mut self, cursor: &mut Cursor<'a>) {
        *self = cursor.value();
    }
}

/// The object in `json`, if that is JSON throughout and nothing else.
pub(crate) fn object<'a, T: Shape<'a>>(json: &'a str) -> Option<T> {
    let raw: &RawValue = serde_json::from_str(json).ok()?;
    Scalar(raw.get()).object()
}

/// An object, or nothing when it is anything else.
pub(crate) struct Object<T>(pub(crate) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'a, T: Shape<'a>> Read<'a> for Object<T> {
    fn read(&mut self, cursor: &mut Cursor<'a>) {
        if cursor.peek() == b'{' {
            let object = self.0.insert(T::default());
            cursor.members(|name, cursor| object.member(name, cursor));
        } else {
            cursor.value();
            self.0 = None;
        }
    }
}

/// An object of a list, with how it is written: what cannot be used is kept so.
#[derive(Default)]
pub(crate) struct Element<'a, T> {
    pub(crate) raw: Scalar<'a>,
    object: Object<T>,
}

impl<T> Element<'_, T> {
    pub(crate) const fn object(&self) -> Option<&T> {
        self.object.0.as_ref()
    }
}

impl<'a, T: Shape<'a>> Read<'a> for Element<'a, T> {
    fn read(&mut self, cursor: &mut Cursor<'a>) {
        self.raw = cursor.with_raw(|cursor| self.object.read(cursor)).0;
    }
}

/// The elements of a list; none when it is anything else.
pub(crate) struct List<'a, T = Scalar<'a>> {
    elements: Vec<T>,
    /// Whether it had more than [`ELEMENTS_MAX`].
    pub(crate) cut: bool,
    raw: Scalar<'a>,
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self { elements: Vec::new(), cut: false, raw: Scalar::default() }
    }
}

impl<T> List<'_, T> {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.elements.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is something that is neither a list nor `null`.
    pub(crate) fn is_other(&self) -> bool {
        self.raw.is_some() && !self.raw.get().starts_with('[')
    }
}

impl<'a, T: Read<'a>> Read<'a> for List<'a, T> {
    fn read(&mut self, cursor: &mut Cursor<'a>) {
        let (elements, cut) = (&mut self.elements, &mut self.cut);
        let (raw, _) = cursor.with_raw(|cursor| {
            elements.clear();
            cursor.elements(|cursor| {
                if elements.len() < ELEMENTS_MAX && make_room(elements) {
                    elements.push(T::default());
                    if let Some(element) = elements.last_mut() {
                        element.read(cursor);
                    }
                } else {
                    *cut = true;
                }
            })
        });
        self.raw = raw;
    }
}

/// Makes room for one more, and says whether there is. A list of a webhook that is not short is
/// mostly long, and to move what is in it costs more than to have room for four times as much. The
/// compiler sees that a push right after this never grows the list, and leaves that path out.
#[inline]
pub(crate) fn make_room<T>(list: &mut Vec<T>) -> bool {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() * 3);
    }
    list.try_reserve(1).is_ok()
}

/// How many bytes there are before the first quote or backslash; all of them where there is none.
/// Most strings of a webhook are short, and eight bytes at a time is then faster than what is made
/// for long ones.
fn quote_or_escape(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const SHORT: usize = 32;
    /// A high bit at the first byte of `word` that is `byte`, and maybe at some after it.
    const fn marks(word: u64, byte: u8) -> u64 {
        let zeroed = word ^ u64::from_ne_bytes([byte; 8]);
        zeroed.wrapping_sub(ONES) & !zeroed & HIGH
    }
    let short = bytes.get(..SHORT).unwrap_or(bytes);
    let (words, rest) = short.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = marks(word, b'"') | marks(word, b'\\');
        if found != 0 {
            return index * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let passed = short.len() - rest.len();
    let after = bytes.get(passed..).unwrap_or_default();
    passed + memchr2(b'"', b'\\', after).unwrap_or(after.len())
}

/// Declares a [`Shape`] whose members have the names of its fields, or the name that is given.
macro_rules! shape {
    ($(#[$doc:meta])* $vis:vis struct $name:ident<'a> { $($(#[$field_doc:meta])* $field:ident $(as $member:literal)?: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        #[allow(clippy::struct_field_names, reason = "the names are Meta's")]
        $vis struct $name<'a> { $($(#[$field_doc])* $vis $field: $type),* }

        impl<'a> $crate::json::Shape<'a> for $name<'a> {
            fn member(&mut self, name: &str, cursor: &mut $crate::json::Cursor<'a>) {
                match name {
                    $($crate::json::member_name!($field $($member)?) => $crate::json::Read::read(&mut self.$field, cursor),)*
                    _ => {}
                }
            }
        }
    };
}

macro_rules! member_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $member:literal) => {
        $member
    };
}
pub(crate) use {member_name, shape};

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
