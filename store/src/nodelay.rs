//! TCP_NODELAY on the connections to Postgres, which sqlx 0.9 neither sets nor lets us set.
//!
//! Without it each COPY of a small batch waits 40 ms: its last message is held back by Nagle's algorithm until the
//! server's delayed ACK. A lone event took 80 ms and more to commit, a batch of seven 150 ms (measured on loopback).
//! The socket cannot be had from sqlx, so that the process looks through its own. Only Linux lists them; elsewhere
//! small batches are slower, and no less right.
#![allow(unsafe_code, reason = "the socket's number is all that there is to be had")]

use std::mem::ManuallyDrop;
use std::net::TcpStream;
use std::os::fd::FromRawFd;

/// Sets it on every TCP connection of this process to this port: they are to the same server, or do not mind.
pub(crate) fn set(server_port: u16) {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else { return };
    for entry in descriptors.flatten() {
        let Some(descriptor) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // SAFETY: the stream never closes the descriptor, which stays its owner's. One that is no socket, or that was
        // closed meanwhile, answers the next call with an error.
        let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(descriptor) });
        if stream.peer_addr().is_ok_and(|peer| peer.port() == server_port) {
            // A failure is the state that was before.
            let _ = stream.set_nodelay(true);
        }
    }
}
