//! `iassistance channel test`: a channel tested with Meta from the command line.

use iassistance_config::{Settings, Sources};
use iassistance_domain::id::{ChannelId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use serde_json::json;

use super::{Failure, Output};
use crate::app::{App, AppParts, Vaulted};

pub fn test(
    settings: Settings,
    sources: &Sources,
    tenant: TenantId,
    channel: ChannelId,
    output: &Output,
) -> Result<(), Failure> {
    actix::System::new().block_on(async {
        let mut parts = AppParts::default();
        let vaulted = Vaulted::open(settings, sources.root_key().as_ref(), &mut parts)?;
        let app = App::start(&vaulted, parts).await?;
        let tested = app.engine.probe(TenantCtx::platform(tenant), channel).await;
        let stopped = app.stop().await;
        let report = tested?;
        stopped?;
        let lines: Vec<_> = report
            .checks
            .iter()
            .map(|check| {
                let mark = check.ok.map_or("??", |ok| if ok { "ok" } else { "no" });
                format!("{mark}  {}  {}", check.name, check.detail)
            })
            .collect();
        let checks: Vec<_> = report
            .checks
            .iter()
            .map(|check| json!({ "name": check.name, "ok": check.ok, "detail": check.detail }))
            .collect();
        let state = report.state();
        output.answer(&lines.join("\n"), &json!({ "state": state, "checks": checks }))?;
        if state.sends() { Ok(()) } else { Err(report.reason().unwrap_or_default().into()) }
    })
}
