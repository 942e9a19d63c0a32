//! Runs tests again whenever a file changes.

use std::{path::PathBuf, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::{NOTHING_RUN, Test};
use crate::{
    loaded::is_known,
    output::{say, tell},
    source::{self, Fingerprint},
};

/// How often the files are looked at. They may be on a file system that tells of nothing.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs the tests, and again with every change, until interrupted; the exit code.
pub(super) fn run(test: &Test) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let watched = match &runtime {
        Ok(runtime) => runtime.block_on(watch(test)),
        Err(error) => Err(std::io::Error::new(error.kind(), error.to_string())),
    };
    match watched {
        Ok(()) => 0,
        Err(error) => {
            tell(error);
            NOTHING_RUN
        }
    }
}

async fn watch(test: &Test) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut last = look(test);
    loop {
        // What is wrong was said, and may be mended by the next change.
        let _ = test.run_once();
        say(format!("{}\nWatching for changes ...\n", "*".repeat(80))).map_err(std::io::Error::other)?;
        tokio::select! {
            () = change(test, &mut last) => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
    }
}

/// Waits until the files are others than the `last` time, and do not change any more.
async fn change(test: &Test, last: &mut Result<Fingerprint, String>) {
    let mut has_changed = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = look(test);
        let is_same = now == *last;
        *last = now;
        if is_same && has_changed {
            return;
        }
        has_changed |= !is_same;
    }
}

/// What the files look like from outside.
fn look(test: &Test) -> Result<Fingerprint, String> {
    let mut files: Vec<PathBuf> = Vec::new();
    let belongs = |name: &str| is_known(name) || source::belongs(name) || name.ends_with(".tar.gz");
    for path in &test.paths {
        files.extend(source::files_below(path, &test.ignored(), belongs)?);
    }
    Fingerprint::of(files)
}
