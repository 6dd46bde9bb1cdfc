//! What mails say, in Spanish, Portuguese and English: plain text alone.
//!
//! What people choose (names, reasons) is shown so that it cannot pass for more: on one line, cut short, and
//! without anything that a mail program makes a link of.

use iassistance_domain::Pii;
use iassistance_domain::account::Language;
use iassistance_domain::pii::Deliver;
use url::Url;

use super::Recipient;

/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 80;
/// Characters of a reason that are shown.
const REASON_CHARS_MAX: usize = 500;

/// A mail that the platform writes.
pub enum Letter<'a> {
    /// Somebody is invited.
    Invitation {
        /// By whom, if by a person.
        by: Option<&'a Pii<String>>,
        /// To which tenant or agency; nothing for the platform itself.
        place: Option<&'a str>,
        /// Where to accept.
        link: &'a Url,
        /// How long that works, days.
        days: u64,
    },
    /// They asked to set their password anew.
    PasswordReset {
        /// Where.
        link: &'a Url,
        /// How long that works, minutes.
        minutes: u64,
    },
    /// They want to be reached at this address from now on.
    EmailChange {
        /// Where to confirm it.
        link: &'a Url,
        /// How long that works, minutes.
        minutes: u64,
    },
    /// Their account was signed in to on a device that it had not been signed in to on before.
    NewDevice {
        /// What the browser calls itself.
        agent: &'a str,
        /// From which address.
        address: &'a Pii<String>,
        /// Where their sessions are.
        link: &'a Url,
    },
    /// What proves who they are was changed: password, address or second factors.
    CredentialsChanged {
        /// Where their sessions are.
        link: &'a Url,
    },
    /// The time that the law gives for what somebody asked about their own data passes.
    RightDue {
        /// Which tenant.
        tenant: &'a str,
        /// Which case: an id.
        case: &'a str,
        /// How much of the time is over, per cent.
        percent: u8,
        /// When it is due.
        due_at: &'a str,
        /// Where it is shown.
        link: &'a Url,
    },
    /// The platform asks for, or has, a look into their tenant's content.
    BreakGlass {
        /// Which tenant.
        tenant: &'a str,
        /// Why.
        reason: &'a Pii<String>,
        /// For how long, minutes.
        minutes: u64,
        /// Whether it is open: else it is asked for.
        opened: bool,
        /// Where it is shown.
        link: &'a Url,
    },
    /// Somebody is still to be told of an incident, and the time for it runs.
    IncidentClock {
        /// Which incident.
        incident: &'a str,
        /// Who is to be told.
        party: &'a str,
        /// How much of the time is over, percent.
        share: u8,
        /// Where it is shown.
        link: &'a Url,
    },
}

impl Letter<'_> {
    /// How long what it leads to works, milliseconds, if it ends.
    pub(super) fn lasts_ms(&self) -> Option<u64> {
        match self {
            Self::Invitation { days, .. } => Some(days.saturating_mul(24 * 3_600_000)),
            Self::PasswordReset { minutes, .. } | Self::EmailChange { minutes, .. } => {
                Some(minutes.saturating_mul(60_000))
            }
            Self::NewDevice { .. }
            | Self::CredentialsChanged { .. }
            | Self::BreakGlass { .. }
            | Self::RightDue { .. }
            | Self::IncidentClock { .. } => None,
        }
    }

    /// Subject and text for `to`, from the platform of that name.
    pub(super) fn write(&self, to: &Recipient, platform: &str) -> (String, String) {
        let language = to.language;
        let (subject, body) = match self {
            Self::Invitation { by, place, link, days } => {
                let by = by.map(|name| shown(name.reveal(Deliver), NAME_CHARS_MAX));
                let place = place.map_or_else(|| platform.to_owned(), |name| shown(name, NAME_CHARS_MAX));
                invitation(language, platform, by.as_deref(), &place, link, *days)
            }
            Self::PasswordReset { link, minutes } => password_reset(language, platform, link, *minutes),
            Self::EmailChange { link, minutes } => email_change(language, platform, link, *minutes),
            Self::NewDevice { agent, address, link } => {
                let agent = shown(agent, NAME_CHARS_MAX);
                new_device(language, platform, &agent, address.reveal(Deliver), link)
            }
            Self::CredentialsChanged { link } => credentials_changed(language, platform, link),
            Self::RightDue { tenant, case, percent, due_at, link } => {
                let tenant = shown(tenant, NAME_CHARS_MAX);
                right_due(language, platform, &tenant, (case, *percent, due_at), link)
            }
            Self::IncidentClock { incident, party, share, link } => {
                incident_clock(language, platform, incident, party, *share, link)
            }
            Self::BreakGlass { tenant, reason, minutes, opened, link } => {
                let tenant = shown(tenant, NAME_CHARS_MAX);
                let reason = shown(reason.reveal(Deliver), REASON_CHARS_MAX);
                break_glass(
                    language,
                    platform,
                    &Look { tenant, reason, minutes: *minutes, opened: *opened, link },
                )
            }
        };
        let name = shown(to.name.reveal(Deliver), NAME_CHARS_MAX);
        let greeting = match (language, name.is_empty()) {
            (Language::Es, false) => format!("Hola, {name}:"),
            (Language::Es, true) => "Hola:".to_owned(),
            (Language::Pt, false) => format!("Olá, {name}!"),
            (Language::Pt, true) => "Olá!".to_owned(),
            (Language::En, false) => format!("Hello {name},"),
            (Language::En, true) => "Hello,".to_owned(),
        };
        (subject, format!("{greeting}\n\n{body}\n\n{platform}\n"))
    }
}

