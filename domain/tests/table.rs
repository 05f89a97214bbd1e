//! The decision table of the design, one test for each of its rows, and the status list.
//!
//! Precedence, parking and draining are tested in `precedence.rs` and `parking.rs`.

mod script;
use script::check;

#[test]
fn initiated_applies_once_whatever_else_came_first() {
    check(
        "payment.initiated 0     => applied 1 []
         payment.initiated 100   => rejected already_initiated
         state initiated",
    );
    check(
        "payment.charged 100     => applied 1
         payment.initiated 100   => applied 2 []
         payment.initiated 100   => rejected already_initiated
         state captured authorized=100 captured=100",
    );
}

#[test]
fn authorized_applies_while_nothing_is_authorized() {
    check(
        "payment.authorized 100  => applied 1 []
         payment.authorized 100  => rejected already_authorized
         state authorized authorized=100",
    );
}

#[test]
fn declined_applies_while_nothing_is_authorized_and_may_be_tried_again() {
    check(
        "payment.declined 0      => applied 1 []
         payment.declined 100    => applied 2 []
         state declined
         payment.authorized 100  => applied 3
         payment.declined 100    => rejected already_authorized
         state authorized authorized=100",
    );
}

#[test]
fn charged_authorizes_and_captures_in_one_step_while_nothing_is_authorized() {
    check(
        "payment.charged 100     => applied 1 [psp_receivable -> merchant_payable:m 100 GBP]
         state captured authorized=100 captured=100
         payment.charged 100     => rejected already_authorized",
    );
    check(
        "payment.authorized 100  => applied
         payment.charged 100     => rejected already_authorized",
    );
}

#[test]
fn captured_takes_up_to_what_is_open() {
    check(
        "payment.authorized 100  => applied
         payment.captured 101    => rejected capture_exceeds_authorized
         payment.captured 60     => applied 2 [psp_receivable -> merchant_payable:m 60 GBP]
         payment.captured 41     => rejected capture_exceeds_authorized
         payment.captured 40     => applied 3 [psp_receivable -> merchant_payable:m 40 GBP]
         payment.captured 1      => rejected capture_exceeds_authorized
         state captured authorized=100 captured=100",
    );
}

#[test]
fn captured_waits_for_the_authorization() {
    check(
        "c: payment.captured 60  => parked missing_authorization
         state unknown
         payment.authorized 100  => applied 1; c applied 2 [psp_receivable -> merchant_payable:m 60 GBP]
         parked",
    );
    check(
        "c: payment.captured 101 => parked missing_authorization
         payment.authorized 100  => applied; c rejected capture_exceeds_authorized",
    );
}

#[test]
fn voided_lets_go_up_to_what_is_open_or_waits_for_the_authorization() {
    check(
        "v: payment.voided 30    => parked missing_authorization
         payment.authorized 100  => applied; v applied 2 []
         payment.voided 71       => rejected void_exceeds_authorized
         payment.voided 70       => applied
         payment.voided 1        => rejected void_exceeds_authorized
         state voided authorized=100 voided=100",
    );
}

#[test]
fn expired_lets_go_of_all_that_is_open_with_amount_0_or_that_very_amount() {
    check(
        "payment.authorized 100  => applied
         payment.captured 40     => applied
         payment.expired 59      => rejected amount_mismatch
         payment.expired 61      => rejected amount_mismatch
         payment.expired 60      => applied 3 []
         state captured authorized=100 captured=40 voided=60
         payment.expired 0       => rejected authorization_closed
         payment.expired 60      => rejected authorization_closed",
    );
    check(
        "x: payment.expired 0    => parked missing_authorization
         payment.authorized 100  => applied; x applied
         state voided authorized=100 voided=100",
    );
}

