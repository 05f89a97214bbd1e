//! A TCP proxy between workers and Postgres that can lose what it carries, at the worst moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// They work.
    Up,
    /// They are closed, and new ones are closed at once.
    Cut,
    /// They stay open, and nothing comes through any more.
    Silent,
}

/// What happens to the next COMMITs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Postgres gets the COMMIT; the connection is cut before its reply.
    Reply,
    /// The connection is cut before Postgres gets it.
    Commit,
}

/// A proxy that ends with its handle.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    link: watch::Sender<Link>,
    losses: Arc<Losses>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Losses {
    replies: AtomicI64,
    commits: AtomicI64,
    lost: AtomicUsize,
}

impl Proxy {
    /// A proxy to this address.
    pub async fn to(address: (String, u16)) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (link, seen) = watch::channel(Link::Up);
        let losses = Arc::<Losses>::default();
        let shared = losses.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, address.clone(), seen.clone(), shared.clone()));
            }
        });
        Proxy { port, link, losses, accepting }
    }

    /// The same database by way of the proxy.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://millrace@127.0.0.1:{}/{database}", self.port)
    }

    /// From now on, for all connections.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }

    /// Loses so many of the next COMMITs or their replies.
    pub fn lose(&self, loss: Loss, times: i64) {
        match loss {
            Loss::Reply => self.losses.replies.store(times, Ordering::SeqCst),
            Loss::Commit => self.losses.commits.store(times, Ordering::SeqCst),
        }
    }

    /// How many COMMITs or replies were lost so far.
    pub fn lost(&self) -> usize {
        self.losses.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.link.send_replace(Link::Cut);
    }
}

impl Losses {
    fn take(&self, of: &AtomicI64) -> bool {
        let taken = of.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left > 0).then_some(left - 1)).is_ok();
        self.lost.fetch_add(usize::from(taken), Ordering::SeqCst);
        taken
    }

    /// Whether what goes to the server is a COMMIT that is to be lost, and how.
    fn next(&self, bytes: &[u8]) -> Option<Loss> {
        if !bytes.windows(COMMIT.len()).any(|window| window == COMMIT) {
            None
        } else if self.take(&self.replies) {
            Some(Loss::Reply)
        } else if self.take(&self.commits) {
            Some(Loss::Commit)
        } else {
            None
        }
    }
}

/// The simple query COMMIT on the wire.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

async fn carry(client: TcpStream, server: (String, u16), link: watch::Receiver<Link>, losses: Arc<Losses>) {
    if *link.borrow() == Link::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (client, server) = (client.into_split(), server.into_split());
    let (is_lost, lost) = watch::channel(false);
    // Whichever ends first drops both halves of both.
    tokio::select! {
        () = to_server(client.0, server.1, link.clone(), &losses, is_lost) => {}
        () = to_client(server.0, client.1, link.clone(), lost) => {}
        () = cut(link) => {}
    }
}

async fn cut(mut link: watch::Receiver<Link>) {
    // An error says that the proxy is gone: that is a cut, too.
    let _ = link.wait_for(|link| *link == Link::Cut).await;
}

async fn to_server(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
    losses: &Losses,
    is_lost: watch::Sender<bool>,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok(bytes @ 1..) = from.read(&mut buffer).await else { return };
        if link.wait_for(|link| *link != Link::Silent).await.is_err() {
            return;
        }
        match losses.next(&buffer[..bytes]) {
            Some(Loss::Commit) => return,
            Some(Loss::Reply) => drop(is_lost.send_replace(true)),
            None => {}
        }
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}

async fn to_client(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
    lost: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok(bytes @ 1..) = from.read(&mut buffer).await else { return };
        if *lost.borrow() || link.wait_for(|link| *link != Link::Silent).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}
