//! Texts as they are compared: without case, accents and marks.

/// The words of a text in lower case and without accents; what is neither letter nor digit divides.
pub(crate) fn words(text: &str) -> Vec<String> {
    let folded: String = text.chars().flat_map(char::to_lowercase).filter_map(plain).collect();
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The same as one text, with a space between the words.
pub(crate) fn folded(text: &str) -> String {
    words(text).join(" ")
}

/// A letter without its accent; nothing for an accent on its own.
const fn plain(letter: char) -> Option<char> {
    Some(match letter {
        'á' | 'à' | 'â' | 'ã' | 'ä' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        '\u{300}'..='\u{36f}' | '\'' | '’' => return None,
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_marks_make_no_difference() {
        assert_eq!(folded("  ¡Buenos DÍAS!  "), "buenos dias");
        assert_eq!(folded("Olá, tudo bem?"), "ola tudo bem");
        // An accent of its own, as some phones write it.
        assert_eq!(folded("Cafe\u{301} & n\u{303}u"), "cafe nu");
        assert_eq!(words("don't"), ["dont"]);
        assert!(words("… 👍 …").is_empty());
    }
}
