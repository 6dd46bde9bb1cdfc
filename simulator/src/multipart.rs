//! Reads a form that carries a file (RFC 7578).

use bytes::Bytes;

/// How many parts a form may have.
const PARTS_MAX: usize = 16;

/// One part of a form.
pub(crate) struct Part {
    pub name: String,
    pub filename: Option<String>,
    pub content_type: Option<String>,
    pub body: Bytes,
}

/// The parts of a body with this `Content-Type`; nothing when it is no such form or is cut short.
pub(crate) fn parse(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let rest = content_type.strip_prefix("multipart/form-data")?;
    let boundary = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    let boundary = boundary.trim_matches('"');
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let line = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut parts = Vec::new();
    let mut at = find(body, 0, line.as_bytes())? + line.len();
    loop {
        if body.get(at..at + 2)? == b"--" {
            return Some(parts);
        }
        let start = find(body, at, b"\r\n")? + 2;
        let end = find(body, start, between.as_bytes())?;
        parts.push(part(&body.slice(start..end))?);
        if parts.len() > PARTS_MAX {
            return None;
        }
        at = end + between.len();
    }
}

fn find(body: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = from;
    loop {
        let next = body.get(at..)?.iter().position(|byte| *byte == first)?;
        at += next;
        if body.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

fn part(whole: &Bytes) -> Option<Part> {
    // A part without headers begins with the empty line.
    let (head, start) = if whole.starts_with(b"\r\n") {
        (0, 2)
    } else {
        let end = find(whole, 0, b"\r\n\r\n")?;
        (end, end + 4)
    };
    let headers = String::from_utf8_lossy(whole.get(..head)?).into_owned();
    let header = |wanted: &str| {
        let mut lines = headers.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim().to_owned())
    };
    let disposition = header("content-disposition")?;
    let parameter = |wanted: &str| {
        let found = disposition.split(';').filter_map(|part| part.trim().split_once('='));
        found
            .into_iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.trim_matches('"').to_owned())
    };
    Some(Part {
        name: parameter("name")?,
        filename: parameter("filename"),
        content_type: header("content-type"),
        body: whole.slice(start..),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "multipart/form-data; boundary=\"x-y\"";

    #[test]
    fn fields_and_files_are_read_and_bytes_are_kept() {
        let body = Bytes::from_static(
            b"--x-y\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\nimage/png\r\n--x-y\r\n\
              content-disposition: form-data; name=\"file\"; filename=\"i.png\"\r\nContent-Type: image/png\r\n\r\n\
              \x00\r\n--x\r\n\xff\r\n--x-y--\r\n",
        );
        let parts = parse(FORM, &body).unwrap();
        assert_eq!((parts[0].name.as_str(), parts[0].body.as_ref()), ("type", &b"image/png"[..]));
        assert_eq!(parts[1].filename.as_deref(), Some("i.png"));
        assert_eq!(parts[1].content_type.as_deref(), Some("image/png"));
        assert_eq!(parts[1].body.as_ref(), b"\x00\r\n--x\r\n\xff");
    }

    #[test]
    fn what_is_no_whole_form_is_none() {
        for body in ["", "--x-y", "--x-y\r\n", "--x-y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb"]
        {
            assert!(parse(FORM, &Bytes::from_static(body.as_bytes())).is_none(), "{body:?}");
        }
        assert!(parse("application/json", &Bytes::from_static(b"{}")).is_none());
    }
}
