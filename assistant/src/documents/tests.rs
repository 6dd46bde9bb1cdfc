use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, Stream, StringFormat, dictionary};

use super::*;

/// A PDF with one page for each content, in a font in the encoding of Windows.
fn pdf_of(pages: &[Vec<u8>], change: impl FnOnce(&mut Document)) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
    });
    let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
    let mut kids = Vec::new();
    for content in pages {
        let mut stream = Stream::new(Dictionary::new(), content.clone());
        stream.compress().unwrap();
        let content = document.add_object(stream);
        let page =
            document.add_object(dictionary! { "Type" => "Page", "Parent" => tree, "Contents" => content });
        kids.push(Object::from(page));
    }
    let count = i64::try_from(kids.len()).unwrap();
    document.objects.insert(
        tree,
        Object::Dictionary(dictionary! {
            "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
            "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
        }),
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    change(&mut document);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn literal(text: &str) -> Object {
    Object::String(WINDOWS_1252.encode(text).0.into_owned(), StringFormat::Literal)
}

/// Lines under each other, as a word processor writes them.
fn page(lines: &[&str]) -> Vec<u8> {
    let mut operations = vec![
        Operation::new("BT", vec![]),
        Operation::new("Tf", vec!["F1".into(), 12.into()]),
        Operation::new("Td", vec![50.into(), 700.into()]),
    ];
    for line in lines {
        operations.push(Operation::new("Tj", vec![literal(line)]));
        operations.push(Operation::new("Td", vec![0.into(), (-14).into()]));
    }
    operations.push(Operation::new("ET", vec![]));
    Content { operations }.encode().unwrap()
}

fn read(bytes: &[u8]) -> Result<String, Unreadable> {
    text_of("application/pdf", bytes, 100_000)
}

#[test]
fn lines_and_pages_of_a_pdf_are_told_apart() {
    let pages =
        [page(&["Política de devolución", "Se aceptan cambios hasta 30 días."]), page(&["Página dos"])];
    let text = read(&pdf_of(&pages, |_| {})).unwrap();
    assert_eq!(text, "Política de devolución\nSe aceptan cambios hasta 30 días.\n\nPágina dos");
}

#[test]
fn words_of_a_pdf_are_told_apart_by_their_gaps() {
    let parts = |parts: Vec<Object>| Operation::new("TJ", vec![Object::Array(parts)]);
    let operations = vec![
        Operation::new("BT", vec![]),
        Operation::new("Tf", vec!["F1".into(), 12.into()]),
        Operation::new("Tm", vec![1.into(), 0.into(), 0.into(), 1.into(), 50.into(), 700.into()]),
        parts(vec![literal("Pre"), (-20).into(), literal("cio"), (-300).into(), literal("total")]),
        Operation::new("Tm", vec![1.into(), 0.into(), 0.into(), 1.into(), 90.into(), 700.into()]),
        Operation::new("Tj", vec![literal("10")]),
        Operation::new("Tm", vec![1.into(), 0.into(), 0.into(), 1.into(), 50.into(), 680.into()]),
        Operation::new("Tj", vec![literal("IVA")]),
        Operation::new("'", vec![literal("incluido")]),
        Operation::new("ET", vec![]),
    ];
    let content = Content { operations }.encode().unwrap();
    assert_eq!(read(&pdf_of(&[content], |_| {})).unwrap(), "Precio total 10\nIVA\nincluido");
}

#[test]
fn a_pdf_without_text_says_so() {
    let drawing = b"0 0 m 100 100 l S".to_vec();
    assert_eq!(read(&pdf_of(&[drawing], |_| {})), Err(Unreadable::Empty));
}

#[test]
fn what_is_no_pdf_is_damaged() {
    let good = pdf_of(&[page(&["hola"])], |_| {});
    for bytes in [&b""[..], b"hola", b"%PDF-1.7", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF"] {
        assert!(matches!(read(bytes), Err(Unreadable::Damaged | Unreadable::Empty)), "{bytes:?}");
    }
    // Cut or altered anywhere, it is read or refused; never more than that.
    for at in (0..good.len()).step_by(7) {
        drop(read(&good[..at]));
        let mut altered = good.clone();
        altered[at] ^= 0x55;
        drop(read(&altered));
    }
}

#[test]
fn turning_references_end() {
    let pages = [page(&["hola"])];
    let cyclic = pdf_of(&pages, |document| {
        let tree = document.catalog().unwrap().get(b"Pages").unwrap().as_reference().unwrap();
        let tree_dictionary = document.get_dictionary_mut(tree).unwrap();
        tree_dictionary.set("Parent", tree);
        let mut kids = tree_dictionary.get(b"Kids").unwrap().as_array().unwrap().clone();
        kids.push(tree.into());
        tree_dictionary.set("Kids", kids);
    });
    drop(read(&cyclic));
    let itself = pdf_of(&pages, |document| {
        let page = document.page_iter().next().unwrap();
        document.objects.insert(page, Object::Reference(page));
    });
    drop(read(&itself));
}

#[test]
fn nested_objects_do_not_exhaust_the_stack() {
    for (open, close) in [("[", "]"), ("<< /A ", ">>"), ("(", ")")] {
        let nested = format!("{}1 {}", open.repeat(50_000), close.repeat(50_000));
        let bytes =
            format!("%PDF-1.5\n1 0 obj\n{nested}\nendobj\ntrailer\n<< /Root 1 0 R >>\nstartxref\n0\n%%EOF");
        drop(read(bytes.as_bytes()));
        let content = format!("BT /F1 12 Tf {nested} Tj ET");
        drop(read(&pdf_of(&[content.into_bytes()], |_| {})));
    }
}

#[test]
fn a_bomb_is_not_unpacked() {
    let bounds = pdf::Bounds { stream: 100_000, pages: 250_000 };
    let unpacked = |pages: &[Vec<u8>]| {
        let bytes = pdf_of(pages, |_| {});
        assert!(bytes.len() < 5_000);
        pdf::text(&bytes, 1_000, bounds)
    };
    let blank = |bytes| vec![b' '; bytes];
    assert!(unpacked(&[blank(90_000), blank(90_000)]).is_ok());
    assert_eq!(unpacked(&[blank(110_000)]), Err(Unreadable::TooLarge));
    assert_eq!(unpacked(&[blank(90_000), blank(90_000), blank(90_000)]), Err(Unreadable::TooLarge));
}

#[test]
fn a_locked_pdf_says_so() {
    let locked = pdf_of(&[page(&["hola"])], |document| {
        let permissions = lopdf::Permissions::all();
        document.trailer.set(
            "ID",
            vec![Object::string_literal("0123456789abcdef"), Object::string_literal("0123456789abcdef")],
        );
        let version = lopdf::EncryptionVersion::V2 {
            document,
            owner_password: "owner",
            user_password: "user",
            key_length: 128,
            permissions,
        };
        let state = lopdf::EncryptionState::try_from(version).unwrap();
        document.encrypt(&state).unwrap();
    });
    assert_eq!(read(&locked), Err(Unreadable::Locked));
}

#[test]
fn html_becomes_what_is_read_in_a_browser() {
    let page = "<!doctype html><html><head><title>No</title><style>p { color: red }</style>\
        <script>if (a < b) alert('<p>no</p>')</script></head><body>\n<h1>Envíos &amp; plazos</h1><!-- no --><p>Llegan\n en \
        <b>3</b> días.</p><noscript><p>no</p></noscript><ul><li>Lima<li><p>Cusco</p></li></ul><table><tr><th>Zona</th>\
        <th>Precio</th></tr><tr><td>Norte<td>10</tr></table><hr><svg><text>no</text><svg></svg>no</svg>\
        <p>Reserve <a href='https://shop.example/r?a=1&amp;b=2'>aquí</a> o <a href=#top>arriba</a> o \
        <a href='mailto:a@shop.example'>a@shop.example</a>.<br>Fin<img src=x alt='del texto'></p>\
        <pre>uno\n  dos</pre>";
    let text = text_of("text/html; charset=utf-8", page.as_bytes(), 10_000).unwrap();
    let wanted = "# Envíos & plazos\n\nLlegan en 3 días.\n\n- Lima\n- Cusco\n\nZona | Precio\nNorte | 10\n\n\
        Reserve aquí (https://shop.example/r?a=1&b=2) o arriba o a@shop.example.\nFin del texto\n\nuno\n  dos";
    assert_eq!(text, wanted);
    assert_eq!(text_of("text/html", b"<script>x</script>", 10), Err(Unreadable::Empty));
}

#[test]
fn a_page_takes_time_with_its_length_and_no_stack() {
    for tag in
        ["<div>", "<b>", "<table><tr><td>", "<ul><li>", "<blockquote>", "<a href=x>", "<svg>", "</p>", "<"]
    {
        let deep = format!("{}hola", tag.repeat(100_000));
        let text = text_of("text/html", deep.as_bytes(), 1_000);
        assert!(text.is_ok() || text == Err(Unreadable::Empty), "{tag}");
    }
    let attributes: String =
        format!("<p {}>hola", (0..100_000).map(|number| format!("a{number} ")).collect::<Vec<_>>().concat());
    assert_eq!(text_of("text/html", attributes.as_bytes(), 1_000).unwrap(), "hola");
    let entities = "&#x0;&#55296;&nbsp;&bogus;&#9999999;hola".repeat(100);
    assert!(text_of("text/html", entities.as_bytes(), 10_000).unwrap().contains("hola"));
}

#[test]
fn encodings_are_told_by_mark_type_page_or_guess() {
    let text = "Año nuevo: 10 €";
    let windows = WINDOWS_1252.encode(text).0.into_owned();
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let marked = [&[0xEF, 0xBB, 0xBF][..], text.as_bytes()].concat();
    for (mime, bytes) in [
        ("text/plain", text.as_bytes()),
        ("text/plain", &windows),
        ("text/plain; charset=\"windows-1252\"", &windows),
        ("text/plain; charset=nonsense", text.as_bytes()),
        ("text/markdown", &utf16),
        ("text/plain", &marked),
    ] {
        assert_eq!(text_of(mime, bytes, 1_000).unwrap(), text, "{mime}");
    }
    let page = [b"<meta charset='iso-8859-1'><p>".as_slice(), &windows].concat();
    assert_eq!(text_of("text/html", &page, 1_000).unwrap(), text);
}

#[test]
fn text_is_tidied_and_bounded() {
    let text = "# T\u{e9}tulo  \r\n\r\n\r\n\r\nuno\u{0}\u{7}\tdos\r\n────\r\n  tres\n\n";
    assert_eq!(
        text_of("text/markdown", text.as_bytes(), 1_000).unwrap(),
        "# Título\n\nuno\tdos\n\n  tres".replace('í', "é")
    );
    let long = "ñandú ".repeat(10_000);
    let cut = text_of("text/plain", long.as_bytes(), 1_000).unwrap();
    assert!((990..=1_000).contains(&cut.chars().count()));
    assert_eq!(text_of("text/plain", b" \n \x00", 10), Err(Unreadable::Empty));
    assert_eq!(text_of("text/plain", b"hola", 0), Err(Unreadable::Empty));
}

#[test]
fn other_kinds_are_not_read() {
    for mime in [
        "image/png",
        "application/zip",
        "application/octet-stream",
        "",
        "text",
        "application/msword",
        "text/rtf",
    ] {
        assert_eq!(text_of(mime, b"hola", 10), Err(Unreadable::Kind), "{mime}");
        assert!(!is_readable(mime));
    }
    for mime in ["TEXT/HTML", "application/PDF", "text/csv; header=present", "application/json"] {
        assert!(is_readable(mime), "{mime}");
    }
    let large = vec![b'a'; BYTES_MAX + 1];
    assert_eq!(text_of("text/plain", &large, 10), Err(Unreadable::TooLarge));
}

#[test]
fn a_panic_ends_the_reading_alone() {
    let nothing: Result<(), _> = apart(|| panic!("as a library might"));
    assert_eq!(nothing, Err(Unreadable::Damaged));
}
