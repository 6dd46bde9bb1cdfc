//! How serde writes names.

/// What `rename_all` says.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    Snake,
    Lower,
    Kebab,
    Camel,
}

impl Case {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "snake_case" => Some(Self::Snake),
            "lowercase" => Some(Self::Lower),
            "kebab-case" => Some(Self::Kebab),
            "camelCase" => Some(Self::Camel),
            _ => None,
        }
    }

    pub(crate) fn of_field(self, name: &str) -> String {
        match self {
            Self::Snake | Self::Lower => name.to_owned(),
            Self::Kebab => name.replace('_', "-"),
            Self::Camel => {
                let mut upper = false;
                let mut out = String::with_capacity(name.len());
                for letter in name.chars() {
                    match letter {
                        '_' => upper = true,
                        letter if std::mem::take(&mut upper) => out.extend(letter.to_uppercase()),
                        letter => out.push(letter),
                    }
                }
                out
            }
        }
    }

    pub(crate) fn of_variant(self, name: &str) -> String {
        let mut snake = String::with_capacity(name.len() + 4);
        for (place, letter) in name.char_indices() {
            if place > 0 && letter.is_uppercase() {
                snake.push('_');
            }
            snake.extend(letter.to_lowercase());
        }
        match self {
            Self::Snake => snake,
            Self::Lower => name.to_lowercase(),
            Self::Kebab => snake.replace('_', "-"),
            Self::Camel => Self::Camel.of_field(&snake),
        }
    }
}
