//! TLS of our own: a certificate chain and a key from files, which are looked at again while it is served.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use iassistance_config::ServerSettings;
use iassistance_domain::Clock;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};

/// How often the files are looked at, milliseconds: at the first connection after that time.
const LOOK_MS: i64 = 10_000;
/// Largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// What is spoken inside: every limit of the door is about it.
const PROTOCOL: &[u8] = b"http/1.1";

/// Why a certificate and a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read `{setting}` {}: {source}", path.display())]
    Unreadable {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file has nothing of what it is for.
    #[error("`{setting}` {} has no {what} in it: it must be a PEM file", path.display())]
    Empty {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// What is in a file cannot be used.
    #[error("`{setting}` {} cannot be used: {why}", path.display())]
    Unusable {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The key is another certificate's.
    #[error("`server.tls_key` {} is not the key of the certificate in {}: renew both together", key.display(), certificate.display())]
    Apart {
        /// The key.
        key: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
}

/// The certificate that is shown, and where it comes from. Clones are the same.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: Files,
    clock: Arc<dyn Clock>,
    shown: Mutex<Arc<ServerConfig>>,
    /// What was read last, whether it could be used or not: only a hash, since one of them is a secret.
    read: Mutex<u64>,
    hasher: RandomState,
    looked_at: AtomicI64,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// What the settings name; nothing if they name nothing.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(settings: &ServerSettings, clock: Arc<dyn Clock>) -> Result<Option<Self>, TlsError> {
        if !settings.has_tls() {
            return Ok(None);
        }
        let files = Files { certificate: settings.tls_certificate.clone(), key: settings.tls_key.clone() };
        let hasher = RandomState::new();
        let pair = files.read()?;
        let inner = Inner {
            shown: Mutex::new(files.config(&pair)?),
            read: Mutex::new(hasher.hash_one(&pair)),
            looked_at: AtomicI64::new(clock.now().as_millis()),
            files,
            clock,
            hasher,
        };
        Ok(Some(Self(Arc::new(inner))))
    }

    /// What a new connection is shown. The one that comes first after a while has the files looked at.
    pub async fn shown(&self) -> Arc<ServerConfig> {
        let (now, before) = (self.0.clock.now().as_millis(), self.0.looked_at.load(Ordering::Relaxed));
        let is_due = now.saturating_sub(before) >= LOOK_MS;
        let mine = self.0.looked_at.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed);
        if is_due && mine.is_ok() {
            let inner = Arc::clone(&self.0);
            if let Err(error) = tokio::task::spawn_blocking(move || inner.look()).await {
                tracing::error!(%error, "the TLS certificate could not be looked at");
            }
        }
        Arc::clone(&self.0.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn look(&self) {
        match self.look_for_another() {
            Ok(false) => {}
            Ok(true) => tracing::info!("another TLS certificate is shown from now on"),
            Err(error) => {
                metrics::counter!("iassistance_tls_reload_failed_total").increment(1);
                tracing::error!(%error, "the TLS certificate that was shown so far is kept");
            }
        }
    }

    /// Whether there is another pair, which is shown from now on. What cannot be used is told of once.
    fn look_for_another(&self) -> Result<bool, TlsError> {
        let pair = self.files.read()?;
        let hash = self.hasher.hash_one(&pair);
        if std::mem::replace(&mut *self.read.lock().unwrap_or_else(PoisonError::into_inner), hash) == hash {
            return Ok(false);
        }
        let config = self.files.config(&pair)?;
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(true)
    }
}

const CERTIFICATE: &str = "server.tls_certificate";
const KEY: &str = "server.tls_key";

impl Files {
    /// What is in both.
    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        let read = |setting, path: &Path| {
            read(path).map_err(|source| TlsError::Unreadable { setting, path: path.to_owned(), source })
        };
        Ok((read(CERTIFICATE, &self.certificate)?, read(KEY, &self.key)?))
    }

    fn config(&self, (certificate, key): &(Vec<u8>, Vec<u8>)) -> Result<Arc<ServerConfig>, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(CERTIFICATE, &self.certificate, &error))?;
        if chain.is_empty() {
            let path = self.certificate.clone();
            return Err(TlsError::Empty { setting: CERTIFICATE, path, what: "certificate" });
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                TlsError::Empty { setting: KEY, path: self.key.clone(), what: "private key" }
            }
            other => unusable(KEY, &self.key, &other),
        })?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| unusable(CERTIFICATE, &self.certificate, &error))?
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Apart { key: self.key.clone(), certificate: self.certificate.clone() }
            }
            error @ rustls::Error::InvalidCertificate(_) => unusable(CERTIFICATE, &self.certificate, &error),
            other => unusable(KEY, &self.key, &other),
        })?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
    }
}