/// On one line, cut short, and with nothing in it that becomes a link.
fn shown(text: &str, chars_max: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    let mut characters = text.chars().filter(|character| !is_odd(*character)).take(chars_max).peekable();
    while let Some(character) = characters.next() {
        let followed = characters.peek().is_some_and(|next| next.is_alphanumeric());
        out.push(match character {
            // A full stop within a word makes it the name of a host.
            '.' if followed => '\u{2024}',
            '@' => '\u{ff20}',
            '/' | '\\' => '\u{2215}',
            other => other,
        });
    }
    out
}

/// Controls, and what turns the direction of writing.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn invitation(
    language: Language,
    platform: &str,
    by: Option<&str>,
    place: &str,
    link: &Url,
    days: u64,
) -> (String, String) {
    match language {
        Language::Es => {
            let who =
                by.map_or_else(|| "Recibiste una invitación".to_owned(), |by| format!("{by} te invitó"));
            (
                format!("Invitación a {platform}"),
                format!(
                    "{who} a unirte a {place}.\n\nPara aceptar, abrí este enlace en los próximos {days} días:\n{link}\n\nSi no esperabas esta invitación, ignorá este mensaje."
                ),
            )
        }
        Language::Pt => {
            let who =
                by.map_or_else(|| "Você recebeu um convite".to_owned(), |by| format!("{by} convidou você"));
            (
                format!("Convite para {platform}"),
                format!(
                    "{who} para participar de {place}.\n\nPara aceitar, abra este link nos próximos {days} dias:\n{link}\n\nSe você não esperava este convite, ignore esta mensagem."
                ),
            )
        }
        Language::En => {
            let who = by.map_or_else(|| "You have been invited".to_owned(), |by| format!("{by} invited you"));
            (
                format!("Invitation to {platform}"),
                format!(
                    "{who} to join {place}.\n\nTo accept, open this link within {days} days:\n{link}\n\nIf you did not expect this invitation, ignore this message."
                ),
            )
        }
    }
}

fn password_reset(language: Language, platform: &str, link: &Url, minutes: u64) -> (String, String) {
    match language {
        Language::Es => (
            format!("Nueva contraseña en {platform}"),
            format!(
                "Alguien pidió una contraseña nueva para tu cuenta.\n\nPara elegirla, abrí este enlace en los próximos {minutes} minutos. Sirve una sola vez:\n{link}\n\nSi no fuiste vos, ignorá este mensaje: tu contraseña sigue siendo la misma."
            ),
        ),
        Language::Pt => (
            format!("Nova senha em {platform}"),
            format!(
                "Alguém pediu uma nova senha para a sua conta.\n\nPara escolhê-la, abra este link nos próximos {minutes} minutos. Ele serve uma única vez:\n{link}\n\nSe não foi você, ignore esta mensagem: a sua senha continua a mesma."
            ),
        ),
        Language::En => (
            format!("A new password at {platform}"),
            format!(
                "Somebody asked for a new password for your account.\n\nTo choose it, open this link within {minutes} minutes. It works once:\n{link}\n\nIf it was not you, ignore this message: your password stays as it is."
            ),
        ),
    }
}

fn email_change(language: Language, platform: &str, link: &Url, minutes: u64) -> (String, String) {
    match language {
        Language::Es => (
            format!("Confirmá tu dirección en {platform}"),
            format!(
                "Pediste usar esta dirección para tu cuenta.\n\nPara confirmarla, abrí este enlace en los próximos {minutes} minutos. Sirve una sola vez:\n{link}\n\nSi no fuiste vos, ignorá este mensaje."
            ),
        ),
        Language::Pt => (
            format!("Confirme o seu endereço em {platform}"),
            format!(
                "Você pediu para usar este endereço na sua conta.\n\nPara confirmá-lo, abra este link nos próximos {minutes} minutos. Ele serve uma única vez:\n{link}\n\nSe não foi você, ignore esta mensagem."
            ),
        ),
        Language::En => (
            format!("Confirm your address at {platform}"),
            format!(
                "You asked to use this address for your account.\n\nTo confirm it, open this link within {minutes} minutes. It works once:\n{link}\n\nIf it was not you, ignore this message."
            ),
        ),
    }
}

