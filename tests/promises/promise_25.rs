//! The notice names the authority that people may turn to, in the words that it requires.

use iassistance::http::public::notice::LEGEND;

use crate::book::Proof;
use crate::harness::{Flow, Options, within};

/// The legend of Resolution 14/2018, written down here once more.
const WORDS: &str = "La AGENCIA DE ACCESO A LA INFORMACIÓN PÚBLICA, en su carácter de Órgano de Control de la Ley N° 25.326, \
tiene la atribución de atender las denuncias y reclamos que interpongan quienes resulten afectados en sus derechos por \
incumplimiento de las normas vigentes en materia de protección de datos personales.";

#[actix::test]
async fn promise_25() {
    let proof = Proof::of(25);
    assert_eq!(LEGEND, WORDS);
    let settings = vec![
        "privacy.operator=Ejemplo & Hijos S.A.",
        "privacy.address=Calle 1, Rosario",
        "privacy.contact=mailto:datos@example.org",
    ];
    let flow = Flow::with(Options { settings, ..Options::default() }).await;
    // The five things of Law 25.326, art. 6: purpose and recipients, the file and whose it is, whether data must be
    // given, what follows, and the rights.
    let parts = ["purpose", "recipients", "file", "optional", "consequences", "rights", "authority"];
    for (asked, accepted, language) in
        [("?lang=es", "en", "es"), ("", "pt-BR,pt;q=0.9", "pt"), ("", "en-GB", "en"), ("", "de", "es")]
    {
        let request = flow
            .http
            .get(format!("http://{}/privacy{asked}", flow.address))
            .header("accept-language", accepted);
        let page = within("the notice", request.send()).await.unwrap();
        assert_eq!(page.headers()["content-language"].to_str().unwrap(), language);
        assert!(!page.headers()["content-security-policy"].to_str().unwrap().contains("script"));
        let page = page.text().await.unwrap();
        assert!(page.contains(&format!("<html lang=\"{language}\">")));
        assert!(page.contains(WORDS), "the legend, verbatim, in {language}");
        for part in parts {
            assert!(page.contains(&format!("id=\"{part}\"")), "{part} in {language}");
        }
        for told in [
            "Ejemplo &amp; Hijos S.A.",
            "Calle 1, Rosario",
            "mailto:datos@example.org",
            "OpenAI",
            "/privacy/request",
            "/deletions/",
        ] {
            assert!(page.contains(told), "{told} in {language}");
        }
        assert!(!page.contains("<script") && !page.contains("style="));
    }
    flow.finish().await;
    proof.kept("the legend verbatim and the 5 things of art. 6 in 3 languages");
}
