//! What the pages of requests say.

use iassistance_domain::account::Language;
use iassistance_domain::privacy::rights::{CaseState, RightKind};

use super::Words;

macro_rules! words {
    ($($name:ident: $es:literal, $pt:literal, $en:literal;)*) => {
        $(pub(super) const $name: Words = Words::new($es, $pt, $en);)*
    };
}

words! {
    TITLE:
        "Ejercer sus derechos sobre sus datos",
        "Exercer seus direitos sobre seus dados",
        "Use your rights over your data";
    STATUS_TITLE: "Su pedido", "Seu pedido", "Your request";
    DATA_TITLE: "Sus datos", "Seus dados", "Your data";
    INTRODUCTION:
        "Si escribe con una empresa que usa esta plataforma, aquí puede pedir que le muestre, corrija o borre lo que guarda sobre usted. Le enviaremos un código en esa conversación, para comprobar que el pedido es suyo.",
        "Se você conversa com uma empresa que usa esta plataforma, aqui pode pedir que ela mostre, corrija ou apague o que guarda sobre você. Enviaremos um código nessa conversa, para comprovar que o pedido é seu.",
        "If you write with a business that uses this platform, you can ask here that it show, correct or erase what it holds about you. We send a code in that conversation, to prove that the request is yours.";
    NO_COST: "Es gratuito.", "É gratuito.", "It is free.";
    WHAT: "Qué pide", "O que você pede", "What you ask";
    WHERE: "Dónde escribe con la empresa", "Onde você conversa com a empresa", "Where you write with the business";
    BUSINESS: "La empresa", "A empresa", "The business";
    BUSINESS_HINT:
        "Su número de WhatsApp con código de país, o el nombre de su página o cuenta.",
        "O número de WhatsApp dela com código do país, ou o nome da página ou conta.",
        "Its WhatsApp number with country code, or the name of its page or account.";
    PERSON: "Usted", "Você", "You";
    PERSON_HINT:
        "En WhatsApp: su número con código de país. En Instagram y Messenger: el identificador que la empresa le indique; pídaselo en la conversación.",
        "No WhatsApp: seu número com código do país. No Instagram e Messenger: o identificador que a empresa lhe indicar; peça-o na conversa.",
        "On WhatsApp: your number with country code. On Instagram and Messenger: the id that the business tells you; ask for it in the conversation.";
    SEND: "Enviar", "Enviar", "Send";
    INCOMPLETE: "Complete todos los campos.", "Preencha todos os campos.", "Fill in every field.";
    TOO_MANY:
        "Llegaron demasiados pedidos. Espere unos minutos y vuelva a enviarlo.",
        "Chegaram pedidos demais. Espere alguns minutos e envie de novo.",
        "Too many requests came in. Wait some minutes and send it again.";
    GONE: "No hay tal pedido, o ya no se muestra.", "Não há tal pedido, ou ele não é mais mostrado.", "There is no such request, or it is shown no more.";
    AGAIN: "Hacer otro pedido", "Fazer outro pedido", "Make another request";
    NUMBER: "Número de pedido", "Número do pedido", "Number of the request";
    CAME: "Recibido", "Recebido", "Received";
    DUE: "Se responde a más tardar", "Responde-se até", "Answered by";
    CODE_SENT:
        "Si la empresa usa esta plataforma y usted escribe con ella desde esa dirección, en un momento recibe un código en la conversación.",
        "Se a empresa usa esta plataforma e você conversa com ela desse endereço, em instantes recebe um código na conversa.",
        "If the business uses this platform and you write with it from that address, a code reaches you in the conversation in a moment.";
    CODE_MISSING:
        "¿No llegó? El canal deja escribirle solo por un tiempo después de su último mensaje: escríbale algo a la empresa y haga el pedido otra vez. También puede pedirlo a la empresa mostrando un documento.",
        "Não chegou? O canal só permite escrever a você por um tempo depois da sua última mensagem: escreva algo à empresa e faça o pedido outra vez. Também pode pedir à empresa mostrando um documento.",
        "Nothing came? The channel lets you be written to only for a while after your last message: write anything to the business and ask again. You can also ask the business itself and show a document.";
    CODE: "Código", "Código", "Code";
    CODE_HINT: "Sirve una vez y por pocos minutos.", "Serve uma vez e por poucos minutos.", "It works once and for a few minutes.";
    PROVE: "Comprobar", "Comprovar", "Prove it";
    WRONG_CODE:
        "Ese código no sirve, o ya no. Revíselo, o haga el pedido otra vez.",
        "Esse código não serve, ou não mais. Confira, ou faça o pedido outra vez.",
        "That code does not count, or no longer. Look at it again, or make the request anew.";
    TO_READ: "Ver todo lo que se guarda sobre usted", "Ver tudo o que se guarda sobre você", "See all that is held about you";
    AS_JSON: "Descargarlo como JSON", "Baixar como JSON", "Download it as JSON";
    FOR_A_WHILE:
        "Estos enlaces sirven por poco tiempo, y solo en este navegador.",
        "Estes links servem por pouco tempo, e só neste navegador.",
        "These links work for a short while, and in this browser alone.";
    STATEMENT: "Qué quiere que se haga", "O que você quer que se faça", "What you want to be done";
    STATEMENT_HINT:
        "Diga qué dato está mal y cómo debe decir. Hasta 2.000 caracteres.",
        "Diga qual dado está errado e como deve ser. Até 2.000 caracteres.",
        "Say what is wrong and what it should say. Up to 2,000 characters.";
    NOTED: "Anotado: la empresa lo lee con su pedido.", "Anotado: a empresa o lê com o seu pedido.", "Noted: the business reads it with your request.";
    AUTHORITY:
        "Puede reclamar ante la Agencia de Acceso a la Información Pública (AAIP).",
        "Você pode reclamar à Agencia de Acceso a la Información Pública (AAIP), da Argentina.",
        "You may complain to the Agencia de Acceso a la Información Pública (AAIP) of Argentina.";
}

