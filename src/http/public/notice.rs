//! The notice: what Law 25.326, art. 6 wants people to be told, and the words that the authority requires.

use actix_web::{HttpResponse, web};

use iassistance_domain::account::Language;

use super::providers::in_use;
use super::{Page, Piece, Speaks, Words};
use crate::http::{Problem, State};

/// The words that Resolution 14/2018 of the Agencia de Acceso a la Información Pública requires, in Spanish as it
/// gives them.
pub const LEGEND: &str = "La AGENCIA DE ACCESO A LA INFORMACIÓN PÚBLICA, en su carácter de Órgano de Control de la \
    Ley N° 25.326, tiene la atribución de atender las denuncias y reclamos que interpongan quienes resulten afectados \
    en sus derechos por incumplimiento de las normas vigentes en materia de protección de datos personales.";
/// Law 25.326, art. 14.3, as notices say it.
pub(super) const FREE: &str = "El titular de los datos personales tiene la facultad de ejercer el derecho de acceso a los mismos \
    en forma gratuita a intervalos no inferiores a seis meses, salvo que se acredite un interés legítimo al efecto \
    conforme lo establecido en el artículo 14, inciso 3 de la Ley Nº 25.326.";

pub(super) const TITLE: Words = Words::new("Aviso de privacidad", "Aviso de privacidade", "Privacy notice");

/// Its parts: an id, a heading, and what it says.
pub(super) const PARTS: [(&str, Words, Words); 6] = [
    (
        "purpose",
        Words::new("Para qué se usan los datos", "Para que os dados são usados", "What data is used for"),
        Words::new(
            "Esta plataforma lleva y responde mensajes de WhatsApp, Instagram y Messenger por cuenta de empresas. De \
             quienes escriben guarda cómo se los ubica en el canal, lo que se escribió, y lo que hizo falta para \
             responder; de quienes trabajan con la plataforma, su cuenta y sus accesos. Se usan para prestar ese \
             servicio, para su seguridad y para cumplir la ley: no para publicidad, ni para perfiles, ni para entrenar \
             modelos. No se venden.",
            "Esta plataforma leva e responde mensagens do WhatsApp, Instagram e Messenger por conta de empresas. De quem \
             escreve, guarda como é localizado no canal, o que foi escrito e o que foi preciso para responder; de quem \
             trabalha com a plataforma, sua conta e seus acessos. São usados para prestar esse serviço, para sua \
             segurança e para cumprir a lei: não para publicidade, nem para perfis, nem para treinar modelos. Não são \
             vendidos.",
            "This platform carries and answers messages of WhatsApp, Instagram and Messenger on behalf of businesses. Of \
             those who write it keeps how they are reached on the channel, what was written, and what was needed to \
             answer; of those who work with the platform, their account and their requests. It is used to provide that \
             service, for its security and to keep the law: not for advertising, nor for profiles, nor to train models. \
             It is not sold.",
        ),
    ),
    (
        "file",
        Words::new(
            "Qué registro existe y de quién es",
            "Que registro existe e de quem é",
            "Which file there is, and whose",
        ),
        Words::new(
            "Los datos están en los registros electrónicos de esta plataforma, separados y cifrados por empresa. De los \
             mensajes responde la empresa con la que usted escribió; la plataforma los trata por encargo de ella. De los \
             datos de cuenta y de acceso responde quien opera la plataforma:",
            "Os dados estão nos registros eletrônicos desta plataforma, separados e cifrados por empresa. Pelas mensagens \
             responde a empresa com a qual você escreveu; a plataforma as trata a pedido dela. Pelos dados de conta e de \
             acesso responde quem opera a plataforma:",
            "The data is in this platform's electronic files, apart and encrypted for each business. The business that you \
             wrote with answers for the messages; the platform processes them on its behalf. Whoever operates the platform \
             answers for account and access data:",
        ),
    ),
    (
        "optional",
        Words::new(
            "Si hay obligación de darlos",
            "Se há obrigação de fornecê-los",
            "Whether they must be given",
        ),
        Words::new(
            "Nadie está obligado a escribir ni a dar datos personales por este medio, y menos aún datos sensibles. Puede \
             pedir en cualquier momento que lo atienda una persona, o que no se le escriba más.",
            "Ninguém é obrigado a escrever nem a fornecer dados pessoais por este meio, muito menos dados sensíveis. Você \
             pode pedir a qualquer momento que uma pessoa o atenda, ou que não lhe escrevam mais.",
            "Nobody must write, or give personal data this way, least of all sensitive data. You can ask at any time for a \
             person, or not to be written to again.",
        ),
    ),
    (
        "consequences",
        Words::new(
            "Qué pasa si se dan, si no, o si no son exactos",
            "O que acontece se forem fornecidos, se não, ou se não forem exatos",
            "What follows from giving them, from not giving them, or from wrong ones",
        ),
        Words::new(
            "Con los datos la empresa puede responder lo que le pidió. Sin ellos, o si no son exactos, puede que no pueda \
             hacerlo o que responda mal; no tiene otras consecuencias.",
            "Com os dados a empresa pode responder o que você pediu. Sem eles, ou se não forem exatos, talvez não possa \
             fazê-lo ou responda mal; não há outras consequências.",
            "With them the business can answer what you asked. Without them, or if they are wrong, it may not be able to, \
             or answer wrongly; nothing else follows.",
        ),
    ),
    (
        "rights",
        Words::new("Sus derechos", "Seus direitos", "Your rights"),
        Words::new(
            "Usted puede pedir acceder a sus datos, y que se rectifiquen, actualicen, supriman o sometan a confidencialidad, \
             sin costo. El acceso se responde dentro de los diez días corridos; lo demás, dentro de los cinco días hábiles.",
            "Você pode pedir acesso aos seus dados, e que sejam retificados, atualizados, suprimidos ou mantidos em \
             confidencialidade, sem custo. O acesso é respondido em até dez dias corridos; o restante, em até cinco dias \
             úteis.",
            "You can ask for access to your data, and that it be rectified, updated, suppressed or kept confidential, free \
             of charge. Access is answered within ten calendar days; the rest within five business days.",
        ),
    ),
    (
        "authority",
        Words::new("La autoridad de control", "A autoridade de controle", "The authority"),
        Words::new(
            "La autoridad en materia de protección de datos personales en la Argentina es la Agencia de Acceso a la \
             Información Pública (AAIP).",
            "A autoridade em matéria de proteção de dados pessoais na Argentina é a Agencia de Acceso a la Información \
             Pública (AAIP). Nas palavras que ela exige:",
            "The authority for the protection of personal data in Argentina is the Agencia de Acceso a la Información \
             Pública (AAIP). In the words that it requires:",
        ),
    ),
];

