//! Why a record was not simply applied: closed lists, in the order in which the rules are judged.
//!
//! `kind()` gives the stable label that metrics, logs, dead letters and `parked` share.

macro_rules! labels {
    ($(#[$enum_doc:meta])* $enum:ident { $($(#[$doc:meta])* $name:ident = $label:literal,)* }) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $enum { $($(#[$doc])* $name,)* }

        impl $enum {
            /// Every value, in documented precedence.
            pub const ALL: &[$enum] = &[$($enum::$name,)*];

            /// The stable label.
            pub const fn kind(self) -> &'static str {
                match self { $($enum::$name => $label,)* }
            }

            /// The value with this label.
            pub fn from_kind(label: &str) -> Option<$enum> {
                match label { $($label => Some($enum::$name),)* _ => None }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.kind())
            }
        }
    };
}

labels! {
    /// Why a record was rejected and became a dead letter.
    Rejection {
        /// It cannot be decoded, or breaks a rule of form.
        Malformed = "malformed",
        /// Its schema id is not in the table.
        UnknownSchema = "unknown_schema",
        /// A header contradicts the body.
        HeaderMismatch = "header_mismatch",
        /// The Kafka key is not the user id.
        WrongKey = "wrong_key",
        /// Another event with other content has this id.
        IdConflict = "id_conflict",
        /// The id's time is outside the accepted window.
        OutsideWindow = "outside_window",
        /// The sequence number is used, or held by a parked event.
        SequenceConflict = "sequence_conflict",
        /// The payment belongs to another user.
        OwnerMismatch = "owner_mismatch",
        /// The payment is in another currency.
        CurrencyMismatch = "currency_mismatch",
        /// The payment pays another merchant.
        MerchantMismatch = "merchant_mismatch",
        /// The operation stands already with another amount, currency or kind.
        OperationConflict = "operation_conflict",
        /// The payment is a credit, which takes no further event.
        IsCredit = "is_credit",
        /// The payment was initiated already.
        AlreadyInitiated = "already_initiated",
        /// The payment was authorized already.
        AlreadyAuthorized = "already_authorized",
        /// More would be captured than is authorized.
        CaptureExceedsAuthorized = "capture_exceeds_authorized",
        /// More would be voided than is authorized.
        VoidExceedsAuthorized = "void_exceeds_authorized",
        /// Nothing of the authorization is open any more.
        AuthorizationClosed = "authorization_closed",
        /// The amount is not that of what the event closes.
        AmountMismatch = "amount_mismatch",
        /// The authorized total would fall below what was captured and voided.
        AdjustBelowCaptured = "adjust_below_captured",
        /// More would be refunded than was captured.
        RefundExceedsCaptured = "refund_exceeds_captured",
        /// The refund or dispute has ended already.
        OperationClosed = "operation_closed",
        /// An unreferenced credit names a payment that is known.
        PaymentExists = "payment_exists",
        /// More would be disputed than was captured.
        DisputeExceedsCaptured = "dispute_exceeds_captured",
        /// A fee on a payment that captured nothing and cannot any more.
        NothingCaptured = "nothing_captured",
        /// A sum would leave 64 bits.
        AmountOverflow = "amount_overflow",
        /// The database refused the row for a reason of the row's own.
        RefusedByStore = "refused_by_store",
        /// The event that it waited for did not come within the parking limit.
        MissingPredecessor = "missing_predecessor",
        /// No worker that knows its type came within the parking limit.
        UnknownType = "unknown_type",
    }
}

labels! {
    /// What a parked record waits for.
    Parking {
        /// The events with the sequence numbers before its own.
        MissingSequence = "missing_sequence",
        /// A worker that knows its type.
        UnknownType = "unknown_type",
        /// An authorization of its payment.
        MissingAuthorization = "missing_authorization",
        /// The event that begins its operation.
        MissingOperation = "missing_operation",
        /// A capture of its payment.
        MissingCapture = "missing_capture",
    }
}

impl Parking {
    /// What a record that waited for this too long is rejected as.
    pub const fn expired(self) -> Rejection {
        match self {
            Parking::UnknownType => Rejection::UnknownType,
            Parking::MissingSequence
            | Parking::MissingAuthorization
            | Parking::MissingOperation
            | Parking::MissingCapture => Rejection::MissingPredecessor,
        }
    }
}
