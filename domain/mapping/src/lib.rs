//! `#[derive(Mapped)]`: the data map of a stored type, from what each of its fields says of itself.
//!
//! ```text
//! #[derive(Serialize, Deserialize, Mapped)]
//! #[data(purpose = "deliver", basis = "contract", keep = "message")]
//! struct Note {
//!     #[data(id)]
//!     id: NoteId,
//!     #[data(content)]
//!     text: Pii<String>,
//!     #[data(parts)]            // what it is made of says it
//!     delivery: Delivery,
//!     #[data(money, keep = "spending")]
//!     cost: Cost,
//! }
//! ```
//!
//! A type that is part of several others says `#[data(part)]` instead of purpose, basis and class: it has those
//! of what holds it. A field without `#[data(…)]` does not compile, nor does one whose type is not mapped. Names
//! are those of the JSON, as serde's attributes make them.

mod attributes;
mod names;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, Result, parse_macro_input};

use attributes::{OfField, OfType, Serde};
use names::Case;

/// Derives `Mapped`: see the crate.
#[proc_macro_derive(Mapped, attributes(data))]
pub fn mapped(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn derive(input: &DeriveInput) -> Result<Tokens> {
    let serde = Serde::read(&input.attrs)?;
    let shape = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let inner = &fields.unnamed[0].ty;
                quote!(<#inner as ::iassistance_domain::map::Mapped>::shape())
            }
            Fields::Named(fields) => {
                let fields = named(fields.named.iter(), serde.rename_all, None)?;
                record(input, &fields)?
            }
            other => return Err(Error::new(other.span(), "a stored type has named fields, or is one value")),
        },
        Data::Enum(data)
            if data.variants.iter().all(|variant| variant.fields.is_empty()) && serde.tag.is_none() =>
        {
            quote!(::iassistance_domain::map::Shape::Leaf)
        }
        Data::Enum(data) => {
            let fields = variants(data, &serde)?;
            record(input, &fields)?
        }
        Data::Union(data) => return Err(Error::new(data.union_token.span(), "a union is not stored")),
    };
    let (name, (generics, types, bounds)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        impl #generics ::iassistance_domain::map::Mapped for #name #types #bounds {
            fn shape() -> ::iassistance_domain::map::Shape { #shape }
        }
    })
}

fn record(input: &DeriveInput, fields: &[Tokens]) -> Result<Tokens> {
    let said = OfType::read(input)?.tokens();
    let name = input.ident.to_string();
    Ok(quote!({
        fn of_type() -> ::iassistance_domain::map::Type {
            ::iassistance_domain::map::Type { name: #name, said: #said, fields: ::std::vec![#(#fields),*] }
        }
        ::iassistance_domain::map::Shape::Record(of_type)
    }))
}

fn named<'a>(
    fields: impl Iterator<Item = &'a Field>,
    case: Option<Case>,
    variant: Option<&str>,
) -> Result<Vec<Tokens>> {
    let mut all = Vec::new();
    for field in fields {
        let serde = Serde::read(&field.attrs)?;
        if serde.skip {
            continue;
        }
        let rust = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let rust = rust.trim_start_matches("r#").to_owned();
        let name =
            serde.rename.clone().unwrap_or_else(|| case.map_or(rust.clone(), |case| case.of_field(&rust)));
        all.push(one(field, &serde, &name, serde.flatten, variant)?);
    }
    Ok(all)
}

fn one(field: &Field, serde: &Serde, name: &str, flat: bool, variant: Option<&str>) -> Result<Tokens> {
    let said = OfField::read(field)?;
    let shape = if said.leaf || serde.with {
        quote!(::iassistance_domain::map::Shape::Leaf)
    } else {
        let inner = &field.ty;
        quote!(<#inner as ::iassistance_domain::map::Mapped>::shape())
    };
    let (category, purpose, basis, keep) = said.tokens();
    let variant = match variant {
        Some(variant) => quote!(::core::option::Option::Some(#variant)),
        None => quote!(::core::option::Option::None),
    };
    Ok(quote!(::iassistance_domain::map::Field {
        name: #name, variant: #variant, category: #category, purpose: #purpose, basis: #basis, keep: #keep,
        flat: #flat, shape: #shape,
    }))
}

fn variants(data: &syn::DataEnum, serde: &Serde) -> Result<Vec<Tokens>> {
    let mut all: Vec<Tokens> = serde.tag.iter().map(|tag| tag_field(tag)).collect();
    for variant in &data.variants {
        let own = Serde::read(&variant.attrs)?;
        if own.skip {
            continue;
        }
        let rust = variant.ident.to_string();
        let name = own
            .rename
            .clone()
            .unwrap_or_else(|| serde.rename_all.map_or(rust.clone(), |case| case.of_variant(&rust)));
        let outside = serde.tag.is_none() && !serde.untagged;
        match &variant.fields {
            Fields::Unit => {}
            Fields::Named(fields) => {
                let inner =
                    named(fields.named.iter(), own.rename_all.or(serde.rename_all_fields), Some(&name))?;
                match (&serde.content, outside) {
                    (Some(content), _) => all.push(inside(content, &name, &inner)),
                    (None, true) => all.push(inside(&name, &name, &inner)),
                    (None, false) => all.extend(inner),
                }
            }
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let field = &fields.unnamed[0];
                let of = Serde::read(&field.attrs)?;
                let (label, flat) = match (&serde.content, outside) {
                    (Some(content), _) => (content.clone(), false),
                    (None, true) => (name.clone(), false),
                    (None, false) => (name.clone(), true),
                };
                all.push(one(field, &of, &label, flat, Some(&name))?);
            }
            Fields::Unnamed(fields) => {
                return Err(Error::new(fields.span(), "a stored variant has named fields, or is one value"));
            }
        }
    }
    Ok(all)
}

/// The field that says which variant it is.
fn tag_field(tag: &str) -> Tokens {
    quote!(::iassistance_domain::map::Field {
        name: #tag, variant: ::core::option::Option::None,
        category: ::core::option::Option::Some(::iassistance_domain::map::Category::Operational),
        purpose: ::core::option::Option::None, basis: ::core::option::Option::None,
        keep: ::core::option::Option::None, flat: false, shape: ::iassistance_domain::map::Shape::Leaf,
    })
}

/// A field that holds a variant's fields.
fn inside(name: &str, variant: &str, fields: &[Tokens]) -> Tokens {
    quote!(::iassistance_domain::map::Field {
        name: #name, variant: ::core::option::Option::Some(#variant),
        category: ::core::option::Option::None, purpose: ::core::option::Option::None,
        basis: ::core::option::Option::None, keep: ::core::option::Option::None, flat: false,
        shape: ::iassistance_domain::map::Shape::Inline(::std::vec![#(#fields),*]),
    })
}
