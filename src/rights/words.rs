//! What people are told in their own language, and what codes mean.

use iassistance_domain::account::Language;
use iassistance_domain::privacy::rights::{RefusalGround, RightKind};

/// The same words in Spanish, Portuguese and English.
type Three = [&'static str; 3];

const fn of(language: Language, words: Three) -> &'static str {
    match language {
        Language::Es => words[0],
        Language::Pt => words[1],
        Language::En => words[2],
    }
}

/// What is asked, in words that follow "your request to".
pub const fn asked(language: Language, kind: RightKind) -> &'static str {
    let words = match kind {
        RightKind::Access => {
            ["conocer sus datos personales", "acessar seus dados pessoais", "see your personal data"]
        }
        RightKind::Rectify => {
            ["corregir sus datos personales", "corrigir seus dados pessoais", "correct your personal data"]
        }
        RightKind::Update => {
            ["actualizar sus datos personales", "atualizar seus dados pessoais", "update your personal data"]
        }
        RightKind::Delete => {
            ["borrar sus datos personales", "apagar seus dados pessoais", "erase your personal data"]
        }
        RightKind::Confidential => [
            "mantener confidenciales sus datos personales",
            "manter confidenciais seus dados pessoais",
            "keep your personal data confidential",
        ],
        RightKind::Object => [
            "que no le responda un asistente automático",
            "não ser respondido por um assistente automático",
            "not be answered by an automatic assistant",
        ],
    };
    of(language, words)
}

/// The message that carries a code.
pub fn code(language: Language, kind: RightKind, code: &str, minutes: u32) -> String {
    let asked = asked(language, kind);
    match language {
        Language::Es => format!(
            "{code} es el código de su pedido para {asked}. Escríbalo en la página del pedido, o responda este \
             mensaje solo con el código. Sirve una vez, durante {minutes} minutos. Si usted no hizo ningún pedido, \
             ignore este mensaje y no le dé el código a nadie: sin él no se entrega ni se cambia nada."
        ),
        Language::Pt => format!(
            "{code} é o código do seu pedido para {asked}. Escreva-o na página do pedido, ou responda a esta \
             mensagem só com o código. Serve uma vez, durante {minutes} minutos. Se você não fez nenhum pedido, \
             ignore esta mensagem e não dê o código a ninguém: sem ele nada é entregue nem mudado."
        ),
        Language::En => format!(
            "{code} is the code of your request to {asked}. Type it on the page of the request, or answer this \
             message with the code alone. It works once, for {minutes} minutes. If you asked for nothing, ignore \
             this message and give the code to nobody: without it nothing is handed out or changed."
        ),
    }
}

/// Why something is not done.
pub const fn ground(language: Language, ground: RefusalGround) -> &'static str {
    let words = match ground {
        RefusalGround::Identity => [
            "No se pudo comprobar quién hace el pedido.",
            "Não foi possível comprovar quem faz o pedido.",
            "It could not be proven who asks.",
        ],
        RefusalGround::DutyToKeep => [
            "Una ley obliga a conservarlo.",
            "Uma lei obriga a conservá-lo.",
            "A law demands that it be kept.",
        ],
        RefusalGround::OthersRights => [
            "Perjudicaría derechos de otras personas.",
            "Prejudicaria direitos de outras pessoas.",
            "It would harm the rights of others.",
        ],
        RefusalGround::NotWrong => {
            ["Lo que se guarda es correcto.", "O que se guarda está correto.", "What is stored is right."]
        }
        RefusalGround::NothingHeld => {
            ["No se guarda nada sobre usted.", "Nada é guardado sobre você.", "Nothing is held about you."]
        }
        RefusalGround::NeededForService => [
            "Se usa porque el servicio acordado lo necesita.",
            "É usado porque o serviço acordado precisa dele.",
            "It is used because the service that was agreed needs it.",
        ],
    };
    of(language, words)
}

