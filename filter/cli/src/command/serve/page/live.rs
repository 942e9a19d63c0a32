//! What changes on the page, sent to those that have it open.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::sleep,
};

use super::view;
use crate::command::serve::http::Served;

/// What was sent last, to whom.
#[derive(Debug)]
pub(super) struct Live {
    shown: watch::Sender<Arc<str>>,
    /// Told of each new listener.
    joined: Notify,
    seats: Arc<Semaphore>,
}

/// So many may listen.
const SEATS: usize = 64;
/// The shortest time from one sending to the next.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// After so long without news it may look otherwise all the same: time has passed, or another bundle is served.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Default for Live {
    fn default() -> Self {
        let shown = watch::Sender::new(Arc::from(""));
        Self { shown, joined: Notify::new(), seats: Arc::new(Semaphore::new(SEATS)) }
    }
}

/// Renders for all listeners at once, when there is something new and somebody listens.
pub(in crate::command::serve) async fn publish(served: Arc<Served>) {
    let live = &served.page.live;
    let (mut news, mut stop) = (served.sink.news(), served.stop.clone());
    loop {
        let has_joined = tokio::select! {
            () = stop.asked() => return,
            () = live.joined.notified() => true,
            _ = news.changed() => false,
            () = sleep(LOOK_EVERY) => false,
        };
        if live.shown.receiver_count() > 0 {
            let served = Arc::clone(&served);
            let rendered = tokio::task::spawn_blocking(move || view::overview(&served)).await;
            if let Ok(Ok(html)) = rendered {
                live.shown.send_if_modified(|shown| {
                    let is_new = has_joined || **shown != *html;
                    *shown = Arc::from(html);
                    is_new
                });
            }
        }
        sleep(AT_MOST_EVERY).await;
    }
}

/// `GET /live`: the changing part of the page, whenever it has changed, as a text in JSON.
pub(super) async fn listen(State(served): State<Arc<Served>>) -> Response {
    let live = &served.page.live;
    let Ok(seat) = Arc::clone(&live.seats).try_acquire_owned() else {
        let later = [(header::RETRY_AFTER, "10")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, "too many listen already\n").into_response();
    };
    let shown = live.shown.subscribe();
    live.joined.notify_one();
    let events = stream::unfold((shown, served.stop.clone(), seat), async |(mut shown, mut stop, seat)| {
        tokio::select! {
            changed = shown.changed() => changed.ok()?,
            () = stop.asked() => return None,
        }
        let html = Arc::clone(&shown.borrow_and_update());
        let event = Event::default().json_data(&*html).ok()?;
        Some((Ok::<_, Infallible>(event), (shown, stop, seat)))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
