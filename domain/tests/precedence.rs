//! Rules 3 to 8 of the design's precedence: which of several answers an event gets.
//!
//! Rule 1 is proved in `wire`, rule 2 with the lane; the rows of rule 8 in `table.rs`.

mod script;
use script::check;

#[test]
fn rule_3_a_used_number_is_a_conflict_before_anything_else() {
    check(
        "payment.authorized 100 seq=1           => applied 1
         used 1
         payment.captured 10 seq=1              => rejected sequence_conflict (number free)
         payment.captured 10 seq=1 user=other   => rejected sequence_conflict
         payment.teleported 10 seq=1            => rejected sequence_conflict
         payment.captured 10 seq=2              => applied 2",
    );
}

#[test]
fn rule_3_a_number_that_a_parked_event_holds_is_a_conflict() {
    check(
        "a: payment.captured 10 seq=3           => parked missing_sequence
         payment.captured 20 seq=3              => rejected sequence_conflict (number free)
         parked a",
    );
}

#[test]
fn rule_4_a_number_above_the_next_waits_whatever_its_event_says() {
    check(
        "payment.authorized 100 seq=1           => applied
         a: payment.captured 10 seq=3 user=other => parked missing_sequence
         b: payment.teleported 10 seq=4         => parked missing_sequence
         c: payment.captured 10 seq=6 cur=JPY   => parked missing_sequence
         parked a b c
         used 1",
    );
}

#[test]
fn past_rule_4_a_rejected_event_has_used_its_number_up() {
    check(
        "payment.authorized 100 seq=1           => applied
         payment.captured 101 seq=2             => rejected capture_exceeds_authorized (number used)
         used 2
         payment.captured 10 seq=3              => applied 2",
    );
}

#[test]
fn past_rule_4_a_duplicate_and_a_parked_event_have_used_their_number_up() {
    check(
        "payment.captured 10 seq=1 op=c         => parked missing_authorization
         payment.captured 10 seq=2 op=c         => duplicate
         payment.teleported 10 seq=3            => parked unknown_type
         used 3",
    );
}

#[test]
fn an_event_without_a_number_is_not_held_by_rules_3_and_4() {
    check(
        "payment.authorized 100 seq=1           => applied
         payment.captured 10 seq=3              => parked missing_sequence
         payment.captured 10                    => applied
         used 1",
    );
}

#[test]
fn rule_5_asks_for_the_owner_then_the_currency_then_the_merchant() {
    check(
        "payment.authorized 100                                => applied
         payment.captured 1 user=other cur=JPY merchant=other  => rejected owner_mismatch
         payment.captured 1 cur=JPY merchant=other             => rejected currency_mismatch
         payment.captured 1 merchant=other                     => rejected merchant_mismatch",
    );
}

#[test]
fn rule_5_a_payments_merchant_is_the_first_that_an_applied_event_names() {
    check(
        "payment.authorized 100 merchant=-      => applied
         payment.captured 200 merchant=refused  => rejected capture_exceeds_authorized
         payment.captured 10 merchant=first     => applied 2 [psp_receivable -> merchant_payable:first 10 GBP]
         payment.captured 10 merchant=second    => rejected merchant_mismatch
         payment.voided 10 merchant=-           => applied",
    );
}

#[test]
fn rule_5_comes_before_rule_6() {
    check(
        "payment.authorized 100                 => applied
         payment.teleported 1 user=other        => rejected owner_mismatch
         t: payment.teleported 1                => parked unknown_type
         parked t",
    );
}

#[test]
fn rule_5_does_not_bind_a_payment_that_is_not_known() {
    check(
        "payment.captured 10 op=a cur=JPY       => parked missing_authorization
         payment.captured 10 op=b merchant=x    => parked missing_authorization",
    );
}

#[test]
fn rule_7_an_operation_and_type_that_was_applied_is_a_duplicate_or_a_conflict() {
    check(
        "payment.authorized 100                 => applied
         payment.captured 10 op=c               => applied
         payment.captured 10 op=c               => duplicate
         payment.captured 11 op=c               => rejected operation_conflict
         payment.captured 101 op=c              => rejected operation_conflict
         payment.voided 10 op=c                 => applied",
    );
}

#[test]
fn rule_7_counts_what_is_parked_past_rule_4() {
    check(
        "a: refund.failed 10 op=r               => parked missing_operation
         refund.failed 10 op=r                  => duplicate
         refund.failed 11 op=r                  => rejected operation_conflict
         refund.failed 10 op=r cur=JPY          => rejected operation_conflict
         parked a",
    );
}

