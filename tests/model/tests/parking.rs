//! What waits: the order in which it is judged again, the parking limit, claims, and two users under one payment id.

mod common;

use common::check;

#[test]
fn numbered_ones_are_judged_again_by_sequence_then_the_others_by_offset() {
    check("
        refund.succeeded 10                            => parked missing_capture
        payment.captured 30 seq=3                      => parked missing_sequence
        payment.captured 20 seq=2                      => parked missing_sequence
        fee.charged 1                                  => parked missing_capture
        payment.authorized 300 seq=1                   => applied 1; #3 applied 2; #2 applied 3; #1 applied 4; #4 applied 5
    ");
}

#[test]
fn after_each_that_moves_it_begins_from_the_first_again() {
    check("
        dispute.won 10 op=1                            => parked missing_operation
        payment.captured 20 seq=2                      => parked missing_sequence
        dispute.opened 10 op=1                         => parked missing_capture
        fee.charged 1                                  => parked missing_capture
        payment.authorized 300 seq=1                   => applied 1; #2 applied 2; #3 applied 3; #1 applied 4; #4 applied 5
    ");
}

#[test]
fn what_used_its_number_up_while_parked_lets_the_next_number_through() {
    check(
        "
        payment.authorized 300 seq=3                   => parked missing_sequence
        payment.captured 20 seq=2                      => parked missing_sequence
        payment.initiated 300 seq=1                    => applied 1; #1 applied 2; #2 applied 3
        state last=3
    ",
    );
    check(
        "
        dispute.won 10 op=1 seq=2                      => parked missing_sequence
        payment.initiated 300 seq=1                    => applied 1
        state last=2 waiting=missing_operation
    ",
    );
}

#[test]
fn a_rejection_that_uses_a_number_up_drains_what_waited_for_the_next() {
    check(
        "
        payment.charged 300 seq=1                      => applied 1
        fee.charged 1 seq=3                            => parked missing_sequence
        payment.charged 300 seq=2                      => rejected already_authorized; #2 applied 2
    ",
    );
}

#[test]
fn a_parked_one_may_be_rejected_or_turn_out_a_duplicate_when_judged_again() {
    check(
        "
        refund.initiated 100 op=1                      => parked missing_capture
        refund.succeeded 100 op=1 seq=2                => parked missing_sequence
        payment.charged 300 seq=1                      => applied 1; #2 applied 2; #1 duplicate
    ",
    );
    check(
        "
        dispute.won 100 op=1                           => parked missing_operation
        payment.charged 300                            => applied 1
        refund.succeeded 100 op=1                      => applied 2; #1 rejected operation_conflict
    ",
    );
}

#[test]
fn after_the_parking_limit_what_waits_is_rejected_and_its_id_forgotten() {
    check(
        "
        payment.captured 100 id=1                      => parked missing_authorization
        payout.sent 5                                  => parked unknown_type
        clock +72h
        expire                                         =>
        clock_ms 1
        expire                                         => #1 rejected missing_predecessor; #2 rejected unknown_type
        expire                                         =>
        payment.captured 100 id=1                      => parked missing_authorization
    ",
    );
}

#[test]
fn the_limit_counts_from_the_first_parking_though_the_reason_changed() {
    check(
        "
        payment.captured 100 seq=2                     => parked missing_sequence
        clock +50h
        payment.initiated 100 seq=1                    => applied 1
        state waiting=missing_authorization
        clock +23h
        expire                                         => #1 rejected missing_predecessor
    ",
    );
}

#[test]
fn the_numbers_up_to_that_of_a_late_one_are_used_up_and_the_next_move() {
    check(
        "
        payment.charged 300 seq=3                      => parked missing_sequence
        clock +1h
        fee.charged 1 seq=4                            => parked missing_sequence
        payment.declined 1 seq=6                       => parked missing_sequence
        clock +72h
        expire                                         => #1 rejected missing_predecessor
        state waiting=missing_capture,missing_sequence
        payment.declined 0 seq=2                       => rejected sequence_conflict
        payment.charged 300 seq=5                      => applied 1; #2 applied 2; #3 rejected already_authorized
    ",
    );
}

#[test]
fn one_late_at_a_time_and_what_it_moves_is_saved() {
    check(
        "
        payment.initiated 300 seq=2                    => parked missing_sequence
        payment.charged 300 seq=3                      => parked missing_sequence
        fee.charged 1                                  => parked missing_capture
        clock +73h
        expire                                         => #1 rejected missing_predecessor; #2 applied 1; #3 applied 2
    ",
    );
}

#[test]
fn a_lower_number_parked_later_finds_its_number_used_up_by_the_earlier_one() {
    check(
        "
        payment.charged 300 seq=5                      => parked missing_sequence
        clock +1h
        payment.charged 300 seq=3                      => parked missing_sequence
        clock +72h
        expire                                         => #1 rejected missing_predecessor; #2 rejected sequence_conflict
    ",
    );
}

#[test]
fn a_claim_by_a_worker_that_knows_the_type_judges_it_again() {
    check(
        "
        claim payment.authorized payment.voided        =>
        payment.charged 300                            => parked unknown_type
        fee.charged 5 seq=2                            => parked missing_sequence
        payment.declined 0 seq=1                       => parked unknown_type
        state waiting=unknown_type,unknown_type,unknown_type
        claim all                                      => #3 applied 1; #1 applied 2; #2 applied 3
    ",
    );
    check(
        "
        claim payment.authorized                       =>
        payment.captured 100                           => parked unknown_type
        claim all                                      =>
        state waiting=missing_authorization
        payment.authorized 300                         => applied 1; #1 applied 2
    ",
    );
}

#[test]
fn rules_that_hang_on_the_type_hold_once_it_is_known() {
    check(
        "
        claim payment.authorized                       =>
        payment.charged 0                              => parked unknown_type
        payment.charged 10 mer=-                       => parked unknown_type
        claim all                                      => #1 rejected malformed; #2 rejected malformed
    ",
    );
}

#[test]
fn a_type_that_becomes_known_does_not_meet_rule_7() {
    // To the letter: "any other has used its number up and meets rules 5, 6 and 8".
    check(
        "
        payment.charged 300                            => applied 1
        claim payment.charged                          =>
        fee.charged 5 op=1                             => parked unknown_type
        fee.charged 5 op=1                             => parked unknown_type
        claim all                                      => #2 applied 2; #3 applied 3
    ",
    );
}

#[test]
fn an_older_worker_does_not_judge_what_it_does_not_know() {
    check(
        "
        payment.captured 100                           => parked missing_authorization
        claim payment.authorized                       =>
        payment.authorized 300                         => applied 1
        state waiting=unknown_type
        claim all                                      => #1 applied 2
    ",
    );
}

#[test]
fn two_users_under_one_payment_id_are_two_lanes() {
    check("
        payment.captured 10 user=u-2 part=1 seq=1      => parked missing_authorization
        payment.charged 300 seq=1 part=0               => applied 1
        payment.charged 300 user=u-2 part=1            => rejected owner_mismatch
        payment.charged 300 user=u-2 part=1 seq=3      => parked missing_sequence
        payment.charged 300 user=u-2 part=1 seq=2      => rejected owner_mismatch; #1 rejected owner_mismatch; #4 rejected owner_mismatch
        fee.charged 5 part=0 seq=2                     => applied 2
        state user=u-1 last=2 version=2
    ");
    check(
        "
        payment.captured 10 user=u-2 part=1            => parked missing_authorization
        payment.charged 300 part=0                     => applied 1
        clock +73h
        expire part=0                                  =>
        expire part=1                                  => #1 rejected missing_predecessor
    ",
    );
}

#[test]
fn two_users_on_one_partition_share_the_payment_and_its_numbers() {
    check(
        "
        payment.charged 300 seq=1                      => applied 1
        fee.charged 5 seq=2 user=u-2                   => rejected owner_mismatch
        fee.charged 5 seq=2                            => rejected sequence_conflict
        fee.charged 5 seq=3                            => applied 2
    ",
    );
}
