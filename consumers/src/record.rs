//! From librdkafka's message to bytes of our own.
//!
//! Headers are read through librdkafka itself: rust-rdkafka 0.39 panics on a header name that is not UTF-8, and any
//! publisher could send one.
#![allow(unsafe_code, reason = "header names that are not UTF-8 cannot be read through the safe wrapper")]

use std::ffi::CStr;
use std::ops::Range;
use std::ptr;

use millrace_domain::ids::Micros;
use millrace_store::record::RecordPack;
use rdkafka::bindings as rd;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaRespErr;

/// Timestamps that are taken for one: 1970 to 9999. A publisher may set any number, and an absurd one must not be the
/// reason why Postgres refuses its event.
const TIMESTAMPS_MS: Range<i64> = 0..253_402_300_800_000;

/// Copies the record whole into the pack.
pub(crate) fn put(message: &BorrowedMessage<'_>, pack: &mut RecordPack) {
    let published_ms = message.timestamp().to_millis().filter(|ms| TIMESTAMPS_MS.contains(ms));
    pack.begin(message.key(), message.payload(), published_ms.map(|ms| Micros(ms * 1000)));
    // SAFETY: the message lives for the whole function, its headers belong to it, and every byte is copied.
    unsafe {
        let mut list = ptr::null_mut();
        let found = rd::rd_kafka_message_headers(message.ptr(), &mut list);
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            let got = rd::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size);
            if got != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            let value = ptr::NonNull::new(value.cast_mut())
                .map(|value| std::slice::from_raw_parts(value.as_ptr().cast::<u8>(), size));
            pack.header(CStr::from_ptr(name).to_bytes(), value);
        }
    }
}
