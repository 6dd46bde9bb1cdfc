//! Each processing has its legal basis, and the record of processing says no other than the data map.

use std::collections::BTreeSet;

use iassistance_storage::keeping::data_map;
use serde_json::Value;

use crate::book::Proof;
use crate::harness::{Flow, within};

#[actix::test]
async fn promise_07() {
    let proof = Proof::of(7);
    let flow = Flow::start().await;
    let url = format!("http://{}/v1/privacy/processing-record", flow.address);
    let answer = within("the record", flow.http.get(url).send()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let record: Value = answer.json().await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut told = BTreeSet::new();
    for processing in record["processings"].as_array().unwrap() {
        let basis = text(&processing["basis"]);
        assert!(["contract", "interest", "obligation"].contains(&basis.as_str()), "{processing}");
        assert!(!text(&processing["kept"]).is_empty() && !text(&processing["basis_says"]).is_empty());
        for (path, category) in processing["fields"].as_object().unwrap() {
            let line = [
                text(&processing["record"]),
                path.clone(),
                text(category),
                text(&processing["purpose"]),
                basis.clone(),
                text(&processing["class"]),
            ];
            assert!(told.insert(line), "told twice: {} {path}", processing["record"]);
        }
    }
    let mut mapped = BTreeSet::new();
    for kind in data_map() {
        for line in kind.fields {
            mapped.insert([
                kind.kind.to_owned(),
                line.path,
                line.category.name().to_owned(),
                line.purpose.name().to_owned(),
                line.basis.name().to_owned(),
                line.class.name().to_owned(),
            ]);
        }
    }
    assert_eq!(told, mapped);
    flow.finish().await;
    let kinds: BTreeSet<_> = told.iter().map(|line| line[0].clone()).collect();
    proof.kept(format!("{} fields of {} kinds of record, each with its basis", told.len(), kinds.len()));
}