#[test]
fn rule_7_does_not_count_what_waits_for_its_number() {
    check(
        "payment.authorized 100                 => applied
         a: payment.captured 10 seq=2 op=c      => parked missing_sequence
         payment.captured 10 op=c               => applied
         payment.captured 5 seq=1 op=d          => applied; a duplicate
         used 2",
    );
}

#[test]
fn rule_7_comes_before_rule_8() {
    check(
        "refund.unreferenced 50 op=r            => applied
         refund.unreferenced 50 op=r            => duplicate
         refund.unreferenced 51 op=r            => rejected operation_conflict
         refund.unreferenced 50 op=s            => rejected is_credit",
    );
    check(
        "payment.charged 100                    => applied
         dispute.opened 10 op=d                 => applied
         dispute.opened 10 op=d                 => duplicate
         dispute.opened 11 op=d                 => rejected operation_conflict
         dispute.won 10 op=d                    => applied
         dispute.won 10 op=d                    => duplicate",
    );
}

#[test]
fn a_new_try_of_a_failed_refund_needs_a_new_operation() {
    check(
        "payment.charged 100                    => applied
         refund.initiated 60 op=r               => applied
         refund.failed 60 op=r                  => applied
         refund.initiated 60 op=r               => duplicate
         refund.initiated 60 op=s               => applied",
    );
}

#[test]
fn a_redriven_event_is_not_held_against_its_own_number() {
    check(
        "payment.authorized 100 seq=1           => applied
         a: payment.captured 150 seq=2          => rejected capture_exceeds_authorized (number used)
         payment.adjusted 200 seq=3             => applied
         again a                                => rejected sequence_conflict (number free)
         again a redriven                       => applied 3
         used 3",
    );
}

#[test]
fn a_redriven_event_meets_rules_5_to_8() {
    check(
        "payment.authorized 100 seq=1           => applied
         a: payment.captured 1 seq=2 user=other => rejected owner_mismatch
         b: payment.captured 10 seq=3 op=c      => applied
         c: payment.captured 10 seq=4 op=c      => duplicate
         again a redriven                       => rejected owner_mismatch (number used)
         again c redriven                       => duplicate
         used 4",
    );
}

#[test]
fn a_redriven_event_may_be_parked_and_is_drained_past_rule_4() {
    check(
        "a: refund.failed 10 seq=1 op=r         => parked missing_operation
         hour 100
         expire 73                              => a rejected missing_predecessor (number used)
         again a redriven                       => parked missing_operation
         payment.charged 100                    => applied
         refund.initiated 10 op=r               => applied; a applied
         used 1",
    );
}

#[test]
fn what_the_database_refused_is_rejected_where_it_would_write_that_row() {
    check(
        "payment.authorized 100 seq=1           => applied
         a: payment.captured 150 seq=2          => rejected capture_exceeds_authorized
         payment.adjusted 200 seq=3             => applied
         refuse next applied
         again a redriven                       => rejected refused_by_store (number used)
         again a redriven                       => applied",
    );
    check(
        "payment.authorized 100 seq=1           => applied
         a: payment.captured 10 seq=3           => parked missing_sequence
         b: refund.failed 10 seq=5 op=r         => parked missing_sequence
         refuse a applied
         refuse b parked
         payment.captured 5 seq=2               => applied; a rejected refused_by_store (number used)
         payment.captured 5 seq=4               => applied; b parked missing_operation
         parked b
         used 5",
    );
    check(
        "refuse next parked
         a: payment.captured 10                 => rejected refused_by_store (number free)
         refuse next parked
         b: payment.captured 10 seq=1           => rejected refused_by_store (number used)
         refuse next parked
         c: payment.captured 10 seq=3           => rejected refused_by_store (number free)
         again a                                => parked missing_authorization",
    );
}

#[test]
fn a_parked_event_whose_id_another_lane_applied_is_a_duplicate_or_a_conflict() {
    check(
        "a: payment.captured 10                 => parked missing_authorization
         b: payment.captured 20                 => parked missing_authorization
         c: payment.voided 5 seq=1              => parked missing_authorization
         d: payment.voided 5 seq=3              => parked missing_sequence
         applied-elsewhere a same
         applied-elsewhere c other
         applied-elsewhere d other
         drain      => c rejected id_conflict (number used); d rejected id_conflict (number free); a duplicate
         parked b
         payment.authorized 50                  => applied; b applied",
    );
    check(
        "a: payment.captured 10                 => parked missing_authorization
         applied-elsewhere a other
         hour 100
         expire 73                              => a rejected id_conflict (number free)",
    );
}
