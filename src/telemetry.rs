//! Logs and metrics. Neither ever holds a secret or personal data.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use iassistance_actors::kernel::panics;
use iassistance_config::{LogFormat, LogSettings};

/// Bounds of the histograms of durations, in seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// How often what was measured is summed up.
const TIDY: Duration = Duration::from_secs(5);

/// What `/metrics` shows.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("`log.filter` is not a filter: {0}")]
    BadFilter(#[from] tracing_subscriber::filter::ParseError),
    /// The recorder could not be installed.
    #[error("metrics cannot be recorded: {0}")]
    Recorder(String),
}

impl Metrics {
    /// Installs the process's recorder, or returns the one that is installed.
    pub fn install() -> Result<Self, TelemetryError> {
        static INSTALLED: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .and_then(PrometheusBuilder::install_recorder)
                .map_err(|error| error.to_string())?;
            let kept = recorder.clone();
            thread::Builder::new()
                .name("metrics".to_owned())
                .spawn(move || tidy(&kept))
                .map_err(|error| error.to_string())?;
            Ok(recorder)
        });
        installed.clone().map(Self).map_err(TelemetryError::Recorder)
    }

    /// The metrics in Prometheus's text form.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// Sums up what was measured, as long as the process lives: until then every single measure is kept, and nobody
/// may ever ask for `/metrics`.
fn tidy(recorder: &PrometheusHandle) {
    loop {
        thread::sleep(TIDY);
        recorder.run_upkeep();
    }
}

/// Sets the log up, and a panic hook that tells where, never what: a panic's message may quote data.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&settings.filter)?;
    let colours = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A log that is set up already (by a test) stays.
    let _set_already = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    panics::install_hook();
    Ok(())
}