/// Codes that stand in what is handed out, and what they mean.
#[rustfmt::skip]
const CODES: [(&str, Three); 42] = [
    ("contact", ["Usted.", "Você.", "You."]),
    ("assistant", ["El asistente automático.", "O assistente automático.", "The automatic assistant."]),
    ("operator", ["Una persona de la empresa.", "Uma pessoa da empresa.", "A person of the business."]),
    ("business", ["La empresa, por otro medio.", "A empresa, por outro meio.", "The business, elsewhere."]),
    ("waiting", ["Espera.", "Espera.", "It waits."]),
    ("other_app", ["Otra aplicación de la empresa.", "Outro aplicativo da empresa.", "Another app of the business."]),
    ("queued", ["Por enviarse.", "A ser enviado.", "To be sent."]),
    ("sent", ["Enviado.", "Enviado.", "Sent."]),
    ("delivered", ["Entregado.", "Entregue.", "Delivered."]),
    ("read", ["Leído.", "Lido.", "Read."]),
    ("failed", ["No salió.", "Não saiu.", "It failed."]),
    ("unknown", ["No se sabe si llegó.", "Não se sabe se chegou.", "It is not known whether it arrived."]),
    ("withdrawn", ["Retirado.", "Retirado.", "Withdrawn."]),
    ("answered", ["Respondido.", "Respondido.", "Answered."]),
    ("superseded", ["Reemplazado por un mensaje más nuevo.", "Substituído por uma mensagem mais nova.", "Taken over by a newer message."]),
    ("taken_over", ["Siguió una persona.", "Uma pessoa continuou.", "A person went on."]),
    ("handed_over", ["Pasó a una persona.", "Passou a uma pessoa.", "Handed to a person."]),
    ("opted_out", ["Usted pidió silencio.", "Você pediu silêncio.", "You asked for silence."]),
    ("opted_in", ["Usted pidió que le escriban.", "Você pediu que lhe escrevam.", "You asked to be written to."]),
    ("marketing_allowed", ["Usted acepta publicidad.", "Você aceita publicidade.", "You allow advertising."]),
    ("marketing_refused", ["Usted rechaza publicidad.", "Você recusa publicidade.", "You refuse advertising."]),
    ("assistant_refused", ["Usted rechaza al asistente automático.", "Você recusa o assistente automático.", "You refuse the automatic assistant."]),
    ("assistant_allowed", ["Usted acepta al asistente automático.", "Você aceita o assistente automático.", "You allow the automatic assistant."]),
    ("under_review", ["En revisión: está en discusión.", "Em revisão: está em discussão.", "Under review: it is in dispute."]),
    ("blocked", ["Bloqueado mientras se decide.", "Bloqueado enquanto se decide.", "Blocked until it is decided."]),
    ("received", ["Recibido.", "Recebido.", "Received."]),
    ("verified", ["Identidad comprobada.", "Identidade comprovada.", "Identity proven."]),
    ("refused", ["Rechazado, con fundamento.", "Recusado, com fundamento.", "Refused, with a ground."]),
    ("lapsed", ["Caducó sin comprobarse la identidad.", "Caducou sem comprovar a identidade.", "Lapsed: identity was not proven."]),
    ("access", ["Conocer sus datos.", "Acessar seus dados.", "Access."]),
    ("rectify", ["Corregir.", "Corrigir.", "Rectify."]),
    ("update", ["Actualizar.", "Atualizar.", "Update."]),
    ("delete", ["Borrar.", "Apagar.", "Erase."]),
    ("confidential", ["Mantener confidencial.", "Manter confidencial.", "Keep confidential."]),
    ("object", ["Oponerse.", "Opor-se.", "Object."]),
    ("meta", ["Meta Platforms, Inc. (WhatsApp, Instagram, Messenger): entrega los mensajes.", "Meta Platforms, Inc. (WhatsApp, Instagram, Messenger): entrega as mensagens.", "Meta Platforms, Inc. (WhatsApp, Instagram, Messenger): carries the messages."]),
    ("model", ["El proveedor de inteligencia artificial que escribe las respuestas.", "O provedor de inteligência artificial que escreve as respostas.", "The provider of artificial intelligence that writes the replies."]),
    ("webhook", ["Un sistema propio de la empresa.", "Um sistema próprio da empresa.", "A system of the business's own."]),
    ("wa_id", ["Su número o identificador en WhatsApp.", "Seu número ou identificador no WhatsApp.", "Your number or id at WhatsApp."]),
    ("scoped_id", ["Su identificador con la página o cuenta.", "Seu identificador com a página ou conta.", "Your id with the page or account."]),
    ("profile_name", ["El nombre que usted usa en el canal.", "O nome que você usa no canal.", "The name that you use on the channel."]),
    ("attributes", ["Notas sobre usted.", "Notas sobre você.", "Notes about you."]),
];

/// What a code means, in a language.
pub fn meaning(language: Language, code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, words)| of(language, *words))
}

/// All codes with what they mean.
pub fn meanings(language: Language) -> impl Iterator<Item = (&'static str, &'static str)> {
    CODES.iter().map(move |(code, words)| (*code, of(language, *words)))
}

/// A part of what is handed out.
pub fn section(language: Language, name: &str) -> &'static str {
    let words = match name {
        "about" => ["Qué es esto", "O que é isto", "What this is"],
        "recipients" => ["Quiénes recibieron datos", "Quem recebeu dados", "Who got data"],
        "kept" => ["Por cuánto tiempo se guarda", "Por quanto tempo se guarda", "For how long it is kept"],
        "contacts" => ["Quién es usted aquí", "Quem você é aqui", "Who you are here"],
        "versions" => ["Qué se corrigió", "O que foi corrigido", "What was corrected"],
        "consents" => ["Qué aceptó o rechazó", "O que aceitou ou recusou", "What you agreed to or refused"],
        "conversations" => ["Conversaciones", "Conversas", "Conversations"],
        "messages" => ["Mensajes", "Mensagens", "Messages"],
        "waiting" => ["Mensajes por salir", "Mensagens a sair", "Messages that wait to leave"],
        "files" => ["Archivos", "Arquivos", "Files"],
        "summaries" => ["Resúmenes", "Resumos", "Summaries"],
        "turns" => ["Cómo se hizo cada respuesta", "Como cada resposta foi feita", "How each reply was made"],
        "events" => ["Registro de hechos", "Registro de fatos", "Log of events"],
        "dead_letters" => ["Lo que no salió", "O que não saiu", "What was given up"],
        "spending" => ["Gastos", "Gastos", "Spending"],
        "requests" => ["Sus pedidos", "Seus pedidos", "Your requests"],
        "meanings" => ["Qué significan los códigos", "O que significam os códigos", "What the codes mean"],
        _ => ["Otros", "Outros", "Others"],
    };
    of(language, words)
}
