//! How many requests to `/v1` somebody may send: by address, by API key, by session.
//!
//! A key and a session are known here by what was sent, before it is looked at whether that works: only who has it
//! can use its rate up. How far a rate is used up is said in `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-10).

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, ResponseError, web};
use iassistance_config::{RightsSettings, ServerSettings};
use iassistance_domain::{Clock, Timestamp};
use iassistance_identity::rate::Rate;

use crate::http::door::Door;
use crate::http::{Problem, State, cookies};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Places for addresses, and for keys and sessions, in each of two rows; of 8 bytes.
const ADDRESSES: usize = 1 << 16;
const CREDENTIALS: usize = 1 << 14;

/// The rates of one server. They take a fixed amount of memory.
pub struct Rates {
    address: Option<Named>,
    key: Option<Named>,
    session: Option<Named>,
    /// Of the public pages on which people ask about their own data.
    page: Option<Named>,
    clock: Arc<dyn Clock>,
}

/// How far the rates of a request are used up.
#[derive(Default)]
struct Standing {
    policies: Vec<String>,
    left: Vec<String>,
}

/// One of the rates, by the name that it is told by.
struct Named {
    name: &'static str,
    rate: Rate,
}

impl Rates {
    /// Rates of which nothing is used up.
    pub fn new(settings: &ServerSettings, rights: &RightsSettings, clock: &Arc<dyn Clock>) -> Self {
        // No burst is no limit.
        let rate = |name, burst, interval_ms, places| {
            let rate = Rate::new(NonZeroU32::new(burst)?, interval_ms, places, Arc::clone(clock));
            Some(Named { name, rate })
        };
        let (address, key, session) = (
            settings.rate_address_interval_ms,
            settings.rate_key_interval_ms,
            settings.rate_session_interval_ms,
        );
        Self {
            address: rate("address", settings.rate_address_burst, address, ADDRESSES),
            key: rate("key", settings.rate_key_burst, key, CREDENTIALS),
            session: rate("session", settings.rate_session_burst, session, CREDENTIALS),
            page: rate("rights_page", rights.page_burst, rights.page_interval_ms, ADDRESSES),
            clock: Arc::clone(clock),
        }
    }

    /// Counts a request about somebody's own data; after how many seconds it may come if it is one too many.
    pub fn take_page(&self, door: &Door, request: &HttpRequest) -> Result<(), u64> {
        match (&self.page, door.address(request)) {
            (Some(rate), Some(address)) => {
                let standing = Standing::default().with(rate, &address, self.clock.now());
                standing.map(drop).map_err(|(_, wait_s)| wait_s)
            }
            _ => Ok(()),
        }
    }

    /// Counts a request; in the way of an error if it is one too many, and after how many seconds it is not.
    fn take(&self, door: &Door, request: &HttpRequest) -> Result<Standing, (Standing, u64)> {
        let (now, mut standing) = (self.clock.now(), Standing::default());
        if let (Some(rate), Some(address)) = (&self.address, door.address(request)) {
            standing = standing.with(rate, &address, now)?;
        }
        if let Some(authorization) = request.headers().get(AUTHORIZATION) {
            return match &self.key {
                Some(rate) => standing.with(rate, authorization.as_bytes(), now),
                None => Ok(standing),
            };
        }
        match (&self.session, cookies::session(request)) {
            (Some(rate), Some(token)) => standing.with(rate, token.expose(), now),
            _ => Ok(standing),
        }
    }
}

impl Standing {
    fn with(
        mut self,
        named: &Named,
        whose: &(impl Hash + ?Sized),
        now: Timestamp,
    ) -> Result<Self, (Self, u64)> {
        let Named { name, rate } = named;
        let (taken, burst) = (rate.take(whose), rate.burst());
        let seconds = |ms: u64| ms.div_ceil(1_000);
        self.policies.push(format!("\"{name}\";q={burst};w={}", seconds(rate.ms_for(burst)).max(1)));
        let (left, resets_s) = match taken {
            Ok(left) => (left, seconds(rate.ms_for(burst - left))),
            Err(refused) => (0, seconds(refused.until.millis_since(now)).max(1)),
        };
        self.left.push(format!("\"{name}\";r={left};t={resets_s}"));
        match taken {
            Ok(_) => Ok(self),
            Err(_) => {
                metrics::counter!("iassistance_limited_total", "limit" => *name).increment(1);
                Err((self, resets_s))
            }
        }
    }

    fn put(self, headers: &mut HeaderMap) {
        for (name, parts) in [(POLICY, self.policies), (LIMIT, self.left)] {
            if let (false, Ok(value)) = (parts.is_empty(), HeaderValue::try_from(parts.join(", "))) {
                headers.insert(name, value);
            }
        }
    }
}

