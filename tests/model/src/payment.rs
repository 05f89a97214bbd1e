//! The state of one payment: counters, flags, operations, and the status that follows from them.
//!
//! It leaves to `table` what an event does to it, and to `model` what waits for it.

use std::collections::BTreeMap;

use uuid::Uuid;

/// State as section 3 lists it. Sums are kept in 128 bits, so that they can be compared with what 64 bits hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of section 3
pub struct Payment {
    /// Counts the applied events. 0: the payment is not known yet.
    pub version: i64,
    /// The last sequence used; 0 before any was.
    pub last_sequence: i64,
    /// The owner; set by the first applied event.
    pub user_id: Option<String>,
    /// Set by the first applied event.
    pub currency: Option<String>,
    /// The first that an applied event names.
    pub merchant_id: Option<String>,

    pub initiated: bool,
    pub declined: bool,
    pub credit: bool,
    /// What `payment.initiated` remembers; nothing depends on it.
    pub intended: i128,

    pub authorized: i128,
    pub captured: i128,
    pub voided: i128,
    pub refund_pending: i128,
    pub refunded: i128,
    pub disputed: i128,
    pub lost: i128,
    pub fees: i128,

    pub operations: BTreeMap<Uuid, Operation>,
}

/// A refund or a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Operation {
    pub kind: Kind,
    pub status: OperationStatus,
    pub amount_minor: i128,
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Refund,
    Dispute,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OperationStatus {
    Pending,
    Succeeded,
    Failed,
    Open,
    Won,
    Lost,
}

impl Kind {
    /// The name in `operations.kind`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Refund => "refund",
            Kind::Dispute => "dispute",
        }
    }
}

impl OperationStatus {
    /// The name in `operations.status`.
    pub fn name(self) -> &'static str {
        match self {
            OperationStatus::Pending => "pending",
            OperationStatus::Succeeded => "succeeded",
            OperationStatus::Failed => "failed",
            OperationStatus::Open => "open",
            OperationStatus::Won => "won",
            OperationStatus::Lost => "lost",
        }
    }
}

impl Payment {
    /// A payment is known once something was applied to it.
    pub fn is_known(&self) -> bool {
        self.version > 0
    }

    /// What may still be captured or voided.
    pub fn open(&self) -> i128 {
        self.authorized - self.captured - self.voided
    }

    /// First match wins. `None` while nothing was applied.
    pub fn status(&self) -> Option<&'static str> {
        if !self.is_known() {
            None
        } else if self.credit {
            Some("credit")
        } else if self.disputed > 0 {
            Some("disputed")
        } else if self.lost > 0 {
            Some("charged_back")
        } else if self.captured > 0 {
            Some(if self.refunded == self.captured {
                "refunded"
            } else if self.refunded > 0 {
                "partially_refunded"
            } else if self.open() == 0 {
                "captured"
            } else {
                "partially_captured"
            })
        } else if self.authorized > 0 {
            Some(if self.open() == 0 { "voided" } else { "authorized" })
        } else if self.declined {
            Some("declined")
        } else {
            Some("initiated")
        }
    }

    /// The eight counters by name.
    pub fn counters(&self) -> [(&'static str, i128); 8] {
        [
            ("authorized", self.authorized),
            ("captured", self.captured),
            ("voided", self.voided),
            ("refund_pending", self.refund_pending),
            ("refunded", self.refunded),
            ("disputed", self.disputed),
            ("lost", self.lost),
            ("fees", self.fees),
        ]
    }
}
