//! API keys: how they are made, written and known again.
//!
//! A key is `iak_<id>_<secret>_<checksum>`: 32 hexadecimal digits, 43 digits of base 62 (256 bits)
//! and 6 more that tell a slip of the pen from a key that does not exist. It is shown once; a keyed
//! hash of its secret is what is kept.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;

use iassistance_config::Secret;
use iassistance_domain::id::{ApiKeyId, TenantId};
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::{Clock, Entropy, Timestamp};
use iassistance_storage::Store;
use iassistance_vault::{Keyring, same};

use super::Problem;

const PREFIX: &str = "iak_";
const ID_DIGITS: usize = 32;
const SECRET_BYTES: usize = 32;
const SECRET_DIGITS: usize = 43;
const CHECKSUM_DIGITS: usize = 6;
const HASH_LABEL: &str = "api-key";

/// An API key as it is handed out, once.
pub struct PlainKey(Secret);

impl PlainKey {
    /// The key, for the one place that shows it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A key that would be of no use, or of too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It could do nothing.
    #[error("a key needs at least one scope")]
    NoScope,
    /// A tenant's key with a scope of the platform.
    #[error("`platform` is only for keys of no tenant")]
    PlatformOfTenant,
    /// A key of no tenant without the scope of the platform.
    #[error("a key of no tenant needs the scope `platform`: add it, or name the tenant")]
    NobodysKey,
    /// It would be dead at once.
    #[error("the key would have ended before it began: choose a later end")]
    EndsInThePast,
}

/// A new key: what is kept, and what is handed out.
///
/// # Errors
/// [`BadKey`], when nothing could be done with it.
pub fn mint(
    keyring: &Keyring,
    entropy: &dyn Entropy,
    clock: &dyn Clock,
    name: String,
    tenant: Option<TenantId>,
    scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
) -> Result<(ApiKey, PlainKey), BadKey> {
    let now = clock.now();
    match (tenant, scopes.contains(&Scope::Platform)) {
        _ if scopes.is_empty() => return Err(BadKey::NoScope),
        (Some(_), true) => return Err(BadKey::PlatformOfTenant),
        (None, false) => return Err(BadKey::NobodysKey),
        _ => {}
    }
    if expires_at.is_some_and(|end| end <= now) {
        return Err(BadKey::EndsInThePast);
    }
    let id = ApiKeyId::new(now, entropy);
    let mut random = [0; SECRET_BYTES];
    entropy.fill(&mut random);
    let secret = base62(&mut random, SECRET_DIGITS);
    let hash = hex::encode(hash(keyring, &secret));
    let key = ApiKey { expires_at, ..ApiKey::new(id, name, tenant, scopes, hash, now) };
    let checked = format!("{PREFIX}{}_{secret}", digits_of(id));
    let plain = PlainKey(Secret::new(format!("{checked}_{}", checksum(&checked))));
    Ok((key, plain))
}

fn hash(keyring: &Keyring, secret: &str) -> [u8; 32] {
    keyring.hash_secret(HASH_LABEL, secret.as_bytes())
}

fn digits_of(id: ApiKeyId) -> String {
    hex::encode(id.to_bytes())
}

fn checksum(text: &str) -> String {
    base62(&mut crc32fast::hash(text.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS)
}

/// The big-endian number in `bytes` as that many digits of base 62; wipes the bytes.
fn base62(bytes: &mut [u8], digits: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text: Vec<char> = (0..digits)
        .map(|_| {
            let remainder = bytes.iter_mut().fold(0, |carry: u16, byte| {
                let value = carry << 8 | u16::from(*byte);
                *byte = u8::try_from(value / 62).unwrap_or_default();
                value % 62
            });
            char::from(DIGITS[usize::from(remainder)])
        })
        .collect();
    text.reverse();
    text.into_iter().collect()
}

/// The id and the secret of a key that was written correctly.
fn parts(text: &str) -> Option<(ApiKeyId, &str)> {
    let (checked, sum) = text.rsplit_once('_')?;
    let (id, secret) = checked.strip_prefix(PREFIX)?.split_once('_')?;
    let written_well = id.len() == ID_DIGITS
        && secret.len() == SECRET_DIGITS
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && same(checksum(checked).as_bytes(), sum.as_bytes());
    let mut bytes = [0; 16];
    hex::decode_to_slice(id, &mut bytes).ok()?;
    written_well.then_some((ApiKeyId::from_bytes(bytes), secret))
}

/// The key of this text, if it works now and from this address. One that was mistyped, is unknown, has another
/// secret, has ended, was revoked or comes from elsewhere gets the same answer; only a store that cannot be
/// read gives another.
pub async fn check(
    store: &dyn Store,
    keyring: &Keyring,
    now: Timestamp,
    from: Option<IpAddr>,
    text: &str,
) -> Result<ApiKey, Problem> {
    let (id, secret) = parts(text).ok_or_else(Problem::unauthorized)?;
    let stored = store.api_key(id).await?;
    // Hashed for an unknown key too, so that time does not tell which ids there are.
    let given = hash(keyring, secret);
    let mut kept = [0; 32];
    let known = stored.as_ref().is_some_and(|key| hex::decode_to_slice(&key.hash, &mut kept).is_ok());
    let fits = same(&given, &kept);
    stored.filter(|key| known && fits && works(key, now, from)).ok_or_else(Problem::unauthorized)
}

/// Whether a key works at `now`, from this address.
pub fn works(key: &ApiKey, now: Timestamp, from: Option<IpAddr>) -> bool {
    let comes_right = || from.map_or(key.networks.is_empty(), |address| key.may_come_from(address));
    key.is_live(now) && comes_right()
}

/// What a request carries as its key: `Authorization: Bearer …`, given once.
pub fn bearer(request: &HttpRequest) -> Option<&str> {
    let mut values = request.headers().get_all(AUTHORIZATION);
    let (scheme, key) = values.next()?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && values.next().is_none()).then_some(key.trim())
}

#[cfg(test)]
#[path = "api_keys_tests.rs"]
mod tests;
