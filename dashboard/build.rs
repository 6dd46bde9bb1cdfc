//! Has Node build the app, and writes the table of its files.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the app is made of: when none of it has changed, nothing is built.
const SOURCES: [&str; 7] = [
    "web",
    "vite.config.ts",
    "svelte.config.js",
    "tsconfig.json",
    "package.json",
    "package-lock.json",
    ".npmrc",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    look_for_node()?;
    // Two builds at once would install into one folder: one waits for the other.
    let lock = File::create(folder.join(".npm.lock")).map_err(|error| trouble("make a lock", &error))?;
    lock.lock().map_err(|error| trouble("wait for another build", &error))?;
    install(&folder)?;
    let made = out.join("app");
    npm(&folder, &["run", "build", "--", "--outDir", &made.to_string_lossy()])?;
    let table = table(&made).map_err(|error| trouble("read what was built", &error))?;
    fs::write(out.join("files.rs"), table).map_err(|error| trouble("write the table of files", &error))
}

/// What cargo says.
#[expect(clippy::disallowed_methods, reason = "cargo speaks to a build script by its environment")]
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("cargo does not say {name}"))
}

fn trouble(what: &str, error: &io::Error) -> String {
    format!("the live monitor: cannot {what}: {error}")
}

/// Says in words what to do where there is no Node that can build the app.
fn look_for_node() -> Result<(), String> {
    let said = Command::new("node").arg("--version").output();
    let version = said.ok().filter(|said| said.status.success());
    let version = version.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    let numbers = version.as_deref().and_then(|text| {
        let mut parts = text.strip_prefix('v')?.split('.');
        Some((parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?))
    });
    let found = match (numbers, &version) {
        (Some((20, 19..) | (22, 12..) | (23.., _)), _) => return Ok(()),
        (_, Some(version)) => format!("Node here is {version}"),
        (_, None) => "Node was not found".to_owned(),
    };
    Err(format!(
        "the live monitor is built by Node 20.19, 22.12 or later with npm, and {found}.\n\
         Install it (Debian, Ubuntu: apt install nodejs npm), or build without the monitor: cargo build \
         --no-default-features"
    ))
}

/// Installs what the lock file names, unless that is there already.
fn install(folder: &Path) -> Result<(), String> {
    let (lock, stamp) = (folder.join("package-lock.json"), folder.join("node_modules/.installed"));
    let wanted = fs::read(&lock).map_err(|error| trouble("read package-lock.json", &error))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    npm(folder, &["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
    fs::write(stamp, wanted).map_err(|error| trouble("note what was installed", &error))
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let said = Command::new("npm").args(arguments).current_dir(folder).output();
    let said = said
        .map_err(|error| format!("npm cannot be run: {error}. Install it, or build without the monitor"))?;
    if said.status.success() {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    Err(format!("`npm {}` failed in {}:\n{out}{err}", arguments.join(" "), folder.display()))
}

/// The files below `root` as an expression of Rust.
fn table(root: &Path) -> io::Result<String> {
    let mut paths = Vec::new();
    collect(root, root, &mut paths)?;
    paths.sort();
    let mut table = "&[\n".to_owned();
    for path in paths.iter().filter(|path| !is_packed(path)) {
        let whole = root.join(path);
        let packed = |with: &str| match root.join(format!("{path}.{with}")) {
            file if file.is_file() => format!("Some({})", included(&file)),
            _ => "None".to_owned(),
        };
        let hashed = path.starts_with("assets/");
        let (mime, tag) = (mime(path), fingerprint(&fs::read(&whole)?));
        let (brotli, gzip) = (packed("br"), packed("gz"));
        // Writing to a string does not fail.
        _ = writeln!(
            table,
            "File {{ path: {path:?}, mime: {mime:?}, hashed: {hashed}, tag: \"{tag:016x}\", \
             plain: {}, brotli: {brotli}, gzip: {gzip} }},",
            included(&whole)
        );
    }
    table.push(']');
    Ok(table)
}

/// A file's bytes, as an expression of Rust.
fn included(file: &Path) -> String {
    format!("include_bytes!({:?})", file.to_string_lossy())
}

fn collect(root: &Path, folder: &Path, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, paths)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            paths.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

fn is_packed(path: &str) -> bool {
    ["br", "gz"].iter().any(|with| Path::new(path).extension().is_some_and(|end| end == *with))
}

/// FNV-1a, 64 bits: it tells versions of a file apart, and protects nothing.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn mime(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|end| end.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        Some("woff2") => "font/woff2",
        Some("png") => "image/png",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