/// Whether a request is for `/v1`, as it will be routed: however its address is written.
pub(super) fn is_of_api(request: &ServiceRequest) -> bool {
    let path = request.match_info().as_str();
    path.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Counts requests to `/v1`, and sends away those that are too many.
pub async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let state = request.app_data::<web::Data<State>>().cloned();
    let Some(state) = state.filter(|_| is_of_api(&request)) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    match state.rates.take(&state.door, request.request()) {
        Ok(standing) => {
            let mut answered = next.call(request).await?.map_into_left_body();
            standing.put(answered.headers_mut());
            Ok(answered)
        }
        Err((standing, wait_s)) => {
            let problem = Problem::rate_limited(u32::try_from(wait_s).unwrap_or(u32::MAX));
            let mut answered = request.into_response(problem.error_response()).map_into_right_body();
            standing.put(answered.headers_mut());
            Ok(answered)
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use iassistance_config::Sources;
    use iassistance_domain::ManualClock;

    use super::*;

    fn rates(flags: &[&str]) -> (ManualClock, Rates, Door) {
        let clock = ManualClock::at(Timestamp::from_secs(1_790_000_000));
        let flags = flags.iter().map(|flag| format!("server.rate_{flag}")).collect();
        let settings = Sources { flags, ..Sources::default() }.settings().unwrap();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let rates = Rates::new(&settings.server, &settings.rights, &shared);
        (clock, rates, Door::new(&settings.server, shared))
    }

    fn request(last: u8, header: Option<(&str, &str)>) -> HttpRequest {
        let request = TestRequest::default().peer_addr(([192, 0, 2, last], 99).into());
        header.into_iter().fold(request, TestRequest::append_header).to_http_request()
    }

    fn said(standing: Standing) -> (String, String) {
        let mut headers = HeaderMap::new();
        standing.put(&mut headers);
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        (text(POLICY).unwrap_or_default(), text(LIMIT).unwrap_or_default())
    }

    #[test]
    fn an_address_has_its_burst_and_then_one_after_the_other() {
        let (clock, rates, door) = rates(&["address_burst=3", "address_interval_ms=1500"]);
        let one = request(1, None);
        for left in [2, 1, 0] {
            let (policy, limit) = said(rates.take(&door, &one).ok().unwrap());
            let resets = ((3 - left) * 1_500_u64).div_ceil(1_000);
            assert_eq!(policy, "\"address\";q=3;w=5");
            assert_eq!(limit, format!("\"address\";r={left};t={resets}"));
        }
        let (standing, wait_s) = rates.take(&door, &one).err().unwrap();
        assert_eq!((said(standing).1.as_str(), wait_s), ("\"address\";r=0;t=2", 2));
        assert!(rates.take(&door, &request(2, None)).is_ok(), "another is not concerned");
        clock.advance_millis(1_500);
        assert!(rates.take(&door, &one).is_ok() && rates.take(&door, &one).is_err());
    }

    #[test]
    fn a_key_and_a_session_have_their_own_wherever_they_come_from() {
        let (_, rates, door) = rates(&["address_burst=100", "key_burst=2", "session_burst=1"]);
        let key = |last, key| request(last, Some(("authorization", key)));
        let (policy, limit) = said(rates.take(&door, &key(1, "Bearer a")).ok().unwrap());
        assert_eq!(policy, "\"address\";q=100;w=1, \"key\";q=2;w=1");
        assert_eq!(limit, "\"address\";r=99;t=1, \"key\";r=1;t=1");
        assert!(rates.take(&door, &key(2, "Bearer a")).is_ok());
        assert!(rates.take(&door, &key(3, "Bearer a")).is_err());
        assert!(rates.take(&door, &key(3, "Bearer b")).is_ok());
        let session = format!("{}=x", cookies::SESSION);
        let session = |last| request(last, Some(("cookie", session.as_str())));
        assert!(rates.take(&door, &session(1)).is_ok() && rates.take(&door, &session(4)).is_err());
        assert!(rates.take(&door, &request(4, None)).is_ok());
    }

    #[test]
    fn many_addresses_take_no_memory_and_nothing_away_from_others() {
        let (_, rates, door) = rates(&["address_burst=5", "address_interval_ms=60000"]);
        let rate = &rates.address.as_ref().unwrap().rate;
        for flood in 0..2_000_u32 {
            for _ in 0..5 {
                let _counted = rate.take(&flood);
            }
        }
        let served = (0..=255).filter(|last| rates.take(&door, &request(*last, None)).is_ok()).count();
        assert!(served > 250, "{served} of 256 that are new are served");
    }

    #[test]
    fn no_burst_is_no_limit() {
        let (_, rates, door) = rates(&["address_burst=0", "key_burst=0", "session_burst=0"]);
        assert!((0..5_000).all(|_| rates.take(&door, &request(1, None)).is_ok()));
        assert_eq!(said(rates.take(&door, &request(1, None)).ok().unwrap()), Default::default());
    }
}
