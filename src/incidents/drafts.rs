//! What is written to each party, to be read and sent by a person; and the file for the authority.

use serde::Serialize;
use serde_json::{Value, json};

use iassistance_domain::account::Language;
use iassistance_domain::id::TenantId;
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::{Incident, Party};

/// A letter to one party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// To whom: `meta`, `clients`, `authority` or `people`.
    pub party: &'static str,
    /// To which client, if to one.
    pub tenant: Option<TenantId>,
    /// Its subject.
    pub subject: String,
    /// What it says.
    pub text: String,
}

/// What a letter says of an incident.
struct Said<'a> {
    incident: &'a Incident,
    language: Language,
}

impl Said<'_> {
    fn fact(&self, text: &iassistance_domain::Pii<String>) -> String {
        let text = text.reveal(Rights).trim();
        let unknown = match self.language {
            Language::Es => "todavía en investigación",
            Language::Pt => "ainda em investigação",
            Language::En => "still being looked into",
        };
        if text.is_empty() { unknown.to_owned() } else { text.to_owned() }
    }

    fn subject(&self) -> String {
        let id = self.incident.id;
        match self.language {
            Language::Es => format!("Incidente de seguridad {id}"),
            Language::Pt => format!("Incidente de segurança {id}"),
            Language::En => format!("Security incident {id}"),
        }
    }

    fn text(&self, people: usize, clients: usize, of_client: bool) -> String {
        let facts = &self.incident.facts;
        let known = self.incident.known_at.to_rfc3339();
        let (from, until) = (self.incident.from.to_rfc3339(), self.incident.until.to_rfc3339());
        let happened = self.fact(&facts.what_happened);
        let done = self.fact(&facts.mitigation);
        let means = self.fact(&facts.consequences);
        match (self.language, of_client) {
            (Language::Es, false) => format!(
                "Tomamos conocimiento de un incidente de seguridad el {known}.\n\nQué pasó: {happened}\nEntre: {from} y \
                 {until}\nAlcance: datos de {people} personas de {clients} clientes.\nQué puede significar: {means}\nQué \
                 hicimos: {done}"
            ),
            (Language::Es, true) => format!(
                "El {known} tomamos conocimiento de un incidente de seguridad que alcanzó datos de {people} de sus \
                 contactos.\n\nQué pasó: {happened}\nEntre: {from} y {until}\nQué puede significar: {means}\nQué hicimos: \
                 {done}\n\nUsted responde ante esas personas por sus datos: la lista de contactos alcanzados va con este \
                 aviso."
            ),
            (Language::Pt, false) => format!(
                "Tomamos conhecimento de um incidente de segurança em {known}.\n\nO que aconteceu: {happened}\nEntre: \
                 {from} e {until}\nAlcance: dados de {people} pessoas de {clients} clientes.\nO que pode significar: \
                 {means}\nO que fizemos: {done}"
            ),
            (Language::Pt, true) => format!(
                "Em {known} tomamos conhecimento de um incidente de segurança que atingiu dados de {people} dos seus \
                 contatos.\n\nO que aconteceu: {happened}\nEntre: {from} e {until}\nO que pode significar: {means}\nO que \
                 fizemos: {done}\n\nVocê responde perante essas pessoas pelos dados delas: a lista de contatos atingidos \
                 acompanha este aviso."
            ),
            (Language::En, false) => format!(
                "We learned of a security incident on {known}.\n\nWhat happened: {happened}\nBetween: {from} and \
                 {until}\nExtent: data of {people} people of {clients} clients.\nWhat it may mean: {means}\nWhat we did: \
                 {done}"
            ),
            (Language::En, true) => format!(
                "On {known} we learned of a security incident that reached data of {people} of your contacts.\n\nWhat \
                 happened: {happened}\nBetween: {from} and {until}\nWhat it may mean: {means}\nWhat we did: {done}\n\nYou \
                 answer to these people for their data: the list of the contacts that were reached goes with this notice."
            ),
        }
    }

    fn to_people(&self) -> String {
        let facts = &self.incident.facts;
        let (happened, means) = (self.fact(&facts.what_happened), self.fact(&facts.consequences));
        let done = self.fact(&facts.mitigation);
        match self.language {
            Language::Es => format!(
                "Un incidente de seguridad alcanzó datos suyos que tratamos por cuenta de una empresa con la que usted \
                 escribió.\n\nQué pasó: {happened}\nQué puede significar para usted: {means}\nQué hicimos: {done}\n\nPuede \
                 pedir acceso a sus datos, y reclamar ante la Agencia de Acceso a la Información Pública."
            ),
            Language::Pt => format!(
                "Um incidente de segurança atingiu dados seus que tratamos por conta de uma empresa com a qual você \
                 escreveu.\n\nO que aconteceu: {happened}\nO que pode significar para você: {means}\nO que fizemos: \
                 {done}\n\nVocê pode pedir acesso aos seus dados, e reclamar perante a autoridade."
            ),
            Language::En => format!(
                "A security incident reached data about you that we process on behalf of a business that you wrote \
                 with.\n\nWhat happened: {happened}\nWhat it may mean for you: {means}\nWhat we did: {done}\n\nYou can ask \
                 for access to your data, and complain to the authority."
            ),
        }
    }
}