fn new_device(
    language: Language,
    platform: &str,
    agent: &str,
    address: &str,
    link: &Url,
) -> (String, String) {
    let unknown = match language {
        Language::Es => "un navegador desconocido",
        Language::Pt => "um navegador desconhecido",
        Language::En => "an unknown browser",
    };
    let agent = if agent.is_empty() { unknown } else { agent };
    match language {
        Language::Es => (
            format!("Ingreso a {platform} desde un dispositivo nuevo"),
            format!(
                "Se ingresó a tu cuenta desde un dispositivo nuevo: {agent}, dirección {address}.\n\nSi fuiste vos, no hace falta hacer nada. Si no, cerrá esa sesión y cambiá tu contraseña:\n{link}"
            ),
        ),
        Language::Pt => (
            format!("Acesso a {platform} em um dispositivo novo"),
            format!(
                "A sua conta foi acessada em um dispositivo novo: {agent}, endereço {address}.\n\nSe foi você, não é preciso fazer nada. Se não foi, encerre essa sessão e troque a sua senha:\n{link}"
            ),
        ),
        Language::En => (
            format!("Sign-in to {platform} on a new device"),
            format!(
                "Your account was signed in to on a new device: {agent}, address {address}.\n\nIf it was you, there is nothing to do. If not, end that session and change your password:\n{link}"
            ),
        ),
    }
}

fn incident_clock(
    language: Language,
    platform: &str,
    incident: &str,
    party: &str,
    share: u8,
    link: &Url,
) -> (String, String) {
    match language {
        Language::Es => (
            format!("{platform}: el plazo de un incidente corre ({share} %)"),
            format!(
                "Del plazo para avisar del incidente {incident} ({party}) pasó el {share} %, y nadie anotó que se avisó.\n\n\
                 {link}"
            ),
        ),
        Language::Pt => (
            format!("{platform}: o prazo de um incidente corre ({share} %)"),
            format!(
                "Do prazo para avisar do incidente {incident} ({party}) passaram {share} %, e ninguém anotou que o aviso foi \
                 dado.\n\n{link}"
            ),
        ),
        Language::En => (
            format!("{platform}: the clock of an incident runs ({share}%)"),
            format!(
                "Of the time to tell of the incident {incident} ({party}) {share}% are over, and nobody noted that it was \
                 told.\n\n{link}"
            ),
        ),
    }
}

fn credentials_changed(language: Language, platform: &str, link: &Url) -> (String, String) {
    match language {
        Language::Es => (
            format!("Cambió la forma de ingresar a {platform}"),
            format!(
                "Cambió algo con lo que ingresás a tu cuenta: la contraseña, la dirección o el segundo factor.\n\nSi fuiste vos, no hace falta hacer nada. Si no, pedí una contraseña nueva y avisá a quien administra tu cuenta:\n{link}"
            ),
        ),
        Language::Pt => (
            format!("A forma de acessar {platform} mudou"),
            format!(
                "Mudou algo com que você acessa a sua conta: a senha, o endereço ou o segundo fator.\n\nSe foi você, não é preciso fazer nada. Se não foi, peça uma nova senha e avise quem administra a sua conta:\n{link}"
            ),
        ),
        Language::En => (
            format!("How you sign in to {platform} has changed"),
            format!(
                "Something that you sign in with was changed: your password, your address or your second factor.\n\nIf it was you, there is nothing to do. If not, ask for a new password and tell whoever administers your account:\n{link}"
            ),
        ),
    }
}

/// A look into a tenant's content.
struct Look<'a> {
    tenant: String,
    reason: String,
    minutes: u64,
    opened: bool,
    link: &'a Url,
}

fn right_due(
    language: Language,
    platform: &str,
    tenant: &str,
    (case, percent, due_at): (&str, u8, &str),
    link: &Url,
) -> (String, String) {
    match language {
        Language::Es => (
            format!("{platform}: un pedido sobre datos personales vence"),
            format!(
                "Pasó el {percent} % del plazo legal de un pedido sobre datos personales de {tenant}.\n\nPedido: {case}\nVence: {due_at}\n\nNo responder a tiempo es una infracción grave:\n{link}"
            ),
        ),
        Language::Pt => (
            format!("{platform}: um pedido sobre dados pessoais vence"),
            format!(
                "Passou {percent} % do prazo legal de um pedido sobre dados pessoais de {tenant}.\n\nPedido: {case}\nVence: {due_at}\n\nNão responder a tempo é uma infração grave:\n{link}"
            ),
        ),
        Language::En => (
            format!("{platform}: a request about personal data falls due"),
            format!(
                "{percent} % of the legal time for a request about personal data of {tenant} is over.\n\nRequest: {case}\nDue: {due_at}\n\nNot answering in time is a grave infringement:\n{link}"
            ),
        ),
    }
}

