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

/// What happens to the next commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Postgres gets it and commits; the connection is cut before its reply.
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

    /// Loses so many of the next commits or their replies.
    pub fn lose(&self, loss: Loss, times: i64) {
        match loss {
            Loss::Reply => self.losses.replies.store(times, Ordering::SeqCst),
            Loss::Commit => self.losses.commits.store(times, Ordering::SeqCst),
        }
    }

    /// How many commits or replies were lost so far.
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

    /// How what commits is to be lost, if it is.
    fn next(&self) -> Option<Loss> {
        if self.take(&self.replies) {
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
/// Of the statement that writes a small batch and commits by itself.
const SMALL_BATCH: &[u8] = b"WITH fence AS (";

/// What commits on one connection.
#[derive(Default)]
struct Commits {
    /// A message that executes the small batch's statement begins so: the unnamed portal, and the statement's name.
    bind: Option<Vec<u8>>,
}

impl Commits {
    /// Whether what goes to the server commits.
    fn is_one(&mut self, bytes: &[u8]) -> bool {
        const PARSE: u8 = b'P';
        const HEADER_BYTES: usize = 5;
        if bytes[0] == PARSE && has(bytes, SMALL_BATCH) {
            let name = bytes[HEADER_BYTES..].split_inclusive(|byte| *byte == 0).next().unwrap_or_default();
            self.bind = Some([b"\0", name].concat());
            return false;
        }
        let executes = |bind: &Vec<u8>| bytes[0] == b'B' && bytes[HEADER_BYTES..].starts_with(bind);
        has(bytes, COMMIT) || self.bind.as_ref().is_some_and(executes)
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

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
    let mut commits = Commits::default();
    loop {
        let Ok(bytes @ 1..) = from.read(&mut buffer).await else { return };
        if link.wait_for(|link| *link != Link::Silent).await.is_err() {
            return;
        }
        let loss = if commits.is_one(&buffer[..bytes]) { losses.next() } else { None };
        match loss {
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