/// What is asked, as a choice.
pub(super) const fn kind(language: Language, kind: RightKind) -> &'static str {
    let words = match kind {
        RightKind::Access => Words::new("Conocer mis datos", "Acessar meus dados", "See my data"),
        RightKind::Rectify => Words::new("Corregir un error", "Corrigir um erro", "Correct an error"),
        RightKind::Update => {
            Words::new("Actualizar mis datos", "Atualizar meus dados", "Bring my data up to date")
        }
        RightKind::Delete => Words::new("Borrar mis datos", "Apagar meus dados", "Erase my data"),
        RightKind::Confidential => {
            Words::new("Mantenerlos confidenciales", "Mantê-los confidenciais", "Keep them confidential")
        }
        RightKind::Object => Words::new(
            "Que no me responda un asistente automático",
            "Não ser respondido por um assistente automático",
            "Not be answered by an automatic assistant",
        ),
    };
    words.to(language)
}

/// How far it is, for the person.
pub(super) const fn state(language: Language, state: &CaseState) -> &'static str {
    let words = match state {
        CaseState::Received => Words::new("Recibido.", "Recebido.", "Received."),
        CaseState::Verified => Words::new(
            "Su identidad está comprobada y el pedido está en curso.",
            "Sua identidade está comprovada e o pedido está em curso.",
            "Your identity is proven and the request is under way.",
        ),
        CaseState::Answered { .. } => {
            Words::new("El pedido fue respondido.", "O pedido foi respondido.", "The request was answered.")
        }
        CaseState::Refused { .. } => {
            Words::new("El pedido fue rechazado.", "O pedido foi recusado.", "The request was refused.")
        }
        CaseState::Withdrawn { .. } => {
            Words::new("El pedido fue retirado.", "O pedido foi retirado.", "The request was withdrawn.")
        }
        CaseState::Lapsed { .. } => {
            Words::new("El pedido caducó.", "O pedido caducou.", "The request lapsed.")
        }
    };
    words.to(language)
}