#[test]
fn adjusted_sets_the_total_while_something_is_open_and_not_below_what_is_gone() {
    check(
        "a: payment.adjusted 120 => parked missing_authorization
         payment.authorized 100  => applied; a applied 2 []
         payment.captured 50     => applied
         payment.voided 20       => applied
         payment.adjusted 69     => rejected adjust_below_captured
         payment.adjusted 200    => applied
         payment.adjusted 70     => applied
         state captured authorized=70 captured=50 voided=20
         payment.adjusted 80     => rejected authorization_closed
         payment.adjusted 60     => rejected authorization_closed",
    );
}

#[test]
fn refund_initiated_reserves_up_to_what_was_captured() {
    check(
        "payment.charged 100             => applied
         refund.initiated 101 op=r       => rejected refund_exceeds_captured
         refund.initiated 60 op=r        => applied 2 [merchant_payable:m -> refunds_in_transit 60 GBP]
         refund.initiated 41 op=s        => rejected refund_exceeds_captured
         refund.initiated 40 op=s        => applied
         state captured authorized=100 captured=100 refund_pending=100",
    );
}

#[test]
fn refund_initiated_after_its_success_is_a_duplicate_or_a_conflict() {
    check(
        "payment.charged 100             => applied
         refund.succeeded 60 op=r        => applied
         refund.initiated 60 op=r        => duplicate
         refund.initiated 59 op=r        => rejected operation_conflict
         state partially_refunded authorized=100 captured=100 refunded=60",
    );
}

#[test]
fn refund_succeeded_closes_its_pending_operation_with_the_same_amount() {
    check(
        "payment.charged 100             => applied
         refund.initiated 60 op=r        => applied
         refund.succeeded 59 op=r        => rejected amount_mismatch
         refund.succeeded 60 op=r        => applied 3 [refunds_in_transit -> psp_receivable 60 GBP]
         state partially_refunded authorized=100 captured=100 refunded=60",
    );
}

#[test]
fn refund_succeeded_without_an_initiated_one_takes_up_to_what_was_captured() {
    check(
        "payment.charged 100             => applied
         refund.succeeded 101 op=r       => rejected refund_exceeds_captured
         refund.succeeded 60 op=r        => applied 2 [merchant_payable:m -> psp_receivable 60 GBP]
         refund.initiated 30 op=s        => applied
         refund.succeeded 11             => rejected refund_exceeds_captured
         refund.succeeded 10             => applied 4 [merchant_payable:m -> psp_receivable 10 GBP]
         state partially_refunded authorized=100 captured=100 refund_pending=30 refunded=70",
    );
}

#[test]
fn refund_succeeded_after_its_failure_finds_the_operation_closed() {
    check(
        "payment.charged 100             => applied
         refund.initiated 60 op=r        => applied
         refund.failed 60 op=r           => applied
         refund.succeeded 60 op=r        => rejected operation_closed",
    );
}

#[test]
fn refund_failed_closes_its_pending_operation_with_the_same_amount() {
    check(
        "payment.charged 100             => applied
         refund.initiated 60 op=r        => applied
         refund.failed 59 op=r           => rejected amount_mismatch
         refund.failed 60 op=r           => applied 3 [refunds_in_transit -> merchant_payable:m 60 GBP]
         state captured authorized=100 captured=100
         refund.initiated 60 op=r        => duplicate
         refund.succeeded 10 op=s        => applied
         refund.failed 10 op=s           => rejected operation_closed",
    );
}

#[test]
fn refund_failed_waits_for_its_operation() {
    check(
        "f: refund.failed 60 op=r        => parked missing_operation
         payment.charged 100             => applied
         refund.initiated 60 op=r        => applied; f applied
         state captured authorized=100 captured=100",
    );
}

