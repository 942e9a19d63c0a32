//! A rate limit service that speaks `envoy.service.ratelimit.v3`, by the rules of Envoy's own
//! (`github.com/envoyproxy/ratelimit`), for tests where that one is not: it reads the same file, and counts in the same
//! way, by one addition in Redis, whose answer decides. No two calls get the same count, so that none too many is within
//! the limit, however many services and Envoys ask.

mod limits;

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use envoy_types::pb::{
    envoy::{
        extensions::common::ratelimit::v3::RateLimitDescriptor,
        service::ratelimit::v3::{
            RateLimitRequest, RateLimitResponse,
            rate_limit_response::{Code, DescriptorStatus, RateLimit},
            rate_limit_service_server::{RateLimitService, RateLimitServiceServer},
        },
    },
    google::protobuf,
};
use redis::aio::ConnectionManager;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::limits::{Limit, Limits};

/// Answers Envoy whether a request is within its limits.
#[derive(Parser)]
#[command(name = "rate-limit-service")]
struct Arguments {
    /// The address to listen at; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8081")]
    addr: SocketAddr,
    /// Where the counters are.
    #[arg(long, default_value = "redis://127.0.0.1:6379")]
    redis: String,
    /// The limits.
    #[arg(long, default_value = "envoy-config/limits.yaml")]
    limits: PathBuf,
}

/// The service.
struct Service {
    limits: Limits,
    redis: ConnectionManager,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let text = std::fs::read_to_string(&arguments.limits).context(arguments.limits.display().to_string())?;
    let limits = yaml_serde::from_str(&text).context(arguments.limits.display().to_string())?;
    let client = redis::Client::open(arguments.redis)?;
    let redis = ConnectionManager::new(client).await.context("Redis")?;
    let listener = TcpListener::bind(arguments.addr).await?;
    println!("listening at http://{}", listener.local_addr()?);
    Server::builder()
        .add_service(RateLimitServiceServer::new(Service { limits, redis }))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}

#[tonic::async_trait]
impl RateLimitService for Service {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let request = request.into_inner();
        if request.domain != self.limits.domain {
            return Err(Status::not_found(format!("no limits of domain `{}`", request.domain)));
        }
        // Zero stands for what most requests do not say.
        let hits = request.hits_addend.max(1);
        let mut statuses = Vec::new();
        for descriptor in &request.descriptors {
            statuses.push(match self.limits.of(descriptor) {
                Some(limit) => self.count(descriptor, limit, hits).await?,
                None => DescriptorStatus { code: Code::Ok.into(), ..DescriptorStatus::default() },
            });
        }
        // Each is counted, whatever another one came to.
        let over = statuses.iter().any(|status| status.code == i32::from(Code::OverLimit));
        let overall_code = if over { Code::OverLimit } else { Code::Ok }.into();
        Ok(Response::new(RateLimitResponse { overall_code, statuses, ..RateLimitResponse::default() }))
    }
}

// === impl Service ===

impl Service {
    async fn count(
        &self,
        descriptor: &RateLimitDescriptor,
        limit: Limit,
        hits: u32,
    ) -> Result<DescriptorStatus, Status> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(unavailable)?.as_secs();
        let length = limit.unit.seconds();
        let began = now / length * length;
        let mut transaction = redis::pipe();
        transaction.atomic();
        let key = self.key(descriptor, began);
        transaction.incr(&key, hits).expire(&key, i64::try_from(length).unwrap_or(i64::MAX)).ignore();
        let (count,): (u64,) = transaction.query_async(&mut self.redis.clone()).await.map_err(unavailable)?;
        let most = u64::from(limit.requests_per_unit);
        let code = if count > most { Code::OverLimit } else { Code::Ok };
        let left = i64::try_from(began + length - now).unwrap_or(i64::MAX);
        Ok(DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit {
                name: String::new(),
                requests_per_unit: limit.requests_per_unit,
                unit: limit.unit.in_envoy().into(),
            }),
            limit_remaining: u32::try_from(most.saturating_sub(count)).unwrap_or(u32::MAX),
            duration_until_reset: Some(protobuf::Duration { seconds: left, nanos: 0 }),
            quota: None,
        })
    }

    /// Tells descriptors apart whatever is in their values, and one time from the next.
    fn key(&self, descriptor: &RateLimitDescriptor, began: u64) -> String {
        let parts = descriptor.entries.iter().flat_map(|entry| [&entry.key, &entry.value]);
        let parts = std::iter::once(&self.limits.domain).chain(parts);
        let key: String = parts.map(|part| format!("{}:{part}_", part.len())).collect();
        format!("{key}{began}")
    }
}

/// Envoy refuses the request then, with `failure_mode_deny`.
fn unavailable(error: impl ToString) -> Status {
    Status::unavailable(error.to_string())
}
