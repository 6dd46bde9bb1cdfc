//! Why the content store refused.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use iassistance_domain::id::MediaId;

use crate::StorageError;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// What is repeated of another's words, at most.
const REASON_CHARS: usize = 200;

/// Why the content store refused. No message holds a file's name or what is in it.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// More than a file may have. Nothing of it was kept.
    #[error("the file has more than {bytes_max} bytes, the limit (media.file_bytes_max)")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// The type and the name are longer than can be stored with a file.
    #[error("the file's type and name are longer than {bytes_max} bytes together: give it a shorter name")]
    LabelTooLong {
        /// What they and their seal may have.
        bytes_max: usize,
    },
    /// There is no room for the file. Nothing of it was kept.
    #[error("there is no space left for files: free some where `media.folder` lies, or enlarge it")]
    NoSpace,
    /// What is stored is not what was sealed.
    #[error(
        "the file {media} is damaged: it was altered, cut short or put there from elsewhere; restore it from a backup"
    )]
    Damaged {
        /// Which file.
        media: MediaId,
    },
    /// The file was sealed with another key than its owner has.
    #[error(
        "the file {media} is sealed with another key than its owner has: the keyring or the store is not the one that belongs to it"
    )]
    WrongKey {
        /// Which file.
        media: MediaId,
    },
    /// The key is gone for good.
    #[error("the file {media} cannot be opened or stored: its contact was erased, and the key with it")]
    KeyGone {
        /// Which file.
        media: MediaId,
    },
    /// The bytes to be stored came to an end before the file did. Nothing of it was kept.
    #[error("the file's bytes broke off before its end")]
    Source(#[source] BoxError),
    /// Keys could not be had.
    #[error(transparent)]
    Keys(#[from] StorageError),
    /// A setting cannot be right.
    #[error("`{key}` {rule}")]
    Settings {
        /// The setting.
        key: &'static str,
        /// What it must be.
        rule: String,
    },
    /// The folder cannot be used.
    #[error("the folder for files {} cannot be used: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk or the bucket failed.
    #[error("the content store failed while {doing}: {reason}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the system or the bucket says.
        reason: String,
    },
}

impl ContentError {
    /// Whether the same may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(_) | Self::Failed { .. } | Self::NoSpace => true,
            Self::Keys(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// What is said when the disk or the bucket fails.
pub(super) fn failed(doing: &'static str, error: &object_store::Error) -> ContentError {
    use object_store::Error as Objects;
    let io = io_error(error);
    if io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
        return ContentError::NoSpace;
    }
    let reason = match (error, io) {
        (_, Some(io)) => io.to_string(),
        (Objects::PermissionDenied { .. } | Objects::Unauthenticated { .. }, None) => {
            "the bucket refuses the key: check media.s3_access_key_id, media.s3_secret_access_key and what \
             the key may do"
                .to_owned()
        }
        (Objects::NotFound { .. }, None) => "there is no such bucket: check media.s3_bucket".to_owned(),
        // A bucket's answer ends with its XML, which repeats the request.
        (other, None) => {
            let text = other.to_string();
            let text = text.split('<').next().unwrap_or_default();
            // Before that stands which request it was; the address says too much of the bucket.
            let said = text.rsplit_once(" - ").map_or(text, |(_, said)| said);
            said.trim_matches([' ', ':']).chars().take(REASON_CHARS).collect()
        }
    };
    ContentError::Failed { doing, reason }
}

/// The error of objects that travelled as one of input and output.
pub(super) fn from_io(error: io::Error) -> object_store::Error {
    error
        .downcast::<object_store::Error>()
        .unwrap_or_else(|error| object_store::Error::Generic { store: "files", source: Box::new(error) })
}

/// What the operating system said, if it was that.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<io::Error>() {
            Some(io) if io.raw_os_error().is_some() => return Some(io),
            _ => next = error.source(),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<BoxError>) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: source.into() }
    }

    #[test]
    fn a_full_disk_is_known_for_that() {
        // ENOSPC and EDQUOT on Linux.
        for code in [28, 122] {
            let error = from_io(io::Error::other(generic(io::Error::from_raw_os_error(code))));
            assert!(matches!(failed("writing a file", &error), ContentError::NoSpace), "{code}");
        }
        let denied = failed("writing a file", &generic(io::Error::from_raw_os_error(13))).to_string();
        assert!(
            denied.starts_with("the content store failed while writing a file: Permission denied"),
            "{denied}"
        );
    }

    #[test]
    fn a_buckets_answer_is_not_repeated() {
        let text = "Error performing PUT http://files.example/a in 1ms - Server returned non-2xx status code: \
            400 Bad Request: <Error><Key>private</Key></Error>";
        let said = failed("writing a file", &generic(text)).to_string();
        assert_eq!(
            said,
            "the content store failed while writing a file: Server returned non-2xx status code: 400 Bad Request"
        );
        let refused = object_store::Error::PermissionDenied { path: String::new(), source: text.into() };
        assert!(failed("writing a file", &refused).to_string().contains("media.s3_access_key_id"));
    }
}
