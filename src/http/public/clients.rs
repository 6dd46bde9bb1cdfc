//! The notice of a client: what its own end users are to be told, drafted from what is known here.

use std::fmt::Write as _;

use iassistance_domain::account::Language;
use iassistance_domain::privacy::{Class, Retention, RetentionRules};

use super::Words;
use super::notice::{FREE, LEGEND, PARTS, RECIPIENTS, TITLE, kept};
use crate::register::InUse;

const PURPOSE: Words = Words::new(
    "lleva y responde mensajes de WhatsApp, Instagram y Messenger con la ayuda de un asistente automático y de \
     personas. De quienes escriben se guarda cómo se los ubica en el canal, lo que se escribió, y lo que hizo falta para \
     responder. Se usa para atenderlos y para cumplir la ley.",
    "leva e responde mensagens do WhatsApp, Instagram e Messenger com a ajuda de um assistente automático e de pessoas. \
     De quem escreve, guarda-se como é localizado no canal, o que foi escrito e o que foi preciso para responder. É usado \
     para atendê-lo e para cumprir a lei.",
    "carries and answers messages of WhatsApp, Instagram and Messenger with the help of an automatic assistant and of \
     people. Of those who write it is kept how they are reached on the channel, what was written, and what was needed to \
     answer. It is used to serve them and to keep the law.",
);
const RECEIVED_BY: Words = Words::new(
    "Para que el servicio funcione, los reciben estos proveedores:",
    "Para que o serviço funcione, estes provedores os recebem:",
    "For the service to work these providers receive them:",
);
const HOW_LONG: Words =
    Words::new("Cuánto tiempo se guardan", "Por quanto tempo são guardados", "How long they are kept");
const FILE: Words = Words::new(
    "Los datos están en los registros electrónicos de",
    "Os dados estão nos registros eletrônicos de",
    "The data is in the electronic files of",
);
/// What only the client can say.
const TO_FILL_IN: Words = Words::new(
    "[domicilio], [contacto para pedidos sobre datos personales]",
    "[endereço], [contato para pedidos sobre dados pessoais]",
    "[address], [contact for requests about personal data]",
);
const ASK: Words = Words::new(
    "Puede pedirlo por el mismo chat o en",
    "Você pode pedir pelo mesmo chat ou em",
    "You can ask for it in the same chat, or at",
);

/// What the notice is made of, beside its words.
pub struct Known<'a> {
    /// What the client is called.
    pub name: &'a str,
    /// The providers that this installation uses.
    pub providers: &'a [InUse],
    /// The platform's periods, and those that the client chose.
    pub periods: (&'a RetentionRules, &'a Retention),
    /// For how long the model's provider keeps what it is sent, days.
    pub model_keeps_days: u32,
    /// Where people may ask without an account.
    pub page: &'a str,
}

/// The notice of a client, as Markdown. What only the client can say stands in brackets.
pub fn notice(known: &Known<'_>, language: Language) -> String {
    let mut text = format!("# {}\n", TITLE.to(language));
    let mut part = |heading: &str, says: &str| {
        // Writing to a text does not fail.
        let _written = write!(text, "\n## {heading}\n\n{says}\n");
    };
    for (id, heading, says) in PARTS {
        let (heading, says, name) = (heading.to(language), says.to(language), known.name);
        match id {
            "purpose" => {
                part(heading, &format!("{name} {}", PURPOSE.to(language)));
                let mut receive = format!("{}\n", RECEIVED_BY.to(language));
                for provider in known.providers {
                    let _written =
                        write!(receive, "\n* {}: {}", provider.name, provider.purpose_in(language));
                }
                let _written = write!(receive, "\n\n{}", kept(known.model_keeps_days, language));
                part(RECIPIENTS.to(language), &receive);
                part(HOW_LONG.to(language), &how_long(known.periods, language));
            }
            "file" => part(heading, &format!("{} {name}, {}.", FILE.to(language), TO_FILL_IN.to(language))),
            "rights" => {
                part(heading, &format!("{says} {} {}.\n\n> {FREE}", ASK.to(language), known.page));
            }
            "authority" => part(heading, &format!("{says}\n\n> {LEGEND}")),
            _ => part(heading, says),
        }
    }
    text
}

fn how_long((rules, chosen): (&RetentionRules, &Retention), language: Language) -> String {
    let days = |class| rules.days(chosen, class).unwrap_or_default();
    let (messages, silent) = (days(Class::Message), days(Class::Contact));
    match language {
        Language::Es => format!(
            "Los mensajes, {messages} días; todo lo demás de una persona, hasta {silent} días después de su último mensaje, \
             salvo lo que la ley obligue a conservar."
        ),
        Language::Pt => format!(
            "As mensagens, {messages} dias; todo o restante de uma pessoa, até {silent} dias depois da sua última mensagem, \
             salvo o que a lei obrigue a conservar."
        ),
        Language::En => format!(
            "Messages, {messages} days; all else of a person, up to {silent} days after their last message, but for what the \
             law obliges to keep."
        ),
    }
}
