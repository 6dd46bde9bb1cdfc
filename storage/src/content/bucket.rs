//! A bucket that speaks S3, such as Supabase Storage, reached through the process's one way out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use iassistance_config::MediaSettings;
use iassistance_egress::{Destination, Egress};

use super::Result;
use super::error::{ContentError, failed};

/// Tries after the first; further ones are the caller's.
const RETRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// Where no region is given: servers other than Amazon's mostly ignore it.
const ANY_REGION: &str = "us-east-1";

/// The bucket that the settings name. Nothing is asked of it yet.
pub(crate) fn open(settings: &MediaSettings, egress: &Egress) -> Result<Arc<dyn ObjectStore>> {
    let needed = |key, text: &str| {
        let missing = || ContentError::Settings { key, rule: "is needed when there is a bucket".to_owned() };
        if text.is_empty() { Err(missing()) } else { Ok(()) }
    };
    // Without a key the library would go and ask for one where Amazon's machines give them out.
    needed("media.s3_access_key_id", &settings.s3_access_key_id)?;
    needed("media.s3_secret_access_key", settings.s3_secret_access_key.expose())?;
    if settings.s3_endpoint.is_empty() {
        needed("media.s3_region", &settings.s3_region)?;
    }
    let address = address(settings)?;
    let egress = egress.with_files(&address).map_err(|error| bad_endpoint(&error.to_string()))?;
    let region = if settings.s3_region.is_empty() { ANY_REGION } else { &settings.s3_region };
    let bucket = AmazonS3Builder::new()
        .with_bucket_name(&settings.s3_bucket)
        .with_endpoint(address.as_str())
        .with_region(region)
        .with_access_key_id(&settings.s3_access_key_id)
        .with_secret_access_key(settings.s3_secret_access_key.expose())
        // Not every server has the request that removes many at once.
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        })
        .with_http_connector(Door(egress))
        .build();
    Ok(Arc::new(bucket.map_err(|error| failed("preparing the bucket", &error))?))
}

/// Where the bucket's server is.
fn address(settings: &MediaSettings) -> Result<Url> {
    let text = match settings.s3_endpoint.as_str() {
        "" => format!("https://s3.{}.amazonaws.com", settings.s3_region),
        endpoint => endpoint.to_owned(),
    };
    let address = Url::parse(&text).map_err(|error| bad_endpoint(&error.to_string()))?;
    if address.query().is_some() || address.fragment().is_some() {
        return Err(bad_endpoint("it has a query or a fragment"));
    }
    Ok(address)
}

fn bad_endpoint(reason: &str) -> ContentError {
    let rule = format!("must be an address like https://project.storage.supabase.co/storage/v1/s3: {reason}");
    ContentError::Settings { key: "media.s3_endpoint", rule }
}

/// The bucket's requests go out by the process's own client, and only to the bucket.
#[derive(Clone)]
struct Door(Egress);

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

impl HttpConnector for Door {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Door {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let client = self.0.client_for(Destination::Files, &url);
        let client = client.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        HttpService::call(client, request).await
    }
}
