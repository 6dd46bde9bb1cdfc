//! Forms on the pages for everybody. They are sent to ourselves as `application/x-www-form-urlencoded`, in the
//! language of their page.

use super::page::{Page, escaped};

/// What is asked for in one place of a form.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Its name in what is sent; it is the field's id too.
    pub name: &'a str,
    /// What it is called.
    pub label: &'a str,
    /// What it takes.
    pub kind: FieldKind<'a>,
    /// What stands in it already.
    pub value: &'a str,
    /// What helps to fill it in; may be empty.
    pub hint: &'a str,
    /// What is wrong with what stands in it; empty: nothing.
    pub wrong: &'a str,
    /// Whether it must be filled in.
    pub required: bool,
}

impl<'a> Field<'a> {
    /// A field that must be filled in, with nothing in it.
    pub const fn new(name: &'a str, label: &'a str, kind: FieldKind<'a>) -> Self {
        Self { name, label, kind, value: "", hint: "", wrong: "", required: true }
    }
}

/// What a field takes.
#[derive(Debug, Clone, Copy)]
pub enum FieldKind<'a> {
    /// A line of so many characters at most. `autocomplete` is HTML's word for it, such as `tel` or `off`.
    Line {
        /// How many characters.
        max: u16,
        /// HTML's autofill word.
        autocomplete: &'a str,
    },
    /// A code of digits that was sent to the person, of so many at most.
    Code {
        /// How many.
        max: u16,
    },
    /// Lines of so many characters at most.
    Text {
        /// How many characters.
        max: u16,
    },
    /// One of these: what is sent, and what is said.
    One(&'a [(&'a str, &'a str)]),
}

impl Page {
    /// A form that is sent by POST to a path of ours, with values that nobody sees, fields, and one button.
    pub fn form(
        &mut self,
        to: &str,
        hidden: &[(&str, &str)],
        fields: &[Field<'_>],
        button: &str,
    ) -> &mut Self {
        self.has_form = true;
        let language = self.language.code();
        self.put(&["<form method=\"post\" action=\"", &escaped(to), "?lang=", language, "\">\n"]);
        for (name, value) in hidden {
            let (name, value) = (escaped(name), escaped(value));
            self.put(&["<input type=\"hidden\" name=\"", &name, "\" value=\"", &value, "\">\n"]);
        }
        for field in fields {
            self.field(field);
        }
        self.put(&["<p><button type=\"submit\">", &escaped(button), "</button></p>\n</form>\n"])
    }

    fn field(&mut self, field: &Field<'_>) {
        let (name, value) = (escaped(field.name), escaped(field.value));
        self.put(&["<p class=\"field\"><label for=\"", &name, "\">", &escaped(field.label), "</label>"]);
        let required = if field.required { " required" } else { "" };
        let wrong = if field.wrong.is_empty() { "" } else { " aria-invalid=\"true\"" };
        let about = if field.hint.is_empty() && field.wrong.is_empty() {
            String::new()
        } else {
            format!(" aria-describedby=\"{name}-about\"")
        };
        let common = format!(" id=\"{name}\" name=\"{name}\"{required}{wrong}{about}");
        let html = match field.kind {
            FieldKind::Line { max, autocomplete } => format!(
                "<input{common} maxlength=\"{max}\" autocomplete=\"{}\" value=\"{value}\">",
                escaped(autocomplete)
            ),
            FieldKind::Code { max } => format!(
                "<input{common} maxlength=\"{max}\" inputmode=\"numeric\" autocomplete=\"one-time-code\" \
                 value=\"{value}\">"
            ),
            // What begins with a line break would lose it.
            FieldKind::Text { max } => {
                format!("<textarea{common} maxlength=\"{max}\" rows=\"5\">\n{value}</textarea>")
            }
            FieldKind::One(choices) => {
                let choices = choices.iter().map(|(sent, said)| {
                    let chosen = if *sent == field.value { " selected" } else { "" };
                    format!("<option value=\"{}\"{chosen}>{}</option>", escaped(sent), escaped(said))
                });
                format!("<select{common}>{}</select>", choices.collect::<String>())
            }
        };
        self.put(&[&html]);
        if !about.is_empty() {
            let words = [field.wrong, field.hint].into_iter().filter(|words| !words.is_empty());
            let words = words.collect::<Vec<_>>().join(" ");
            let class = if wrong.is_empty() { "hint" } else { "wrong" };
            self.put(&["<span class=\"", class, "\" id=\"", &name, "-about\">", &escaped(&words), "</span>"]);
        }
        self.put(&["</p>\n"]);
    }
}