const OPERATOR: Words = Words::new("Responsable", "Responsável", "Operator");
const ADDRESS: Words = Words::new("Domicilio", "Endereço", "Address");
const CONTACT: Words = Words::new("Contacto", "Contato", "Contact");
pub(super) const RECIPIENTS: Words = Words::new("Quién los recibe", "Quem os recebe", "Who receives them");
const RECIPIENTS_SAY: Words = Words::new(
    "La empresa con la que usted escribió y los sistemas que ella conecta; y, para que el servicio funcione, estos \
     proveedores:",
    "A empresa com a qual você escreveu e os sistemas que ela conecta; e, para que o serviço funcione, estes provedores:",
    "The business that you wrote with and the systems that it connects; and, for the service to work, these providers:",
);
const MORE: Words =
    Words::new("Detalle de los proveedores", "Detalhe dos provedores", "More about the providers");
const ASK: Words = Words::new("Hacer un pedido", "Fazer um pedido", "Make a request");
const DELETION: Words = Words::new(
    "Si pidió la eliminación de sus datos por medio de Meta, el estado del pedido está en la dirección que se le dio \
     (/deletions/ y su código).",
    "Se você pediu a exclusão dos seus dados por meio da Meta, o andamento do pedido está no endereço que lhe foi dado \
     (/deletions/ e seu código).",
    "If you asked for the deletion of your data through Meta, how far that is stands at the address that you were given \
     (/deletions/ and your code).",
);
const ORDERS: Words = Words::new(
    "Una autoridad los recibe solo por orden fundada en ley, dentro de su alcance.",
    "Uma autoridade os recebe apenas por ordem fundada em lei, dentro do seu alcance.",
    "An authority receives them only by an order founded in law, within its scope.",
);

/// Adds the page.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/privacy").route(web::get().to(show)));
}

async fn show(state: web::Data<State>, speaks: Speaks) -> Result<HttpResponse, Problem> {
    let language = speaks.0;
    let (_, _, used) = in_use(&state.app.settings).await?;
    let privacy = &state.app.settings.privacy;
    let mut page = state.page(speaks, "/privacy", TITLE);
    for (id, heading, says) in PARTS {
        page.heading(id, heading.to(language)).paragraph(says.to(language));
        match id {
            "purpose" => {
                let names: Vec<_> = used
                    .iter()
                    .map(|provider| {
                        vec![
                            Piece::Strong(&provider.name),
                            Piece::Text(": "),
                            Piece::Text(provider.purpose_in(language)),
                        ]
                    })
                    .collect();
                page.heading("recipients", RECIPIENTS.to(language)).paragraph(RECIPIENTS_SAY.to(language));
                page.list_of(&names)
                    .paragraph(&kept(privacy.model_keeps_days, language))
                    .paragraph(ORDERS.to(language));
                page.line(&[Piece::Link { to: "/privacy/subprocessors", text: MORE.to(language) }]);
            }
            "file" => operator(&mut page, [&privacy.operator, &privacy.address, &privacy.contact], language),
            "rights" => {
                page.line(&[Piece::Link { to: "/privacy/request", text: ASK.to(language) }]);
                page.paragraph(DELETION.to(language)).quotation(Language::Es, FREE);
            }
            "authority" => drop(page.quotation(Language::Es, LEGEND)),
            _ => {}
        }
    }
    Ok(page.respond())
}

fn operator(page: &mut Page, [operator, address, contact]: [&String; 3], language: Language) {
    page.facts([(OPERATOR.to(language), operator.as_str()), (ADDRESS.to(language), address.as_str())]);
    if !contact.is_empty() {
        let shown = contact.trim_start_matches("mailto:");
        page.line(&[
            Piece::Text(CONTACT.to(language)),
            Piece::Text(": "),
            Piece::Link { to: contact, text: shown },
        ]);
    }
}

/// For how long the model's provider keeps what it is sent.
pub(super) fn kept(days: u32, language: Language) -> String {
    match (language, days) {
        (Language::Es, 0) => "El proveedor del modelo no guarda lo que recibe.".to_owned(),
        (Language::Pt, 0) => "O provedor do modelo não guarda o que recebe.".to_owned(),
        (Language::En, 0) => "The model's provider keeps nothing of what it receives.".to_owned(),
        (Language::Es, days) => format!(
            "El proveedor del modelo guarda lo que recibe hasta {days} días, para prevenir abusos, y no entrena con eso."
        ),
        (Language::Pt, days) => format!(
            "O provedor do modelo guarda o que recebe por até {days} dias, para prevenir abusos, e não treina com isso."
        ),
        (Language::En, days) => format!(
            "The model's provider keeps what it receives for up to {days} days, to prevent abuse, and does not train on it."
        ),
    }
}
