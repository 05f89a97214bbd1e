//! Section 3 of the design a second time, written from its text alone, as the oracle for the product's own core.
//!
//! Two readings of one page that agree over hostile streams are worth more than either. So this crate shares no code
//! with the product, prefers naive loops to speed, and keeps sums in 128 bits. [`Model`] judges one record after the
//! other; [`table`] is the decision table; [`streams`] makes the hostile streams; the binary `millrace-model` gives
//! the totals of a file of records, to be compared with what a pipeline has in Postgres.
//!
//! Left out on purpose: batches, offsets' contiguity, fences, redrive, headers and framing, and what only a database
//! refuses (`refused_by_store`).
//!
//! # Where the text leaves a choice
//!
//! Each with the decision taken here and the sentence that it rests on. A product that decides otherwise is not wrong
//! by that: the page must then say more.
//!
//! ## Form (rule 1)
//!
//! - **F1** An absent `merchant_id`, `operation_id`, `sequence`, `correlation_id` or `causation_id` is null, an absent
//!   `metadata` is empty, a null `metadata` and any other absence is malformed. ("null or ...", "map of string".)
//! - **F2** "1 to 64" of `merchant_id` and `source` counts Unicode characters, any of them; only `user_id` is bound to
//!   visible ASCII. "keys to 64 and values to 512 bytes": both are bytes; an empty key or value is allowed.
//! - **F3** A UUID is 36 characters, hyphenated, in either case ("values, not their spelling"). An `event_id` that is
//!   not version 7 of the RFC variant is malformed ("UUIDv7"); `payment_id` and `operation_id` take any version.
//! - **F4** A sequence below 1 is malformed ("from 1").
//! - **F5** "ISO 4217, checked against the table with its exponent": the codes in force that have a minor unit, funds
//!   included (CLF is named); no withdrawn ones (HRK, BGN, ANG), no XDR, no lower case.
//! - **F6** `event_type` is any string, even an empty one: "open on the wire". It is matched exactly.
//! - **F7** "one that this build does not know keeps only the rules of form": the amount of 0, the merchant and the
//!   operation, which hang on the type, are not asked of it. For a known type their breach is `malformed`, by rule 1.
//! - **F8** "every type with a ledger entry": captured, charged, all refunds, all disputes, the fee; `refund.failed`
//!   and `refund.unreferenced` among them.
//! - **F9** `occurred_at` has no window; it is floored to the microsecond, and its UTC offset is spelling.
//! - **F10** Event ids are reported also for malformed records, where one can be read.
//!
//! ## Precedence (rules 2 to 7)
//!
//! - **P1** "event id already applied or parked, under whatever payment": over all lanes, not this one's.
//! - **P2** A duplicate and a rejected event leave no id behind ("applied or parked"; "nothing else"), also when they
//!   had been parked. So a numbered one of them that is published again meets its own number: `sequence_conflict`.
//!   For a duplicate by rule 7 or 8 this makes a plain retry a dead letter, which its publisher did not deserve.
//! - **P3** The accepted window includes both its ends, is judged on arrival alone, and by the lane's clock.
//! - **P4** "sequence already used" is: not above `last_sequence`. Numbers left out by the parking limit count as
//!   used: "the numbers up to theirs are used up".
//! - **P5** A stranger's event uses up the number of the payment that it is then refused by (rules 4 and 5, in the
//!   order given); the owner's event of that number is a `sequence_conflict`.
//! - **P6** "another merchant" needs two merchants: an event that names none, or a payment without one, passes rule 5.
//! - **P7** Rule 7 holds for every known type that names an operation, not only refunds and disputes: "operation id
//!   and type". Unknown types never reach it, for rule 6 stands before it. Its currency can differ only while the
//!   payment is unknown, that is against a parked event.
//! - **P8** What was parked as `unknown_type` and becomes known meets "rules 5, 6 and 8", to the letter. It never met
//!   rule 7, so two such events of one operation both apply where the table has no guard (fee, capture). The text is
//!   clear, and we think that it is wrong: these should meet rule 7 too.
//! - **P9** Once the type is known, the rules of F7 hold it: `malformed`. No sentence says so, but no row can be
//!   judged without.
//! - **P10** A change of the known types by a claim also works backwards: a parked event whose type the new worker
//!   does not know becomes `unknown_type` when it is judged again (rule 6).
//!
//! ## The table (rule 8)
//!
//! - **T1** "See below: ... parked" is `missing_capture` also where authorized = 0: "`missing_capture` (see below)";
//!   `missing_authorization` is for the rows that say "authorized = 0: parked".
//! - **T2** `refund.succeeded` on an operation that has failed has no row: the operation is not pending, not unknown
//!   and not none. `operation_closed`, the name that the next row has for it. ("under the old one it is a duplicate"
//!   is read as said of `refund.initiated`, which rule 7 answers.)
//! - **T3** Guards of one row: another kind's operation (`operation_conflict`), then unknown, then closed, then
//!   amount. `dispute.opened` and `refund.initiated` look at the operation before the sums.
//! - **T4** "any later event on it, of any type: `is_credit`" is stronger than `payment_exists` for a second
//!   `refund.unreferenced`; rules 2 to 7 come before it, so an unknown type is parked on a credit, too, and a second
//!   one of the same operation is a duplicate.
//! - **T5** `refund.unreferenced` with an operation id is noted among the operations, as a succeeded refund
//!   ("refunds and disputes by id").
//! - **T6** Operations of fees and captures are not noted ("refunds and disputes by id") and conflict with no kind.
//! - **T7** "payment unknown" is version 0, whatever was parked or rejected before; what was parked is then drained
//!   into `is_credit`.
//! - **T8** `refund.initiated` on an operation that is pending or failed reaches the table only by P8; it is answered
//!   as rule 7 would: duplicate or `operation_conflict`.
//! - **T9** 64 bits are signed, and the sums are the payment's counters: only fees can get there, 1,025 events on.
//!   Balances are the store's. `amount_overflow` comes after the row's other conditions.
//! - **T10** An amount of `payment.expired` other than 0 and open is `amount_mismatch` only while open > 0.
//!
//! ## Parked events
//!
//! - **W1** "numbered ones by sequence": all that carry a sequence, whether they still wait for it or used it up.
//! - **W2** "moves": leaves, or uses its number up and waits on for another reason. A change of the reason alone is no
//!   outcome (`batches` has `drained_applied`, `drained_duplicate` and `drained_rejected`, and no more).
//! - **W3** The parking limit counts from the first parking, though the reason changes ("since when").
//! - **W4** "After the parking limit": strictly later, by the millisecond.
//! - **W5** "the earliest first" is by the time of parking, then by offset; one at a time, and what each one's number
//!   moves is drained before the next: "judged again each time an event of their payment ... used up a number". So one
//!   that is overdue too may still apply; and a lower number parked later than a higher one becomes
//!   `sequence_conflict`.
//! - **W6** What the limit rejects counts as drained.
//! - **W7** The limit is applied when the caller says so ([`Model::expire`]), not by each record.
//! - **W8** A claim judges only the lane's `unknown_type` ones, payment by payment; then what those move. Known types
//!   belong to the lane.
//! - **W9** A rejection or duplicate without a number triggers no drain ("was applied or used up a number").
//! - **W10** The name of an overdue one goes by its last reason: `unknown_type`, else `missing_predecessor`.
//!
//! ## Lanes, status, order
//!
//! - **L1** Two users on two partitions: each lane has numbers and parked events of its own for the payment; it is the
//!   lane's that applied first ("the key of `payments` decides who came first"), and all that the other lane brings to
//!   rule 5 is `owner_mismatch`. Rules 3 and 4 come first there too, by that lane's own numbers.
//! - **L2** What the other lane had parked is judged again by its own lane's events alone ("a lane drains only what it
//!   parked"), so it may wait until the parking limit and end as `missing_predecessor`.
//! - **L3** A payment with version 0 has no owner, no status, and is not among the payments reported, though its
//!   numbers count. Where it must be stored, the design does not say.
//! - **L4** "refunded" is refunded = captured, whatever is open; what is pending does not count.
//! - **L5** "folding a payment's events by version gives its state" cannot hold for `last_sequence`: numbers used up by
//!   rejected, parked and duplicate events are in no applied event. All else folds.
//! - **L6** `last_sequence` is 0 where none was used.

pub mod currency;
pub mod form;
pub mod model;
pub mod payment;
pub mod streams;
pub mod table;
pub mod values;

pub use model::Model;
pub use values::{Config, Disposition, Input, Outcome, Record, Transfer, Waiting};