/// A letter to each party, and to each client whose contacts were reached.
pub fn drafts(incident: &Incident, language: Language) -> Vec<Draft> {
    let said = Said { incident, language };
    let tenants = incident.scope.as_ref().map_or(&[][..], |scope| &scope.tenants);
    let people = incident.scope.as_ref().map_or(0, iassistance_domain::privacy::IncidentScope::people);
    let draft =
        |party: Party, tenant, text| Draft { party: party.name(), tenant, subject: said.subject(), text };
    let mut all = vec![draft(Party::Meta, None, said.text(people, tenants.len(), false))];
    for reached in tenants {
        let own = reached.contacts.len() + reached.conversations.len();
        all.push(draft(Party::Clients, Some(reached.tenant), said.text(own, 1, true)));
    }
    all.push(draft(Party::Authority, None, said.text(people, tenants.len(), false)));
    all.push(draft(Party::People, None, said.to_people()));
    all
}

/// The file for the authority: what it asked for when it looked into incidents (vulnerabilities, mitigation, when it was
/// known, how many, whether the people were told, the measures of art. 9).
pub fn dossier(incident: &Incident) -> Value {
    let facts: serde_json::Map<_, _> = incident
        .facts
        .all()
        .into_iter()
        .map(|(name, text)| (name.to_owned(), json!(text.reveal(Rights))))
        .collect();
    let duties: Vec<_> = incident
        .duties
        .iter()
        .map(|duty| {
            let told = duty.told.as_ref();
            json!({
                "party": duty.party.name(),
                "due_at": duty.due_at.to_rfc3339(),
                "told_at": told.map(|told| told.at.to_rfc3339()),
                "in_time": told.map(|told| told.at <= duty.due_at),
                "proof": told.map(|told| told.proof.reveal(Rights)),
            })
        })
        .collect();
    let told = incident.duties.iter().any(|duty| duty.party == Party::People && duty.told.is_some());
    let scope = incident.scope.as_ref();
    json!({
        "incident": incident.id,
        "title": incident.title.reveal(Rights),
        "known_at": incident.known_at.to_rfc3339(),
        "period": { "from": incident.from.to_rfc3339(), "until": incident.until.to_rfc3339() },
        "facts": facts,
        "quantity": {
            "people": scope.map(iassistance_domain::privacy::IncidentScope::people),
            "clients": scope.map(|scope| scope.tenants.len()),
            "requests": scope.map(|scope| scope.requests),
            "looked_up_at": scope.map(|scope| scope.read_at.to_rfc3339()),
        },
        "people_told": told,
        "parties": duties,
        "closed_at": incident.closed_at.map(iassistance_domain::Timestamp::to_rfc3339),
    })
}
