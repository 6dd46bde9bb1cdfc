use iassistance_domain::Timestamp;
use iassistance_domain::knowledge::DocumentState;

use super::*;

const TEXTS: [(&str, &[&str]); 5] = [
    (
        "Horarios y sucursales",
        &[
            "La sucursal del centro abre de lunes a viernes de 9 a 18 horas.",
            "Los sábados atendemos hasta el mediodía; los domingos cerramos.",
        ],
    ),
    (
        "Cambios y devoluciones",
        &[
            "Las devoluciones se aceptan dentro de los 30 días con la factura de compra.",
            "El reintegro se hace a la misma tarjeta con la que se pagó.",
        ],
    ),
    (
        "Entregas no Brasil",
        &[
            "As entregas em São Paulo demoram três dias úteis após a confirmação do pagamento.",
            "O frete é grátis para compras acima de duzentos reais.",
        ],
    ),
    (
        "Warranty",
        &[
            "Every chair comes with a two year warranty that covers the frame and the wheels.",
            "Damage caused by water or by misuse is not covered.",
        ],
    ),
    ("Política de privacidad", &["No compartimos datos personales con terceros."]),
];

fn document(number: u8, title: &str) -> Document {
    Document {
        id: DocumentId::from_bytes([number; 16]),
        title: title.to_owned(),
        mime: "text/plain".to_owned(),
        bytes: 1,
        sha256: String::new(),
        added_at: Timestamp::EPOCH,
        state: DocumentState::Indexing,
    }
}

/// The texts; with meanings, each passage points in a direction of its own.
fn index(model: Option<&str>) -> Index {
    let (mut documents, mut passages) = (Vec::new(), Vec::new());
    for (number, (title, texts)) in (1_u8..).zip(TEXTS) {
        documents.push(document(number, title));
        for (place, text) in (0..).zip(texts) {
            let mut embedding = vec![0.0; 16];
            embedding[passages.len()] = 3.0;
            let embedding = if model.is_some() { embedding } else { Vec::new() };
            passages.push(Passage {
                document: DocumentId::from_bytes([number; 16]),
                place,
                text: (*text).to_owned(),
                embedding,
                embedding_model: model.map(str::to_owned),
            });
        }
    }
    Index::new(&documents, passages, model)
}

fn best(index: &Index, query: &str, embedding: Option<&[f32]>) -> Option<(String, u32)> {
    index.search(query, embedding, 3).first().map(|found| (found.title.clone(), found.passage.place))
}

#[test]
fn words_are_found_in_each_language_however_they_are_written() {
    let index = index(None);
    assert!(!index.by_meaning());
    for (query, title, place) in [
        ("¿A qué hora abre la sucursal?", 0, 0),
        ("abren los sabados?", 0, 1),
        ("SÁBADO", 0, 1),
        ("quiero devolver algo, ¿aceptan devolución?", 1, 0),
        ("devolucion factura", 1, 0),
        ("tarjeta reintegro", 1, 1),
        ("quanto demora a entrega em sao paulo", 2, 0),
        ("frete gratis", 2, 1),
        ("is the frame of my chairs covered by the warranty", 3, 0),
        ("water damages", 3, 1),
        ("datos personales", 4, 0),
        ("política de privacidade", 4, 0),
    ] {
        assert_eq!(best(&index, query, None), Some((TEXTS[title].0.to_owned(), place)), "{query}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let index = index(None);
    for query in ["", "?!", "xyzzy", "🙂🙂", "de la"] {
        assert!(index.search(query, None, 5).len() <= if query == "de la" { 5 } else { 0 }, "{query}");
    }
    assert!(index.search("horario", None, 0).is_empty());
    assert!(Index::new(&[], Vec::new(), None).search("horario", Some(&[1.0]), 5).is_empty());
}

#[test]
fn a_meaning_finds_what_no_word_does() {
    let index = index(Some("m"));
    assert!(index.by_meaning());
    let towards = |passage: usize| {
        let mut vector = vec![0.0; 16];
        vector[passage] = 0.9;
        vector[15] = 0.1;
        vector
    };
    assert_eq!(best(&index, "can I get my money back", Some(&towards(3))), Some((TEXTS[1].0.to_owned(), 1)));
    assert!(best(&index, "zzz", None).is_none());
    // What both find stands above what one of them finds.
    let found = index.search("devoluciones factura", Some(&towards(2)), 10);
    assert_eq!((found[0].title.as_str(), found[0].passage.place), (TEXTS[1].0, 0));
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert!(found.iter().all(|found| found.passage.embedding.is_empty()));
}

#[test]
fn only_embeddings_that_can_be_compared_count() {
    let index = index(Some("m"));
    for odd in [vec![], vec![1.0], vec![0.0; 16], vec![f32::NAN; 16], vec![f32::INFINITY; 16], vec![1.0; 17]]
    {
        assert!(index.search("zzz", Some(&odd), 5).is_empty());
    }
    let passage = |embedding: Vec<f32>, model: &str| Passage {
        document: DocumentId::from_bytes([1; 16]),
        place: 0,
        text: "algo".to_owned(),
        embedding,
        embedding_model: Some(model.to_owned()),
    };
    let passages =
        vec![passage(vec![1.0, 0.0], "old"), passage(vec![1.0, 0.0, 0.0], "m"), passage(vec![1.0], "m")];
    let mixed = Index::new(&[document(1, "T")], passages.clone(), Some("m"));
    assert_eq!(mixed.search("zzz", Some(&[1.0, 0.0, 0.0]), 5).len(), 1);
    assert!(mixed.search("zzz", Some(&[1.0, 0.0]), 5).is_empty());
    assert!(!Index::new(&[document(1, "T")], passages, None).by_meaning());
}

#[test]
fn passages_of_documents_that_are_gone_are_not_there() {
    let passages = vec![Passage {
        document: DocumentId::from_bytes([9; 16]),
        place: 0,
        text: "secreto".to_owned(),
        embedding: Vec::new(),
        embedding_model: None,
    }];
    let index = Index::new(&[document(1, "T")], passages, None);
    assert!(index.is_empty() && index.search("secreto", None, 5).is_empty());
}

#[test]
fn the_same_question_finds_the_same_in_the_same_order() {
    let places = |index: &Index| -> Vec<_> {
        let found = index.search("los días de la compra y el pagamento", None, 10);
        found.iter().map(|found| (found.title.clone(), found.passage.place)).collect()
    };
    let first = places(&index(None));
    assert!(first.len() > 1);
    for _ in 0..10 {
        assert_eq!(places(&index(None)), first);
    }
}

#[test]
fn it_says_how_large_it_is() {
    let (without, with) = (index(None), index(Some("m")));
    assert_eq!(without.len(), 9);
    assert_eq!(with.bytes() - without.bytes(), 9 * 16 * 4);
    assert!(without.bytes() > 9 * 50);
}
