//! The allocator of the whole process, librdkafka's C code included.
//!
//! Lanes and librdkafka's threads allocate and free millions of small pieces, many of them on another thread than they came
//! from. While a worker catches up, jemalloc keeps 220 to 240 MiB for it, glibc 300 and mimalloc 370 with glibc for
//! librdkafka; and it is the quickest of the three by a small margin.
#![allow(unsafe_code, reason = "jemalloc reads its settings from a symbol of this name, and there is no other way")]

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One arena for each core in place of four, and freed memory goes back after a second in place of ten: 20 MiB less at the
/// same speed. The environment's `MALLOC_CONF` goes over it.
#[unsafe(export_name = "malloc_conf")]
static SETTINGS: &[u8; 36] = b"narenas_ratio:1,dirty_decay_ms:1000\0";
