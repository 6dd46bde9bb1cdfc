use super::*;
use futures::StreamExt;

fn covered(text: &str) -> (String, Pseudonyms) {
    let mut own = Pseudonyms::of(std::iter::once(text));
    (own.cover(text), own)
}

#[test]
fn numbers_that_identify_are_covered_and_put_back() {
    for (text, word) in [
        ("llamame al +54 9 11 2345-6789 por favor", "PHONE"),
        ("my number is 11 4321 9876 0", "PHONE"),
        ("5491123456789", "PHONE"),
        ("tarjeta 4111 1111 1111 1111 vence 12/27", "CARD"),
        ("CUIT 20-12345678-6", "ID"),
        ("meu CPF é 529.982.247-25", "ID"),
        ("CNPJ 11.222.333/0001-81", "ID"),
        ("DNI 12345678", "ID"),
        ("soy 12.345.678", "ID"),
    ] {
        let (cover, own) = covered(text);
        assert!(cover.contains(&format!("[{word}-1-")), "{text}: {cover}");
        assert!(
            cover.bytes().filter(u8::is_ascii_digit).count()
                < text.bytes().filter(u8::is_ascii_digit).count()
        );
        assert_eq!(own.restore(&cover), text);
    }
}

#[test]
fn what_identifies_nobody_stays() {
    for text in [
        "son 3 empanadas a $ 12.500",
        "el 2026-11-29 a las 10:30",
        "pedido A1234567890123",
        "el 29/11/2026",
        "code 12345678",
        "4111 1111 1111 1112 is no card of ours? 16 digits",
        "¿abren a las 9?",
    ] {
        let (cover, _) = covered(text);
        assert!(!cover.contains("[CARD") && !cover.contains("[ID"), "{cover}");
        if !text.contains("digits") {
            assert_eq!(cover, text);
        }
    }
}

#[test]
fn the_same_number_has_the_same_cover_and_a_made_up_cover_is_nobodys() {
    let (cover, own) = covered("+541123456789 es mío, +541123456789");
    assert_eq!(cover.matches("[PHONE-1-").count(), 2);
    assert_eq!(own.restore("[PHONE-1-000000]"), "[PHONE-1-000000]");
    assert_eq!(own.restore("[PHONE-1]"), "[PHONE-1]");
}

#[tokio::test]
async fn an_answer_in_pieces_is_put_together() {
    let (cover, own) = covered("+541123456789");
    let text = format!("Lo llamo al {cover} [hoy].");
    let pieces: Vec<_> = text.chars().map(|letter| Chunk::Text(letter.to_string())).collect();
    let end = Chunk::Finished { reason: crate::generate::FinishReason::Stop, usage: None };
    let chunks = futures::stream::iter(pieces.into_iter().chain([end])).boxed();
    let mut said = String::new();
    let mut ended = 0;
    let mut restored = own.restore_all(chunks);
    while let Some(chunk) = restored.next().await {
        match chunk {
            Chunk::Text(text) => said.push_str(&text),
            _ => ended += 1,
        }
    }
    assert_eq!((said.as_str(), ended), ("Lo llamo al +541123456789 [hoy].", 1));
}
