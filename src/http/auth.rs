//! API keys, and who may do what with one.
//!
//! A key is `iak_<id>_<secret>_<checksum>`: 32 hexadecimal digits, 43 digits of base 62 (256 bits)
//! and 6 more that tell a slip of the pen from a key that does not exist. It is shown once; a keyed
//! hash of its secret is what is kept. Permission stands in a handler's signature: [`Allowed`].

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError, web};

use iassistance_config::Secret;
use iassistance_domain::id::{ApiKeyId, TenantId};
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Entropy, Timestamp};
use iassistance_storage::Store;
use iassistance_vault::{Keyring, same};

use super::{Problem, State};

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

/// Who asks: the holder of an API key that works now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    key: ApiKeyId,
    tenant: Option<TenantId>,
    scopes: Vec<Scope>,
}

impl Caller {
    /// The holder of this key. A key that was mistyped, is unknown, has another secret, has ended or
    /// was revoked gets the same answer; only a store that cannot be read gives another.
    pub async fn of_key(
        store: &dyn Store,
        keyring: &Keyring,
        now: Timestamp,
        text: &str,
    ) -> Result<Self, Problem> {
        let (id, secret) = parts(text).ok_or_else(Problem::unauthorized)?;
        let stored = store.api_key(id).await?;
        // Hashed for an unknown key too, so that time does not tell which ids there are.
        let given = hash(keyring, secret);
        let mut kept = [0; 32];
        let known = stored.as_ref().is_some_and(|key| hex::decode_to_slice(&key.hash, &mut kept).is_ok());
        let fits = same(&given, &kept);
        match stored {
            Some(key) if known && fits && key.is_live(now) => {
                Ok(Self { key: key.id, tenant: key.tenant, scopes: key.scopes })
            }
            _ => Err(Problem::unauthorized()),
        }
    }

    /// The caller of a request whose credential was checked already, as it is for all under `/v1`.
    pub fn known(request: &HttpRequest) -> Result<Rc<Self>, Problem> {
        request.extensions().get::<Rc<Self>>().cloned().ok_or_else(Problem::unauthorized)
    }

    /// The caller of a request: `Authorization: Bearer iak_…`, given once.
    pub async fn of(state: &State, request: &HttpRequest) -> Result<Self, Problem> {
        let text = bearer(request).ok_or_else(Problem::unauthorized)?;
        Self::of_key(&*state.app.store, &state.app.keyring, state.clock().now(), text).await
    }

    /// The key that they hold.
    pub const fn key(&self) -> ApiKeyId {
        self.key
    }

    /// Whose key it is; nothing for one of the platform.
    pub const fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// Whether they have this right, for at least one tenant.
    pub fn has(&self, rule: &Rule) -> bool {
        let any = |scopes: &[Scope]| scopes.iter().any(|scope| self.scopes.contains(scope));
        match self.tenant {
            Some(_) => any(rule.tenant_key),
            None => any(&[Scope::Platform]) && (rule.platform_key.is_empty() || any(rule.platform_key)),
        }
    }

    /// Proof that they have right `R` for this tenant. Another tenant's is answered as if it were
    /// not there.
    pub fn ctx<R: Right>(&self, tenant: TenantId) -> Result<TenantCtx, Problem> {
        if !self.has(&R::RULE) {
            return Err(Problem::forbidden(R::RULE.refusal()));
        }
        if self.tenant.is_some_and(|own| own != tenant) {
            return Err(Problem::not_found());
        }
        Ok(TenantCtx::authenticated(tenant))
    }

    /// Whether they may give a tenant's key this scope: nobody hands out what they do not hold, and
    /// `platform`, which is no tenant's, is handed out on the command line alone.
    pub fn may_hand_out(&self, scope: Scope) -> bool {
        match scope {
            Scope::Platform | Scope::Dsar | Scope::Audit => false,
            Scope::Manage => self.has(&Manage::RULE),
            Scope::Read => self.has(&Read::RULE),
            Scope::Operate => self.has(&Operate::RULE),
        }
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let mut values = request.headers().get_all(AUTHORIZATION);
    let (scheme, key) = values.next()?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && values.next().is_none()).then_some(key.trim())
}

/// Lets nobody pass without a credential that works now; the handlers behind it know the caller.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let checked = match request.app_data::<web::Data<State>>() {
        Some(state) => Caller::of(state, request.request()).await,
        None => Err(Problem::internal()),
    };
    match checked {
        Ok(caller) => {
            request.extensions_mut().insert(Rc::new(caller));
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(problem) => Ok(request.into_response(problem.error_response()).map_into_right_body()),
    }
}

/// Which scopes give a right: any one of those listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// On a tenant's key, for that tenant alone. None: no tenant's key has the right.
    pub tenant_key: &'static [Scope],
    /// On a key of the platform, for every tenant, besides `platform`. None: that is enough.
    pub platform_key: &'static [Scope],
}

impl Rule {
    fn refusal(self) -> String {
        let names =
            |scopes: &[Scope]| scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join("` or `");
        match self.tenant_key {
            [] => "a key of the platform with the scope `platform` is needed".to_owned(),
            scopes => format!("a key with the scope `{}` is needed", names(scopes)),
        }
    }
}

/// A right that a handler asks for in its signature.
pub trait Right: 'static {
    /// Who has it.
    const RULE: Rule;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident: tenant $tenant:expr, platform $platform:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl Right for $name {
            const RULE: Rule = Rule { tenant_key: &$tenant, platform_key: &$platform };
        }
    )*};
}

// All rules there are: on a tenant's key any of the first scopes; on a key of the platform, which has
// the scope `platform`, any of the second ones too, where there are some.
rights! {
    /// See what people write: conversations, messages, turns, events, live. Who runs the platform
    /// does not read along by that alone.
    Read: tenant [Scope::Read], platform [Scope::Read];
    /// Act as an operator: take over, hand back, reply, replay.
    Operate: tenant [Scope::Operate], platform [Scope::Operate];
    /// See the set-up: the tenant, its channels, its assistant; no content, no secret.
    SetUp: tenant [Scope::Read, Scope::Operate, Scope::Manage], platform [];
    /// Change the set-up, and the keys.
    Manage: tenant [Scope::Manage], platform [];
    /// Have a tenant's events sent elsewhere, which is reading them: not by running the platform alone.
    Hooks: tenant [Scope::Manage], platform [Scope::Manage];
    /// Administer the platform: tenants, Meta apps.
    Platform: tenant [], platform [];
}

/// The caller, who has right `R`. Which tenant it is for is settled by [`Allowed::ctx`].
pub struct Allowed<R: Right> {
    caller: Rc<Caller>,
    right: PhantomData<R>,
}

impl<R: Right> Allowed<R> {
    /// Proof of the right for this tenant; 404 for every tenant that the key is not for, whether it
    /// is there or not.
    pub fn ctx(&self, tenant: TenantId) -> Result<TenantCtx, Problem> {
        self.caller.ctx::<R>(tenant)
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl<R: Right> FromRequest for Allowed<R> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Caller::known(request).and_then(|caller| {
            if caller.has(&R::RULE) {
                Ok(Self { caller, right: PhantomData })
            } else {
                Err(Problem::forbidden(R::RULE.refusal()))
            }
        }))
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
