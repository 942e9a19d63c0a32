//! Waits for a condition instead of for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until `condition` gives a value, and says how long it took.
///
/// # Errors
/// When it gave none within `patience`; `what` names what was waited for.
pub async fn eventually<T>(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> Result<(T, Duration)> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return Ok((value, start.elapsed()));
        }
        if start.elapsed() > patience {
            bail!("{what}: not within {patience:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
