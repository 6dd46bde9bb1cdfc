//! What attributes say.

use proc_macro2::{Span, TokenStream as Tokens};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, DeriveInput, Error, Field, Ident, LitStr, Result};

use crate::names::Case;

/// What serde is told of a type, a variant or a field, as far as names go.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of serde's own")]
pub(crate) struct Serde {
    pub(crate) rename: Option<String>,
    pub(crate) rename_all: Option<Case>,
    pub(crate) rename_all_fields: Option<Case>,
    pub(crate) tag: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) untagged: bool,
    pub(crate) flatten: bool,
    pub(crate) skip: bool,
    pub(crate) with: bool,
}

impl Serde {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut serde = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| serde.take(&meta))?;
        }
        Ok(serde)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "rename" => self.rename = Some(text(meta)?),
            "rename_all" => self.rename_all = Case::named(&text(meta)?),
            "rename_all_fields" => self.rename_all_fields = Case::named(&text(meta)?),
            "tag" => self.tag = Some(text(meta)?),
            "content" => self.content = Some(text(meta)?),
            "untagged" => self.untagged = true,
            "flatten" => self.flatten = true,
            "skip" => self.skip = true,
            "with" | "serialize_with" => {
                self.with = true;
                text(meta)?;
            }
            _ if meta.input.peek(syn::Token![=]) => {
                text(meta)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn text(meta: &ParseNestedMeta<'_>) -> Result<String> {
    meta.value()?.parse::<LitStr>().map(|text| text.value())
}

const PURPOSES: [&str; 6] = ["deliver", "reply", "tenant_view", "sign_in", "rights", "operate"];
const BASES: [&str; 3] = ["contract", "interest", "obligation"];
const CATEGORIES: [&str; 9] =
    ["id", "identity", "content", "account", "credential", "technical", "operational", "money", "setting"];

/// Purpose, basis and class.
#[derive(Default)]
struct Said {
    purpose: Option<Tokens>,
    basis: Option<Tokens>,
    keep: Option<Tokens>,
}

impl Said {
    /// Takes one of them; says whether it was one.
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<bool> {
        let place = match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("purpose") => (&mut self.purpose, "Use", &PURPOSES[..]),
            Some("basis") => (&mut self.basis, "Basis", &BASES[..]),
            Some("keep") => (&mut self.keep, "Class", &[][..]),
            _ => return Ok(false),
        };
        let (place, of, known) = place;
        let said = meta.value()?.parse::<LitStr>()?;
        let value = said.value();
        if !known.is_empty() && !known.contains(&value.as_str()) {
            return Err(Error::new(said.span(), format!("one of: {}", known.join(", "))));
        }
        let (of, variant) = (Ident::new(of, said.span()), Ident::new(&pascal(&value), said.span()));
        *place = Some(quote!(::iassistance_domain::map::#of::#variant));
        Ok(true)
    }
}

fn option(tokens: Option<&Tokens>) -> Tokens {
    match tokens {
        Some(tokens) => quote!(::core::option::Option::Some(#tokens)),
        None => quote!(::core::option::Option::None),
    }
}

fn pascal(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    });
    words.collect()
}

/// What a type says of itself.
pub(crate) struct OfType(Option<(Tokens, Tokens, Tokens)>);

impl OfType {
    pub(crate) fn read(input: &DeriveInput) -> Result<Self> {
        let (mut said, mut part, mut any) = (Said::default(), false, false);
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("data")) {
            any = true;
            attribute.parse_nested_meta(|meta| {
                if said.take(&meta)? {
                    return Ok(());
                }
                if meta.path.is_ident("part") {
                    part = true;
                    return Ok(());
                }
                Err(meta.error("expected `part`, or `purpose`, `basis` and `keep`"))
            })?;
        }
        let missing = "a stored type says what its fields are kept for: \
            #[data(purpose = \"…\", basis = \"…\", keep = \"…\")], or #[data(part)] if what holds it does";
        match (part, said) {
            (true, _) => Ok(Self(None)),
            (false, Said { purpose: Some(purpose), basis: Some(basis), keep: Some(keep) }) => {
                Ok(Self(Some((purpose, basis, keep))))
            }
            _ if any => Err(Error::new(input.ident.span(), missing)),
            _ => Err(Error::new(Span::call_site(), missing)),
        }
    }

    pub(crate) fn tokens(&self) -> Tokens {
        match &self.0 {
            Some((purpose, basis, keep)) => quote!(::core::option::Option::Some(
                ::iassistance_domain::map::Said { purpose: #purpose, basis: #basis, keep: #keep }
            )),
            None => quote!(::core::option::Option::None),
        }
    }
}

/// What a field says of itself.
pub(crate) struct OfField {
    category: Option<Tokens>,
    said: Said,
    pub(crate) leaf: bool,
}

impl OfField {
    pub(crate) fn read(field: &Field) -> Result<Self> {
        let (mut said, mut category, mut parts, mut leaf) = (Said::default(), None, false, false);
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("data")) {
            attribute.parse_nested_meta(|meta| {
                if said.take(&meta)? {
                    return Ok(());
                }
                let Some(word) = meta.path.get_ident() else { return Err(meta.error("expected one word")) };
                match word.to_string().as_str() {
                    "parts" => parts = true,
                    "leaf" => leaf = true,
                    known if CATEGORIES.contains(&known) => {
                        let variant = Ident::new(&pascal(known), word.span());
                        category = Some(quote!(::iassistance_domain::map::Category::#variant));
                    }
                    _ => return Err(meta.error(format!("one of: parts, {}", CATEGORIES.join(", ")))),
                }
                Ok(())
            })?;
        }
        if category.is_none() && !parts {
            let span = field.ident.as_ref().map_or_else(Span::call_site, Ident::span);
            let missing =
                "a stored field says what it is: #[data(content)], #[data(id)], … or #[data(parts)]";
            return Err(Error::new(span, missing));
        }
        Ok(Self { category, said, leaf })
    }

    pub(crate) fn tokens(&self) -> (Tokens, Tokens, Tokens, Tokens) {
        let Self { category, said, .. } = self;
        let (purpose, basis, keep) = (said.purpose.as_ref(), said.basis.as_ref(), said.keep.as_ref());
        (option(category.as_ref()), option(purpose), option(basis), option(keep))
    }
}
