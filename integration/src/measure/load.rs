//! The load: agents that keep their connections, ask at once again or at a fixed rate, and are all allowed.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use hdrhistogram::Histogram;
use tokio::sync::{Mutex, mpsc};

use crate::{
    agent::{Agent, Answer, Connection},
    eventually::eventually,
};

/// How HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A connection for each request at a time.
    Http1,
    /// Several requests at a time over a connection.
    Http2,
}

/// Requests that are on their way at the same time, each from a lane of its own.
#[derive(Clone)]
pub struct Lanes {
    lanes: Vec<Arc<Mutex<Connection>>>,
    headers: Arc<Vec<(String, String)>>,
}

/// Latencies, in nanoseconds.
pub type Latencies = Histogram<u64>;

/// The host that is asked.
pub const HOST: &str = "bigquery.googleapis.com";
/// What is asked of it: the action `query` of `gcp_bigquery`.
pub const PATH: &str = "/bigquery/v2/projects/p/queries";
/// How many requests of a connection are on their way at the same time, with HTTP/2.
const STREAMS: usize = 2;
/// How long a lane may have to wait for its first answer: a policy may have to come first.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a client of Google sends along.
const HEADERS: [(&str, &str); 4] = [
    ("user-agent", "google-cloud-sdk-go/1.61 gl-go/1.26"),
    ("accept-encoding", "gzip"),
    ("content-type", "application/json"),
    ("x-goog-api-client", "gl-go/1.26 gccl/1.61 grpc/1.83"),
];

// === impl Lanes ===

impl Lanes {
    /// A lane for each agent, with so many headers beside the pseudo-headers and `content-length`, and an answer to
    /// each. A connection has more than one lane where the protocol can do that.
    pub async fn open(agents: &[Agent], protocol: Protocol, headers: usize) -> Result<Self> {
        let own = HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let more = (0..).map(|number| (format!("x-header-{number}"), format!("value {number} of a header")));
        let headers = Arc::new(own.into_iter().chain(more).take(headers).collect());
        let mut lanes = Self { lanes: Vec::new(), headers };
        match protocol {
            Protocol::Http1 => {
                for agent in agents {
                    lanes.add(agent.connect().await?);
                }
            }
            Protocol::Http2 => {
                for agent in agents.iter().step_by(STREAMS) {
                    let connection = agent.connect_http2().await?;
                    (1..STREAMS).filter_map(|_| connection.beside()).for_each(|stream| lanes.add(stream));
                    lanes.add(connection);
                }
            }
        }
        for lane in &lanes.lanes {
            let (mut connection, mut last) = (lane.lock().await, None);
            let allowed = eventually(PATIENCE, "an agent that is allowed", async || {
                last = lanes.ask(&mut connection).await.ok();
                last.as_ref().is_some_and(|answer| answer.status == 200).then_some(())
            });
            allowed.await.with_context(|| format!("the last answer was {last:?}"))?;
        }
        Ok(lanes)
    }

    /// How many headers a request has by itself.
    pub fn usual_headers() -> usize {
        HEADERS.len()
    }

    fn add(&mut self, connection: Connection) {
        self.lanes.push(Arc::new(Mutex::new(connection)));
    }

    async fn ask(&self, connection: &mut Connection) -> Result<Answer> {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        connection.send_with("POST", HOST, PATH, &headers).await
    }

    async fn must_be_allowed(&self, connection: &mut Connection) -> Result<()> {
        let answer = self.ask(connection).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }

    /// Closed loop: every lane asks as soon as it is answered, `requests` of all lanes together. Says how long it took.
    pub async fn send(&self, requests: usize) -> Result<Duration> {
        let begin = Instant::now();
        let each = requests.div_ceil(self.lanes.len());
        let tasks = self.lanes.iter().map(|lane| {
            let (lanes, lane) = (self.clone(), Arc::clone(lane));
            tokio::spawn(async move {
                let mut connection = lane.lock().await;
                for _ in 0..each {
                    lanes.must_be_allowed(&mut connection).await?;
                }
                anyhow::Ok(())
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        Ok(begin.elapsed())
    }

    /// How many requests [`Self::send`] really sends where it is asked for `requests`.
    pub fn sends(&self, requests: usize) -> usize {
        requests.div_ceil(self.lanes.len()) * self.lanes.len()
    }

    /// Open loop: `rate` requests in a second fall due, whatever has become of those before them, and a request's
    /// latency counts from when it was due. What waits for a lane makes no other one wait.
    pub async fn pace(&self, rate: u32, time: Duration) -> Result<Latencies> {
        let (mut turns, mut tasks) = (Vec::new(), Vec::new());
        for lane in &self.lanes {
            let (turn, mut due) = mpsc::unbounded_channel::<Instant>();
            turns.push(turn);
            let (lanes, lane) = (self.clone(), Arc::clone(lane));
            tasks.push(tokio::spawn(async move {
                let mut connection = lane.lock().await;
                let mut latencies = Latencies::new(3)?;
                while let Some(due) = due.recv().await {
                    lanes.must_be_allowed(&mut connection).await?;
                    latencies.record(u64::try_from(due.elapsed().as_nanos())?)?;
                }
                anyhow::Ok(latencies)
            }));
        }
        let count = (f64::from(rate) * time.as_secs_f64()) as u32;
        // The runtime's own timer is too coarse: it wakes up by the millisecond.
        let clock = thread::spawn(move || {
            let begin = Instant::now();
            for (number, turn) in (0..count).zip(turns.iter().cycle()) {
                let due = begin + Duration::from_secs(1) * number / rate;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                // A lane that has failed says so itself.
                let _ = turn.send(due);
            }
        });
        let mut all = Latencies::new(3)?;
        for task in tasks {
            all.add(task.await??).context("latencies")?;
        }
        clock.join().map_err(|_| anyhow!("the clock has stopped"))?;
        Ok(all)
    }
}
