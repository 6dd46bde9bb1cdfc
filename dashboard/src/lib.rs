//! The live monitor: the files of a web app, as `build.rs` had Node make them of `web/`.
//!
//! It knows nothing of HTTP: what is here is looked up by [`file`] and served by the root package.

/// A file of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its path below the app's root: `index.html`, `assets/main-3fKb0a.js`.
    pub path: &'static str,
    /// What it is, for `Content-Type`.
    pub mime: &'static str,
    /// Whether its name changes whenever it does.
    pub hashed: bool,
    /// What tells this one from others of the same path: a hash, in hexadecimal.
    pub tag: &'static str,
    /// As it is.
    pub plain: &'static [u8],
    /// The same, compressed by brotli, where that is shorter.
    pub brotli: Option<&'static [u8]>,
    /// The same, compressed by gzip, where that is shorter.
    pub gzip: Option<&'static [u8]>,
}

/// All files, in the order of their paths.
pub static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The file at this path.
pub fn file(path: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().and_then(|at| FILES.get(at))
}

/// The page that every address of the app begins with.
pub fn page() -> Option<&'static File> {
    file("index.html")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most that a browser loads until the app can be used, bytes, compressed.
    const FIRST_LOAD_MAX: usize = 150_000;

    fn said(file: &File) -> &'static str {
        std::str::from_utf8(file.plain).unwrap()
    }

    /// What a page or a script names of the other files and loads at once.
    fn loads(file: &File, seen: &mut Vec<&'static str>) {
        let text = said(file);
        for other in FILES.iter().filter(|other| other.hashed) {
            let name = other.path.trim_start_matches("assets/");
            let at_once = if file.path == "index.html" {
                text.contains(other.path)
            } else {
                // `import … from "./x.js"` is loaded with the file; `import("./x.js")` when it is called.
                text.contains(&format!("from\"./{name}\"")) || text.contains(&format!("import\"./{name}\""))
            };
            if at_once && !seen.contains(&other.path) {
                seen.push(other.path);
                loads(other, seen);
            }
        }
    }

    #[test]
    fn the_first_load_is_small() {
        let page = page().unwrap();
        let mut paths = vec![page.path];
        loads(page, &mut paths);
        assert!(paths.len() >= 3, "the page, its script and its style: {paths:?}");
        let size = |path: &&str| file(path).map(|it| it.gzip.unwrap_or(it.plain).len()).unwrap_or_default();
        let bytes: usize = paths.iter().map(size).sum();
        assert!(bytes < FIRST_LOAD_MAX, "{bytes} bytes compressed: {paths:?}");
        println!("the first load has {bytes} bytes compressed, in {} files", paths.len());
    }

    #[test]
    fn the_page_holds_no_script_and_no_style_and_names_nothing_outside() {
        let text = said(page().unwrap());
        for forbidden in ["<style", " style=", "javascript:", "onload=", "http://", "https://"] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
        let inline = text.split("<script").skip(1).any(|script| {
            let (head, rest) = script.split_once('>').unwrap();
            !head.contains("src=") || !rest.starts_with("</script>")
        });
        assert!(!inline, "a script in the page itself");
    }

    #[test]
    fn files_are_found_by_their_path() {
        assert!(FILES.is_sorted_by_key(|file| file.path));
        assert!(FILES.iter().all(|it| file(it.path) == Some(it)));
        assert_eq!(file("assets/../index.html"), None);
        assert_eq!(file(""), None);
    }
}
