//! A newtype for every identifier and position, so that swapped arguments do not compile.
//!
//! Rules of form for the text identifiers live with the event (`event.rs`), where their field is known.

use std::fmt;

use smol_str::SmolStr;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id! {
    /// The identity of one event: a UUIDv7 (RFC 9562), made by the publisher and the same on every retry.
    EventId
}
uuid_id! {
    /// The identity of a payment, the thing that events are about.
    PaymentId
}
uuid_id! {
    /// The refund, dispute, fee or single capture that an event is about; unique within its payment.
    OperationId
}

impl EventId {
    /// The time that the id carries: milliseconds since 1970, the first 48 bits of a UUIDv7.
    pub fn unix_ms(self) -> i64 {
        (self.0.as_u128() >> 80) as i64
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub SmolStr);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The owner of a payment and the Kafka key: 1 to 64 visible ASCII characters.
    UserId
}
text_id! {
    /// The merchant whom a payment pays: 1 to 64 characters.
    MerchantId
}

/// A partition of the event topic: the unit of order, of ownership, of contention and of placement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Partition(pub i32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's place within its partition, counted by Kafka from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset of the record that follows this one.
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a record stands in the topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// The partition that holds the record.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
}

impl Position {
    /// The position before which there is none.
    pub const FIRST: Position = Position { partition: Partition(0), offset: Offset(0) };
}

/// A moment in microseconds since 1970, UTC. It may lie before 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Micros(pub i64);

impl Micros {
    /// The moment that many microseconds earlier, or the earliest that can be told.
    pub fn minus(self, micros: i64) -> Micros {
        Micros(self.0.saturating_sub(micros))
    }
}
