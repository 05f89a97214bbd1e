//! What a dead letter says beside its reason, for the person who reads it.

use millrace_domain::event::Event;
use millrace_domain::ids::{EventId, Micros};
use millrace_domain::payment::{Operation, OperationKind, OperationStatus, Payment};
use millrace_domain::reason::Rejection;
use millrace_wire::json;

/// The event, what its payment says against it, and the payment, in one line. `payment`: none if nobody has seen it.
pub fn of(event: &Event, payment: Option<&Payment>, reason: Rejection) -> String {
    let said = format!("{} of {} minor units of {}", event.event_type, event.amount_minor, event.currency);
    let Some(payment) = payment else { return said };
    let said = match contradiction(event, payment, reason) {
        Some(contradiction) => format!("{said}; {contradiction}"),
        None => said,
    };
    let c = &payment.counters;
    match payment.status() {
        None => format!("{said}, on a payment of which nothing was applied (last sequence {})", payment.last_sequence),
        Some(status) => format!(
            "{said}, on a payment that is {} (version {}, last sequence {}): authorized {}, captured {}, voided {}, \
             refund pending {}, refunded {}, disputed {}, lost {}",
            status.as_str(),
            payment.version,
            payment.last_sequence,
            c.authorized,
            c.captured,
            c.voided,
            c.refund_pending,
            c.refunded,
            c.disputed,
            c.lost
        ),
    }
}

/// An id that is too old or ahead of its time, and what this worker accepts (`bounds`: milliseconds since 1970).
pub fn outside(id: EventId, (earliest, latest): (i64, i64)) -> String {
    let at = |ms: i64| json::rfc3339(Micros(ms.saturating_mul(1_000))).unwrap_or_else(|| format!("{ms} ms since 1970"));
    let ms = id.unix_ms();
    let side = if ms < earliest { "too old" } else { "ahead of its time" };
    format!("the id is of {}, {side}: this worker accepted {} to {}", at(ms), at(earliest), at(latest))
}

/// What the payment holds where the event says otherwise, if the reason is such a contradiction.
fn contradiction(event: &Event, payment: &Payment, reason: Rejection) -> Option<String> {
    let owner = payment.owner.as_ref();
    match reason {
        Rejection::OwnerMismatch => {
            owner.map(|owner| format!("the event names user {}, the payment is of {}", event.user_id, owner.user_id))
        }
        Rejection::CurrencyMismatch => owner.map(|owner| format!("the payment is in {}", owner.currency)),
        Rejection::MerchantMismatch => {
            let (named, paid) = (event.merchant_id.as_ref()?, payment.merchant_id.as_ref()?);
            Some(format!("the event names merchant {named}, the payment is for {paid}"))
        }
        Rejection::AmountMismatch | Rejection::OperationClosed | Rejection::OperationConflict => {
            let id = event.operation_id?;
            payment.operation(id).map(|operation| format!("operation {id} is {}", described(operation)))
        }
        _ => None,
    }
}

fn described(operation: Operation) -> String {
    let kind = match operation.kind {
        OperationKind::Refund => "a refund",
        OperationKind::Dispute => "a dispute",
    };
    let status = match operation.status {
        OperationStatus::Pending => "pending",
        OperationStatus::Succeeded => "succeeded",
        OperationStatus::Failed => "failed",
        OperationStatus::Open => "open",
        OperationStatus::Won => "won",
        OperationStatus::Lost => "lost",
    };
    format!("{kind} of {} ({status})", operation.amount_minor)
}

#[cfg(test)]
mod tests {
    use millrace_domain::event::{Draft, Kind};
    use millrace_domain::ids::{MerchantId, UserId};
    use millrace_domain::money::Currency;
    use millrace_domain::payment::{Counters, Fact, Owner};

    use super::*;

    fn refund(edit: impl FnOnce(&mut Draft<'static>)) -> Event {
        let mut draft = Draft {
            event_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            event_type: "refund.succeeded".into(),
            payment_id: "6f9619ff-8b86-4011-b42d-00c04fc964ff".into(),
            user_id: "ann".into(),
            merchant_id: Some("shop".into()),
            operation_id: Some("7d444840-9dc0-11d1-b245-5ffdce74fad2".into()),
            amount_minor: 300,
            currency: "GBP".into(),
            source: "s".into(),
            ..Draft::default()
        };
        edit(&mut draft);
        draft.check().expect("well formed")
    }

    fn payment() -> Payment {
        let gbp = Currency::from_code("GBP").expect("a currency");
        let id = refund(|_| {}).operation_id.expect("it names one");
        Payment {
            owner: Some(Owner { user_id: UserId("ann".into()), currency: gbp }),
            merchant_id: Some(MerchantId("shop".into())),
            counters: Counters { authorized: 900, captured: 900, refund_pending: 200, ..Counters::default() },
            facts: vec![Fact { operation_id: id, kind: Kind::RefundInitiated, amount_minor: 200 }],
            version: 3,
            ..Payment::default()
        }
    }

    #[test]
    fn a_contradiction_is_told_from_both_sides() {
        let cases = [
            (
                refund(|_| {}),
                Rejection::AmountMismatch,
                "refund.succeeded of 300 minor units of GBP; operation 7d444840-9dc0-11d1-b245-5ffdce74fad2 is a refund of \
                 200 (pending), on a payment that is captured (version 3, ",
            ),
            (
                refund(|draft| draft.currency = "EUR".into()),
                Rejection::CurrencyMismatch,
                "of EUR; the payment is in GBP, on",
            ),
            (
                refund(|draft| draft.merchant_id = Some("stall".into())),
                Rejection::MerchantMismatch,
                "; the event names merchant stall, the payment is for shop, on",
            ),
            (
                refund(|draft| draft.user_id = "bob".into()),
                Rejection::OwnerMismatch,
                "; the event names user bob, the payment is of ann, on",
            ),
            (
                refund(|_| {}),
                Rejection::RefundExceedsCaptured,
                "refund.succeeded of 300 minor units of GBP, on a payment that",
            ),
        ];
        for (event, reason, wanted) in cases {
            let told = of(&event, Some(&payment()), reason);
            assert!(told.contains(wanted), "{told}");
        }
        assert_eq!(of(&refund(|_| {}), None, Rejection::IdConflict), "refund.succeeded of 300 minor units of GBP");
    }
}