#[test]
fn refund_unreferenced_makes_a_credit_of_an_unknown_payment_and_nothing_else_may_follow() {
    check(
        "refund.unreferenced 50          => applied 1 [merchant_payable:m -> psp_receivable 50 GBP]
         state credit refunded=50
         refund.unreferenced 50          => rejected is_credit
         payment.initiated 50            => rejected is_credit
         payment.authorized 50           => rejected is_credit
         payment.captured 50             => rejected is_credit
         refund.failed 50 op=r           => rejected is_credit
         dispute.opened 50 op=r          => rejected is_credit
         fee.charged 1                   => rejected is_credit
         state credit refunded=50",
    );
    check(
        "payment.initiated 50            => applied
         refund.unreferenced 50          => rejected payment_exists",
    );
    check(
        "payment.charged 100             => applied
         dispute.opened 10 op=d          => applied
         refund.unreferenced 10 op=d     => rejected payment_exists",
    );
}

#[test]
fn a_parked_event_does_not_make_a_payment_known() {
    check(
        "c: payment.captured 10          => parked missing_authorization
         refund.unreferenced 50          => applied; c rejected is_credit",
    );
}

#[test]
fn dispute_opened_takes_up_to_what_was_captured() {
    check(
        "payment.charged 100             => applied
         dispute.opened 101 op=d         => rejected dispute_exceeds_captured
         dispute.opened 60 op=d          => applied 2 [dispute_receivable -> psp_receivable 60 GBP]
         dispute.opened 41 op=e          => rejected dispute_exceeds_captured
         dispute.lost 60 op=d            => applied
         dispute.opened 41 op=e          => rejected dispute_exceeds_captured
         dispute.opened 40 op=e          => applied
         state disputed authorized=100 captured=100 disputed=40 lost=60",
    );
}

#[test]
fn dispute_won_gives_the_amount_back() {
    check(
        "payment.charged 100             => applied
         dispute.opened 60 op=d          => applied
         dispute.won 59 op=d             => rejected amount_mismatch
         dispute.won 60 op=d             => applied 3 [psp_receivable -> dispute_receivable 60 GBP]
         state captured authorized=100 captured=100
         dispute.lost 60 op=d            => rejected operation_closed",
    );
}

#[test]
fn dispute_lost_takes_it_from_the_merchant() {
    check(
        "payment.charged 100             => applied
         dispute.opened 60 op=d          => applied
         dispute.lost 61 op=d            => rejected amount_mismatch
         dispute.lost 60 op=d            => applied 3 [merchant_payable:m -> dispute_receivable 60 GBP]
         state charged_back authorized=100 captured=100 lost=60
         dispute.won 60 op=d             => rejected operation_closed",
    );
}

#[test]
fn a_decision_waits_for_its_dispute() {
    check(
        "payment.charged 100             => applied
         w: dispute.won 60 op=d          => parked missing_operation
         l: dispute.lost 40 op=e         => parked missing_operation
         dispute.opened 40 op=e          => applied; l applied
         dispute.opened 60 op=d          => applied; w applied
         state charged_back authorized=100 captured=100 lost=40",
    );
}

#[test]
fn fee_charged_needs_a_capture() {
    check(
        "payment.authorized 100          => applied
         f: fee.charged 3                => parked missing_capture
         payment.captured 1              => applied; f applied 3 [merchant_payable:m -> fee_revenue 3 GBP]
         fee.charged 500                 => applied
         state partially_captured authorized=100 captured=1 fees=503",
    );
}

#[test]
fn what_needs_a_capture_waits_while_there_may_be_one() {
    for (event, parked_as) in [
        ("refund.initiated 5 op=r", "r"),
        ("refund.succeeded 5", "r"),
        ("dispute.opened 5 op=r", "d"),
        ("fee.charged 5", "f"),
    ] {
        check(&format!(
            "{parked_as}: {event}        => parked missing_capture
             payment.authorized 100      => applied
             parked {parked_as}
             payment.captured 5          => applied; {parked_as} applied",
        ));
    }
}

#[test]
fn what_needs_a_capture_is_rejected_once_there_cannot_be_one() {
    for (event, reason) in [
        ("refund.initiated 5 op=r", "refund_exceeds_captured"),
        ("refund.succeeded 5", "refund_exceeds_captured"),
        ("dispute.opened 5 op=r", "dispute_exceeds_captured"),
        ("fee.charged 5", "nothing_captured"),
    ] {
        check(&format!(
            "payment.authorized 100      => applied
             w: {event}                  => parked missing_capture
             payment.voided 100          => applied; w rejected {reason}
             {event}                     => rejected {reason}",
        ));
    }
}

