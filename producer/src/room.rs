//! The bound of the queue: so many records and so many bytes under way, and no more.
//!
//! Both semaphores of tokio are fair: who waits first goes first, so a big record is not starved by small ones.

use std::sync::Arc;

use tokio::sync::{AcquireError, Semaphore};

/// The whole queue.
pub(crate) struct Room(Arc<Bounds>);

struct Bounds {
    records: Semaphore,
    bytes: Semaphore,
    records_max: u32,
    bytes_max: u32,
}

/// The place of one record. Dropping it makes room.
pub(crate) struct Place {
    bounds: Arc<Bounds>,
    bytes: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.bounds.records.add_permits(1);
        self.bounds.bytes.add_permits(self.bytes as usize);
    }
}

/// The queue was closed.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Closed;

impl From<AcquireError> for Closed {
    fn from(_: AcquireError) -> Closed {
        Closed
    }
}

impl Room {
    pub(crate) fn new(records_max: u32, bytes_max: u32) -> Room {
        Room(Arc::new(Bounds {
            records: Semaphore::new(records_max as usize),
            bytes: Semaphore::new(bytes_max as usize),
            records_max,
            bytes_max,
        }))
    }

    /// Records that have a place.
    pub(crate) fn taken(&self) -> usize {
        self.0.records_max as usize - self.0.records.available_permits()
    }

    /// Waits for room. A record above the whole bound takes all of it: it travels alone.
    pub(crate) async fn take(&self, bytes: usize) -> Result<Place, Closed> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.0.bytes_max);
        let a_record = self.0.records.acquire().await?;
        let its_bytes = self.0.bytes.acquire_many(bytes).await?;
        a_record.forget();
        its_bytes.forget();
        Ok(Place { bounds: Arc::clone(&self.0), bytes })
    }

    /// From now on there is no room for anyone, those who wait included.
    pub(crate) fn close(&self) {
        self.0.records.close();
        self.0.bytes.close();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    /// Whether the future is still waiting after it was polled once.
    async fn waits<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        let mut future = future;
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_next_wait_until_a_place_is_dropped() {
        let room = Room::new(1, 100);
        let first = room.take(10).await.expect("there is room");
        let mut second = pin!(room.take(10));
        assert!(waits(second.as_mut()).await);
        drop(first);
        second.await.expect("there is room again");
    }

    #[tokio::test]
    async fn a_small_record_does_not_overtake_a_big_one_that_waits() {
        let room = Room::new(10, 100);
        let first = room.take(60).await.expect("there is room");
        let mut big = pin!(room.take(80));
        assert!(waits(big.as_mut()).await);
        let mut small = pin!(room.take(1));
        assert!(waits(small.as_mut()).await, "40 bytes are free, but the big one came first");
        drop(first);
        big.await.expect("there is room again");
        small.await.expect("and for the small one");
    }

    #[tokio::test]
    async fn a_record_above_the_whole_bound_travels_alone() {
        let room = Room::new(10, 100);
        let giant = room.take(1_000_000).await.expect("it takes all of the room");
        let mut other = pin!(room.take(1));
        assert!(waits(other.as_mut()).await);
        drop(giant);
        other.await.expect("there is room again");
    }

    #[tokio::test]
    async fn closing_wakes_those_who_wait() {
        let room = Room::new(1, 100);
        let _first = room.take(10).await.expect("there is room");
        let mut second = pin!(room.take(10));
        assert!(waits(second.as_mut()).await);
        room.close();
        assert_eq!(second.await.err(), Some(Closed));
    }
}
