//! From librdkafka's message to owned bytes.
//!
//! Headers are read through librdkafka itself: rust-rdkafka 0.39 panics on a header name that is not UTF-8, and any
//! publisher could send one.
#![allow(unsafe_code, reason = "header names that are not UTF-8 cannot be read through the safe wrapper")]

use std::ffi::CStr;
use std::ops::Range;
use std::ptr;

use millrace_domain::ids::{Micros, Offset};
use millrace_store::rows::RawRecord;
use rdkafka::bindings as rd;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaRespErr;

use crate::flow::decode::Record;

/// Timestamps that are taken for one: 1970 to 9999. A publisher may set any number, and an absurd one must not be the
/// reason why Postgres refuses its event.
const TIMESTAMPS_MS: Range<i64> = 0..253_402_300_800_000;

/// The record whole, in memory of its own.
pub(crate) fn owned(message: &BorrowedMessage<'_>) -> Record {
    Record {
        offset: Offset(message.offset()),
        raw: RawRecord {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers(message),
            published_at: message
                .timestamp()
                .to_millis()
                .filter(|ms| TIMESTAMPS_MS.contains(ms))
                .map(|ms| Micros(ms * 1000)),
        },
    }
}

/// What a record takes in memory, roughly: for bounds, not for bookkeeping.
pub(crate) fn bytes(record: &Record) -> usize {
    const OVERHEAD_BYTES: usize = 160;
    let optional = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = record.raw.headers.iter().map(|(name, value)| name.len() + optional(value) + 48).sum();
    OVERHEAD_BYTES + optional(&record.raw.key) + optional(&record.raw.value) + headers
}

fn headers(message: &BorrowedMessage<'_>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut headers = Vec::new();
    // SAFETY: the message lives for the whole function, its headers belong to it, and every byte is copied.
    unsafe {
        let mut list = ptr::null_mut();
        let found = rd::rd_kafka_message_headers(message.ptr(), &mut list);
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
            return headers;
        }
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            let got = rd::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size);
            if got != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            let value = ptr::NonNull::new(value.cast_mut())
                .map(|value| std::slice::from_raw_parts(value.as_ptr().cast::<u8>(), size).to_vec());
            headers.push((CStr::from_ptr(name).to_bytes().to_vec(), value));
        }
    }
    headers
}