#[test]
fn a_refund_event_that_names_a_dispute_or_the_reverse_is_a_conflict() {
    check(
        "payment.charged 100             => applied
         dispute.opened 10 op=d          => applied
         refund.initiated 10 op=r        => applied
         refund.initiated 10 op=d        => rejected operation_conflict
         refund.succeeded 10 op=d        => rejected operation_conflict
         refund.failed 10 op=d           => rejected operation_conflict
         dispute.opened 10 op=r          => rejected operation_conflict
         dispute.won 10 op=r             => rejected operation_conflict
         dispute.lost 10 op=r            => rejected operation_conflict",
    );
}

#[test]
fn what_was_captured_may_be_both_refunded_and_lost() {
    check(
        "payment.charged 100             => applied
         refund.succeeded 100            => applied
         dispute.opened 100 op=d         => applied
         dispute.lost 100 op=d           => applied
         state charged_back authorized=100 captured=100 refunded=100 lost=100",
    );
}

#[test]
fn the_operation_of_a_capture_or_a_fee_is_no_refund_and_no_dispute() {
    check(
        "payment.authorized 100          => applied
         payment.captured 50 op=x        => applied
         fee.charged 1 op=x              => applied
         refund.initiated 20 op=x        => applied
         refund.succeeded 20 op=x        => applied
         state partially_refunded authorized=100 captured=50 refunded=20 fees=1",
    );
}

#[test]
fn a_sum_that_would_leave_64_bits_is_rejected() {
    check(
        "given authorized=1 captured=1 fees=9223372036854775806
         fee.charged 2                   => rejected amount_overflow
         fee.charged 1                   => applied
         fee.charged 1                   => rejected amount_overflow",
    );
    check(
        "given authorized=9223372036854775807 captured=9223372036854775807 refunded=9223372036854775806
         refund.succeeded 2              => rejected amount_overflow
         refund.initiated 2 op=r         => rejected amount_overflow
         refund.succeeded 1              => applied",
    );
    check(
        "given authorized=9223372036854775807 captured=9223372036854775807 lost=9223372036854775806
         dispute.opened 2 op=d           => rejected amount_overflow
         dispute.opened 1 op=d           => applied",
    );
}

#[test]
fn the_status_is_the_first_that_matches() {
    check("state unknown");
    check("payment.initiated 5 => applied\n state initiated");
    check(
        "payment.declined 5              => applied
         payment.initiated 5             => applied
         state declined",
    );
    check(
        "payment.authorized 100          => applied
         state authorized authorized=100
         payment.voided 40               => applied
         state authorized authorized=100 voided=40
         payment.captured 50             => applied
         state partially_captured authorized=100 captured=50 voided=40
         payment.expired 0               => applied
         state captured authorized=100 captured=50 voided=50
         refund.initiated 50 op=r        => applied
         state captured authorized=100 captured=50 voided=50 refund_pending=50
         refund.failed 50 op=r           => applied
         refund.succeeded 20             => applied
         state partially_refunded authorized=100 captured=50 voided=50 refunded=20
         refund.succeeded 30             => applied
         state refunded authorized=100 captured=50 voided=50 refunded=50
         dispute.opened 10 op=d          => applied
         dispute.opened 10 op=e          => applied
         dispute.lost 10 op=d            => applied
         state disputed authorized=100 captured=50 voided=50 refunded=50 disputed=10 lost=10
         dispute.won 10 op=e             => applied
         state charged_back authorized=100 captured=50 voided=50 refunded=50 lost=10",
    );
    check(
        "payment.authorized 100          => applied
         payment.captured 50             => applied
         refund.succeeded 50             => applied
         state refunded authorized=100 captured=50 refunded=50",
    );
}