fn break_glass(language: Language, platform: &str, look: &Look<'_>) -> (String, String) {
    let Look { tenant, reason, minutes, opened, link } = look;
    match language {
        Language::Es => {
            let what = if *opened { "puede leer ahora" } else { "pidió leer" };
            (
                format!("{platform}: acceso al contenido de {tenant}"),
                format!(
                    "La operación de {platform} {what} el contenido de {tenant}, durante {minutes} minutos como máximo.\n\nMotivo: {reason}\n\nCada acceso queda en tu registro de auditoría:\n{link}"
                ),
            )
        }
        Language::Pt => {
            let what = if *opened { "pode ler agora" } else { "pediu para ler" };
            (
                format!("{platform}: acesso ao conteúdo de {tenant}"),
                format!(
                    "A operação de {platform} {what} o conteúdo de {tenant}, por no máximo {minutes} minutos.\n\nMotivo: {reason}\n\nCada acesso fica no seu registro de auditoria:\n{link}"
                ),
            )
        }
        Language::En => {
            let what = if *opened { "may now read" } else { "asked to read" };
            (
                format!("{platform}: access to the content of {tenant}"),
                format!(
                    "The operators of {platform} {what} the content of {tenant}, for {minutes} minutes at most.\n\nReason: {reason}\n\nEvery access is in your audit log:\n{link}"
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Url {
        Url::parse("https://desk.example/accept?token=abc").unwrap()
    }

    fn to(language: Language, name: &str) -> Recipient {
        Recipient { email: Pii::new("ada@example.com".to_owned()), name: Pii::new(name.to_owned()), language }
    }

    #[test]
    fn every_letter_is_there_in_every_language() {
        let (link, text, name) = (url(), Pii::new("a reason".to_owned()), Pii::new("Eva".to_owned()));
        let letters = [
            Letter::Invitation { by: Some(&name), place: Some("Acme S.A."), link: &link, days: 7 },
            Letter::Invitation { by: None, place: None, link: &link, days: 7 },
            Letter::PasswordReset { link: &link, minutes: 30 },
            Letter::EmailChange { link: &link, minutes: 30 },
            Letter::NewDevice { agent: "Firefox, Linux", address: &text, link: &link },
            Letter::NewDevice { agent: "", address: &text, link: &link },
            Letter::CredentialsChanged { link: &link },
            Letter::RightDue {
                tenant: "Acme",
                case: "cas_1",
                percent: 80,
                due_at: "2026-12-01",
                link: &link,
            },
            Letter::BreakGlass { tenant: "Acme", reason: &text, minutes: 60, opened: true, link: &link },
            Letter::BreakGlass { tenant: "Acme", reason: &text, minutes: 60, opened: false, link: &link },
        ];
        let mut seen = std::collections::BTreeSet::new();
        for letter in &letters {
            for language in [Language::Es, Language::Pt, Language::En] {
                let (subject, text) = letter.write(&to(language, "Ada"), "Desk");
                assert!(subject.contains("Desk") && text.contains("Ada") && text.contains("Desk"));
                assert!(text.contains(link.as_str()), "{text}");
                assert!(!subject.contains("abc"), "a link is in the text alone");
                assert!(seen.insert(text), "each is another");
            }
        }
        assert_eq!(seen.len(), 3 * letters.len());
    }

    #[test]
    fn a_name_cannot_pass_for_more() {
        let (link, evil) =
            (url(), Pii::new("Eva\r\n\r\nhttps://evil.example/x \u{202e}me@evil.example".to_owned()));
        let letter =
            Letter::Invitation { by: Some(&evil), place: Some("www.evil.example/pay"), link: &link, days: 7 };
        let (_, text) = letter.write(&to(Language::En, "Ada\nhttp://evil.example"), "Desk");
        assert!(!text.contains("evil.example"), "{text}");
        assert!(!text.contains("//evil") && !text.contains("me@") && !text.contains('\u{202e}'), "{text}");
        assert_eq!(text.matches("https://").count(), 1, "the link: {text}");
        assert_eq!(text.lines().count(), 10, "{text}");
        assert_eq!(shown("Acme S.A. de C.V.", 80), "Acme S\u{2024}A. de C\u{2024}V.");
        assert_eq!(shown(&"a".repeat(100), 80).chars().count(), 80);
    }
}
