//! Files in a bucket.

use std::path::Path;

use iassistance_config::{MediaSettings, Secret};
use iassistance_storage::ContentStore;

use super::bucket::Bucket;
use super::{ADA, content, egress, keeps_files, media, put, refuses_whole, ring, settings};

#[tokio::test]
async fn a_bucket_keeps_files() {
    let bucket = Bucket::start().await;
    keeps_files(&bucket_store(&bucket)).await;
    assert!(bucket.seen().iter().any(|line| line.contains("uploadId")), "large files go in parts");
    assert!(bucket.seen().iter().all(|line| !line.contains("passport")), "nothing personal in an address");
    let bucket = Bucket::start().await;
    refuses_whole(&bucket_store(&bucket)).await;
    assert_eq!(bucket.uploads_open(), 0, "what failed was taken back");
}

fn bucket_settings(bucket: &Bucket) -> MediaSettings {
    MediaSettings {
        s3_bucket: "files".to_owned(),
        s3_endpoint: bucket.address(),
        s3_access_key_id: "key".to_owned(),
        s3_secret_access_key: Secret::new("secret"),
        ..settings(Path::new("unused"))
    }
}

fn bucket_store(bucket: &Bucket) -> ContentStore {
    ContentStore::open(&bucket_settings(bucket), &egress(), ring()).unwrap()
}

#[tokio::test]
async fn a_bucket_that_refuses_is_told_in_words() {
    let bucket = Bucket::start().await;
    let store = bucket_store(&bucket);
    bucket.refuse(403);
    let refused = put(&store, ADA, media(1), content(10)).await.unwrap_err();
    assert!(refused.is_transient());
    assert!(refused.to_string().contains("media.s3_secret_access_key"), "{refused}");
    bucket.refuse(400);
    let refused = put(&store, ADA, media(1), content(10)).await.unwrap_err().to_string();
    assert!(refused.contains("400") && !refused.contains('<'), "{refused}");
}

#[tokio::test]
async fn a_bucket_without_its_settings_is_refused() {
    let bucket = Bucket::start().await;
    let good = || bucket_settings(&bucket);
    let refusal = |settings: MediaSettings| match ContentStore::open(&settings, &egress(), ring()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("the settings should be refused"),
    };
    let key = refusal(MediaSettings { s3_access_key_id: String::new(), ..good() });
    assert_eq!(key, "`media.s3_access_key_id` is needed when there is a bucket");
    let secret = refusal(MediaSettings { s3_secret_access_key: Secret::new(""), ..good() });
    assert_eq!(secret, "`media.s3_secret_access_key` is needed when there is a bucket");
    let region = refusal(MediaSettings { s3_endpoint: String::new(), ..good() });
    assert_eq!(region, "`media.s3_region` is needed when there is a bucket");
    for bad in ["files.example", "http://files.example", "https://a:b@files.example", "https://x.example/?a"]
    {
        let endpoint = refusal(MediaSettings { s3_endpoint: bad.to_owned(), ..good() });
        assert!(endpoint.starts_with("`media.s3_endpoint` must be an address"), "{endpoint}");
    }
}
