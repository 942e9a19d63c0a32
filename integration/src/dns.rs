//! A name server for which every name is this machine.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use tokio::{net::UdpSocket, task::JoinHandle};

/// A running name server; it ends when dropped.
pub struct NameServer {
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// The bytes before the question: <https://www.rfc-editor.org/rfc/rfc1035#section-4.1.1>.
const HEAD: usize = 12;
/// The type of the question for IPv4 addresses.
const A: [u8; 2] = [0, 1];
/// The name of the question, IPv4, a minute, 127.0.0.1.
const LOOPBACK: [u8; 16] = [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];

impl NameServer {
    /// Starts one.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = socket.local_addr()?;
        let server = tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                if let Some(answer) = buffer.get(..length).and_then(answer) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { address, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let labels = query.get(HEAD..)?;
    let name = labels.iter().position(|byte| *byte == 0)? + 1;
    let question = labels.get(..name + 4)?;
    let is_known = question.get(name..name + 2)? == A;
    let mut answer = query.get(..2)?.to_vec();
    // An answer, recursion available, one question, and one answer or none.
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_known), 0, 0, 0, 0]);
    answer.extend(question);
    if is_known {
        answer.extend(LOOPBACK);
    }
    Some(answer)
}
