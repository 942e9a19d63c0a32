//! A gRPC server that does nothing but answer yes to Envoy's `ext_authz`: the floor of every sidecar. Its answer is the
//! same bytes each time.

use std::convert::Infallible;

use anyhow::Result;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Bytes, Incoming},
    header::HeaderValue,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use integration::stack::ANY_PORT;
use tokio::net::TcpListener;

/// What makes this program be that server.
pub(crate) const ARGUMENT: &str = "--answer-yes";

/// A `CheckResponse` with an empty `status`, which is 0, OK; before it, that it is not compressed, and its length.
const YES: [u8; 7] = [0, 0, 0, 0, 2, 0x0a, 0];

/// Answers for ever, on one thread. Its first line says where.
pub(crate) fn serve() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = TcpListener::bind(ANY_PORT).await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    })
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    request.into_body().collect().await?;
    let trailers = async {
        Some(Ok(HeaderMap::from_iter([("grpc-status", "0")].map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), HeaderValue::from_static(value))
        }))))
    };
    let mut response = Response::new(Full::new(Bytes::from_static(&YES)).with_trailers(trailers));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}