fn unusable(setting: &'static str, path: &Path, why: &impl ToString) -> TlsError {
    TlsError::Unusable { setting, path: path.to_owned(), why: why.to_string() }
}

/// A file, unless it is larger than any that would do.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use iassistance_config::Sources;
    use iassistance_domain::{ManualClock, Timestamp};

    use super::*;

    struct Shop {
        folder: tempfile::TempDir,
        clock: ManualClock,
    }

    impl Shop {
        fn open() -> Self {
            let clock = ManualClock::at(Timestamp::from_secs(1_790_000_000));
            Self { folder: tempfile::tempdir().unwrap(), clock }
        }

        /// Puts a new pair there, and says what is to be shown then.
        fn renew(&self) -> CertificateDer<'static> {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            self.put("chain.pem", &pair.cert.pem());
            self.put("key.pem", &pair.signing_key.serialize_pem());
            pair.cert.der().clone()
        }

        fn put(&self, name: &str, text: &str) {
            std::fs::write(self.folder.path().join(name), text).unwrap();
        }

        fn load(&self) -> Result<Option<Tls>, TlsError> {
            let at = |key: &str, name: &str| format!("{key}={}", self.folder.path().join(name).display());
            let flags = vec![at(CERTIFICATE, "chain.pem"), at(KEY, "key.pem")];
            let settings = Sources { flags, ..Sources::default() }.settings().unwrap();
            Tls::load(&settings.server, Arc::new(self.clock.clone()))
        }

        fn refusal(&self) -> String {
            self.load().err().unwrap().to_string()
        }
    }

    #[test]
    fn what_is_wrong_with_which_file_is_said() {
        let shop = Shop::open();
        assert!(shop.refusal().contains("tls_certificate` /"), "{}", shop.refusal());
        shop.renew();
        assert!(shop.load().unwrap().is_some());
        shop.put("chain.pem", "nothing");
        assert!(shop.refusal().contains("chain.pem has no certificate in it"), "{}", shop.refusal());
        shop.put("chain.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(shop.refusal().contains("chain.pem cannot be used"), "{}", shop.refusal());
        shop.renew();
        shop.put("key.pem", "");
        assert!(shop.refusal().contains("key.pem has no private key in it"), "{}", shop.refusal());
        shop.put("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        assert!(shop.refusal().contains("key.pem cannot be used"), "{}", shop.refusal());
        shop.put("key.pem", &"x".repeat(2_000_000));
        assert!(shop.refusal().contains("larger than 1 MiB"), "{}", shop.refusal());
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        shop.put("key.pem", &other.signing_key.serialize_pem());
        assert!(shop.refusal().contains("is not the key of the certificate"), "{}", shop.refusal());
    }

    #[test]
    fn nothing_is_served_by_tls_that_was_not_asked_for() {
        let settings = Sources::default().settings().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        assert!(Tls::load(&settings.server, clock).unwrap().is_none());
    }

    #[actix_web::test]
    async fn files_are_looked_at_after_a_while_and_what_does_not_work_changes_nothing() {
        let shop = Shop::open();
        shop.renew();
        let tls = shop.load().unwrap().unwrap();
        let first = tls.shown().await;
        shop.renew();
        assert!(Arc::ptr_eq(&tls.shown().await, &first), "not yet");
        shop.clock.advance_millis(10_000);
        let second = tls.shown().await;
        assert!(!Arc::ptr_eq(&second, &first));
        // A pair that is being written: its halves do not belong together yet.
        let kept = std::fs::read_to_string(shop.folder.path().join("key.pem")).unwrap();
        shop.renew();
        let renewed = std::fs::read_to_string(shop.folder.path().join("key.pem")).unwrap();
        shop.put("key.pem", &kept);
        shop.clock.advance_millis(10_000);
        assert!(Arc::ptr_eq(&tls.shown().await, &second));
        shop.put("key.pem", &renewed);
        shop.clock.advance_millis(10_000);
        assert!(!Arc::ptr_eq(&tls.shown().await, &second), "as soon as it is whole");
        let third = tls.shown().await;
        std::fs::remove_file(shop.folder.path().join("key.pem")).unwrap();
        shop.clock.advance_millis(10_000);
        assert!(Arc::ptr_eq(&tls.shown().await, &third));
    }
}
