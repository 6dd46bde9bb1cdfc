//! Messages in a form that Meta approved.
//!
//! Meta: Cloud API, "Template messages".

use iassistance_domain::content::{MediaKind, Template, TemplateComponent, TemplateParameter, TemplatePart};
use iassistance_domain::delivery::DeliveryProblem;
use iassistance_domain::pii::Deliver;
use serde_json::{Value, json};

use crate::send::refused;
use crate::whatsapp::send::{file, location, object_of};

/// The object under `template`.
pub(super) fn object(template: &Template) -> Result<Value, DeliveryProblem> {
    if template.name.trim().is_empty() || template.language.trim().is_empty() {
        return Err(refused(
            "a template needs its name and its language: give both as WhatsApp Manager shows them",
        ));
    }
    let components: Vec<Value> = template.components.iter().map(component).collect::<Result<_, _>>()?;
    Ok(object_of([
        ("name", Some(json!(template.name))),
        ("language", Some(json!({"code": template.language}))),
        ("components", (!components.is_empty()).then_some(Value::Array(components))),
    ]))
}

fn component(component: &TemplateComponent) -> Result<Value, DeliveryProblem> {
    let part = match component.part {
        TemplatePart::Header => "header",
        TemplatePart::Body => "body",
        TemplatePart::Button => "button",
    };
    if component.part == TemplatePart::Button && (component.sub_type.is_none() || component.index.is_none()) {
        return Err(refused("a value for a template's button needs the button's kind and its number from 0"));
    }
    let parameters = component.parameters.iter().map(parameter).collect::<Result<_, _>>()?;
    Ok(object_of([
        ("type", Some(json!(part))),
        ("sub_type", component.sub_type.as_ref().map(|kind| json!(kind))),
        ("index", component.index.map(|index| json!(index.to_string()))),
        ("parameters", Some(Value::Array(parameters))),
    ]))
}

fn parameter(parameter: &TemplateParameter) -> Result<Value, DeliveryProblem> {
    Ok(match parameter {
        TemplateParameter::Text { text, name } => object_of([
            ("type", Some(json!("text"))),
            ("parameter_name", name.as_ref().map(|name| json!(name))),
            ("text", Some(json!(text.reveal(Deliver)))),
        ]),
        TemplateParameter::Payload { payload } => {
            json!({"type": "payload", "payload": payload.reveal(Deliver)})
        }
        TemplateParameter::CouponCode { code } => {
            json!({"type": "coupon_code", "coupon_code": code.reveal(Deliver)})
        }
        TemplateParameter::Currency { fallback, code, amount_1000 } => {
            let amount =
                json!({"fallback_value": fallback.reveal(Deliver), "code": code, "amount_1000": amount_1000});
            json!({"type": "currency", "currency": amount})
        }
        TemplateParameter::DateTime { fallback } => {
            json!({"type": "date_time", "date_time": {"fallback_value": fallback.reveal(Deliver)}})
        }
        TemplateParameter::Media { media } => {
            if !matches!(media.kind, MediaKind::Image | MediaKind::Video | MediaKind::Document) {
                return Err(refused(
                    "a template's header takes a picture, a video or a document: choose one",
                ));
            }
            let (kind, object) = file(media)?;
            json!({"type": kind, kind: object})
        }
        TemplateParameter::Location { place } => json!({"type": "location", "location": location(place)?}),
    })
}
