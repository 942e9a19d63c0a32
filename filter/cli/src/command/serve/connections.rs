//! The connections that requests come over.

use std::{net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, service::Service as _};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{authentication::Peer, long_poll::Stop, tls::Tls};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be idle, or take to send the head of a request.
const IDLE: Duration = Duration::from_secs(300);
/// How long requests that are being answered have when the server stops.
const GRACE: Duration = Duration::from_secs(4);
/// When no connection can be accepted, some must end first.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until it is asked to stop, and then those that it has.
pub(super) async fn serve(listener: TcpListener, router: Router, tls: Option<Arc<Tls>>, mut stop: Stop) {
    // Nothing is sent: it tells that the last connection has ended.
    let (alive, mut ended) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.asked() => break,
        };
        let Ok((stream, address)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (router, tls) = (router.clone(), tls.clone());
        let connection = connection(stream, address.ip(), router, tls, stop.clone(), alive.clone());
        tokio::spawn(connection);
    }
    drop((listener, alive));
    let _ = timeout(GRACE, ended.recv()).await;
}

async fn connection(
    stream: TcpStream,
    address: IpAddr,
    router: Router,
    tls: Option<Arc<Tls>>,
    stop: Stop,
    _alive: mpsc::Sender<()>,
) {
    let Some(tls) = tls else {
        return drive(stream, Peer { has_certificate: false, address }, router, stop).await;
    };
    let acceptor = TlsAcceptor::from(tls.current());
    let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let certificates = stream.get_ref().1.peer_certificates();
    let peer = Peer { has_certificate: certificates.is_some_and(|chain| !chain.is_empty()), address };
    drive(stream, peer, router, stop).await;
}

async fn drive(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    mut stop: Stop,
) {
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    server.http2().timer(TokioTimer::new());
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // What is wrong with a connection is its client's to know.
        _ = connection.as_mut() => return,
        () = stop.asked() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
