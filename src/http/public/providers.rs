//! The providers, for everybody: a page, and the same as JSON.

use actix_web::{HttpResponse, web};

use iassistance_config::Settings;
use iassistance_domain::account::Language;
use iassistance_domain::map::Category;

use super::{Speaks, Words};
use crate::http::{Problem, State};
use crate::register::{InUse, Register};

const TITLE: Words = Words::new("Proveedores", "Provedores", "Providers");
const ABOUT: Words = Words::new(
    "Para funcionar, esta plataforma entrega datos personales a los siguientes proveedores y a nadie más. No vende \
     datos. Las herramientas y los sistemas que cada empresa cliente conecta son suyos y no figuran aquí.",
    "Para funcionar, esta plataforma entrega dados pessoais aos provedores abaixo e a mais ninguém. Não vende dados. \
     As ferramentas e os sistemas que cada empresa cliente conecta são dela e não constam aqui.",
    "To work, this platform hands personal data to the following providers and to nobody else. It sells no data. The \
     tools and systems that each client connects are the client's own and are not listed here.",
);
const NONE: Words = Words::new(
    "Esta instalación no usa proveedores.",
    "Esta instalação não usa provedores.",
    "This installation uses no providers.",
);
const VERSION: Words = Words::new("Versión del registro", "Versão do registro", "Version of the register");
const PURPOSE: Words = Words::new("Finalidad", "Finalidade", "Purpose");
const CATEGORIES: Words = Words::new("Datos", "Dados", "Data");
const PLACE: Words = Words::new("País y región", "País e região", "Country and region");
const TRANSFER: Words =
    Words::new("Mecanismo de transferencia", "Mecanismo de transferência", "Transfer mechanism");
const AGREEMENT: Words = Words::new("Acuerdo del", "Acordo de", "Agreement of");
const TO_SAY: Words = Words::new("todavía sin declarar", "ainda não declarado", "not declared yet");

/// Adds the page and its JSON.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/privacy/subprocessors").route(web::get().to(page)))
        .service(web::resource("/v1/privacy/subprocessors").route(web::get().to(json)));
}

/// The register as it counts for these settings: its version, its day, and who is in use.
///
/// # Errors
/// A problem without detail where the register cannot be read; the log says why.
pub async fn in_use(settings: &Settings) -> Result<(u32, String, Vec<InUse>), Problem> {
    let of = settings.clone();
    let read = move || Register::load(&of).map(|register| (register.in_use(&of), register));
    let read = tokio::task::spawn_blocking(read).await.map_err(|_| Problem::internal())?;
    let (used, register) = read.map_err(|error| {
        tracing::error!(%error, "the register of providers cannot be shown");
        Problem::internal()
    })?;
    Ok((register.version, register.updated, used))
}

/// What a category is called.
pub(super) fn category_in(name: &str, language: Language) -> &str {
    let words = match Category::ALL.iter().find(|category| category.name() == name) {
        Some(Category::Identity) => Words::new(
            "identidad de usuarios finales",
            "identidade de usuários finais",
            "end users' identity",
        ),
        Some(Category::Content) => {
            Words::new("contenido de mensajes", "conteúdo de mensagens", "content of messages")
        }
        Some(Category::Account) => Words::new("datos de cuenta", "dados de conta", "account data"),
        Some(Category::Technical) => Words::new("datos técnicos", "dados técnicos", "technical data"),
        Some(Category::Operational) => {
            Words::new("datos de operación", "dados de operação", "operational data")
        }
        _ => return name,
    };
    words.to(language)
}

async fn page(state: web::Data<State>, speaks: Speaks) -> Result<HttpResponse, Problem> {
    let language = speaks.0;
    let (version, updated, used) = in_use(&state.app.settings).await?;
    let mut page = state.page(speaks, "/privacy/subprocessors", TITLE);
    page.paragraph(ABOUT.to(language));
    if used.is_empty() {
        page.paragraph(NONE.to(language));
    }
    let or =
        |text: &str| if text.trim().is_empty() { TO_SAY.to(language).to_owned() } else { text.to_owned() };
    for (place, provider) in used.iter().enumerate() {
        let categories: Vec<_> = provider.categories.iter().map(|name| category_in(name, language)).collect();
        page.heading(&format!("p{place}"), &provider.name).facts([
            (PURPOSE.to(language), provider.purpose_in(language)),
            (CATEGORIES.to(language), categories.join(", ").as_str()),
            (PLACE.to(language), format!("{}, {}", provider.country, or(&provider.region)).as_str()),
            (TRANSFER.to(language), or(&provider.transfer).as_str()),
            (AGREEMENT.to(language), or(&provider.agreement).as_str()),
        ]);
    }
    page.paragraph(&format!("{}: {version} ({updated})", VERSION.to(language)));
    Ok(page.respond())
}

async fn json(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let (version, updated, used) = in_use(&state.app.settings).await?;
    let providers: Vec<_> = used
        .into_iter()
        .map(|provider| {
            let purpose: serde_json::Map<_, _> = provider
                .purpose
                .iter()
                .map(|(code, text)| ((*code).to_owned(), text.as_str().into()))
                .collect();
            serde_json::json!({
                "name": provider.name,
                "purpose": purpose,
                "used_for": provider.used_for,
                "hosts": provider.hosts,
                "categories": provider.categories,
                "country": provider.country,
                "region": provider.region,
                "transfer": provider.transfer,
                "agreement": provider.agreement,
            })
        })
        .collect();
    let shown = serde_json::json!({ "version": version, "updated": updated, "providers": providers });
    Ok(HttpResponse::Ok().json(shown))
}
