//! The decision table, row by row: when an event applies, what it does, and by what name it does not.

mod common;

use common::{check, id};

#[test]
fn initiated_applies_once_whatever_else_came_first() {
    check(
        "
        payment.initiated 0         => applied 1
        state status=initiated intended=0
        payment.initiated 300       => rejected already_initiated
        state version=1 intended=0
    ",
    );
    check(
        "
        payment.declined 0          => applied 1
        payment.authorized 300      => applied 2
        payment.captured 300        => applied 3
        payment.initiated 250       => applied 4
        state status=captured intended=250 authorized=300 captured=300
        payment.initiated 250       => rejected already_initiated
    ",
    );
}

#[test]
fn authorized_declined_and_charged_apply_only_while_nothing_is_authorized() {
    check(
        "
        payment.declined 300        => applied 1
        state status=declined
        payment.declined 300        => applied 2
        payment.authorized 300      => applied 3
        state status=authorized authorized=300
        payment.authorized 300      => rejected already_authorized
        payment.declined 0          => rejected already_authorized
        payment.charged 300         => rejected already_authorized
    ",
    );
    check(
        "
        payment.declined 0          => applied 1
        payment.charged 300         => applied 2
        state status=captured authorized=300 captured=300
        payment.charged 300         => rejected already_authorized
    ",
    );
    check(
        "
        payment.authorized 300      => applied 1
        payment.voided 300          => applied 2
        payment.authorized 300      => rejected already_authorized
        payment.declined 300        => rejected already_authorized
    ",
    );
}

#[test]
fn captured_takes_from_what_is_open_and_waits_for_an_authorization() {
    check(
        "
        payment.captured 100        => parked missing_authorization
        payment.authorized 300      => applied 1; #1 applied 2
        state captured=100 status=partially_captured
        payment.captured 201        => rejected capture_exceeds_authorized
        payment.captured 200        => applied 3
        state captured=300 status=captured
        payment.captured 1          => rejected capture_exceeds_authorized
    ",
    );
}

#[test]
fn voided_takes_from_what_is_open_and_waits_for_an_authorization() {
    check(
        "
        payment.voided 100          => parked missing_authorization
        payment.authorized 300      => applied 1; #1 applied 2
        state voided=100 status=authorized
        payment.voided 201          => rejected void_exceeds_authorized
        payment.voided 200          => applied 3
        state voided=300 status=voided
        payment.voided 1            => rejected void_exceeds_authorized
    ",
    );
}

#[test]
fn expired_voids_all_that_is_open() {
    check(
        "
        payment.expired 0           => parked missing_authorization
        payment.authorized 300      => applied 1; #1 applied 2
        state voided=300 status=voided
        payment.expired 0           => rejected authorization_closed
    ",
    );
    check(
        "
        payment.authorized 300      => applied 1
        payment.captured 100        => applied 2
        payment.expired 300         => rejected amount_mismatch
        payment.expired 200         => applied 3
        state voided=200 status=captured
        payment.expired 200         => rejected authorization_closed
    ",
    );
}

#[test]
fn adjusted_sets_the_total_but_not_below_what_is_captured_and_voided() {
    check(
        "
        payment.adjusted 300        => parked missing_authorization
        payment.authorized 200      => applied 1; #1 applied 2
        state authorized=300
        payment.captured 100        => applied 3
        payment.voided 50           => applied 4
        payment.adjusted 149        => rejected adjust_below_captured
        payment.adjusted 500        => applied 5
        payment.adjusted 150        => applied 6
        state authorized=150 captured=100 voided=50 status=captured
        payment.adjusted 500        => rejected authorization_closed
    ",
    );
}

#[test]
fn refund_initiated_reserves_what_was_captured() {
    check(
        "
        refund.initiated 100 op=11  => parked missing_capture
        payment.authorized 300      => applied 1
        refund.initiated 10 op=12   => parked missing_capture
        payment.captured 200        => applied 2; #1 applied 3; #3 applied 4
        state refund_pending=110 op11=refund:pending:100 op12=refund:pending:10 status=partially_captured
        refund.initiated 91 op=13   => rejected refund_exceeds_captured
        refund.initiated 90 op=13   => applied 5
        refund.initiated 1 op=14    => rejected refund_exceeds_captured
    ",
    );
}

#[test]
fn refund_initiated_after_its_success_is_a_duplicate_or_a_conflict() {
    check(
        "
        payment.charged 300            => applied 1
        refund.succeeded 100 op=11     => applied 2
        refund.initiated 100 op=11     => duplicate
        refund.initiated 90 op=11      => rejected operation_conflict
        refund.initiated 100 op=11     => duplicate
        state refunded=100 refund_pending=0 version=2
    ",
    );
}

#[test]
fn refund_succeeded_settles_a_pending_operation_of_the_same_amount() {
    check(
        "
        payment.charged 300            => applied 1
        refund.initiated 100 op=11     => applied 2
        refund.succeeded 90 op=11      => rejected amount_mismatch
        refund.succeeded 100 op=11     => applied 3
        state refund_pending=0 refunded=100 op11=refund:succeeded:100 status=partially_refunded
    ",
    );
}

#[test]
fn refund_succeeded_without_a_known_operation_takes_from_what_was_captured() {
    check(
        "
        refund.succeeded 50            => parked missing_capture
        refund.succeeded 100 op=11     => parked missing_capture
        payment.charged 300            => applied 1; #1 applied 2; #2 applied 3
        state refunded=150 op11=refund:succeeded:100
        refund.succeeded 151           => rejected refund_exceeds_captured
        refund.succeeded 150           => applied 4
        state status=refunded
        refund.succeeded 1 op=12       => rejected refund_exceeds_captured
    ",
    );
}

#[test]
fn refund_succeeded_on_a_failed_operation_is_closed() {
    check(
        "
        payment.charged 300            => applied 1
        refund.initiated 100 op=11     => applied 2
        refund.failed 100 op=11        => applied 3
        refund.succeeded 100 op=11     => rejected operation_closed
        refund.initiated 100 op=11     => duplicate
        refund.initiated 90 op=11      => rejected operation_conflict
        refund.initiated 100 op=12     => applied 4
    ",
    );
}

#[test]
fn refund_failed_gives_back_what_was_pending() {
    check(
        "
        refund.failed 100 op=11        => parked missing_operation
        payment.charged 300            => applied 1
        refund.initiated 100 op=11     => applied 2; #1 applied 3
        state refund_pending=0 refunded=0 op11=refund:failed:100 status=captured
        refund.initiated 50 op=12      => applied 4
        refund.failed 49 op=12         => rejected amount_mismatch
        refund.succeeded 50 op=12      => applied 5
        refund.failed 50 op=12         => rejected operation_closed
    ",
    );
}

#[test]
fn refund_unreferenced_makes_a_credit_on_which_nothing_else_applies() {
    check(
        "
        refund.unreferenced 100 op=11  => applied 1
        state status=credit refunded=100 captured=0 op11=refund:succeeded:100
        payment.initiated 0            => rejected is_credit
        payment.charged 100            => rejected is_credit
        payment.captured 100           => rejected is_credit
        fee.charged 1                  => rejected is_credit
        refund.failed 100 op=12        => rejected is_credit
        refund.unreferenced 100 op=12  => rejected is_credit
        refund.unreferenced 100        => rejected is_credit
    ",
    );
    check(
        "
        payment.initiated 100          => applied 1
        refund.unreferenced 100        => rejected payment_exists
    ",
    );
    check(
        "
        payment.captured 100           => parked missing_authorization
        refund.unreferenced 100        => applied 1; #1 rejected is_credit
    ",
    );
}

#[test]
fn dispute_opened_takes_from_what_was_captured_beside_the_refunds() {
    check(
        "
        dispute.opened 100 op=21       => parked missing_capture
        payment.charged 300            => applied 1; #1 applied 2
        state disputed=100 status=disputed op21=dispute:open:100
        refund.succeeded 300           => applied 3
        dispute.opened 201 op=22       => rejected dispute_exceeds_captured
        dispute.lost 100 op=21         => applied 4
        state disputed=0 lost=100 status=charged_back
        dispute.opened 201 op=22       => rejected dispute_exceeds_captured
        dispute.opened 200 op=22       => applied 5
        state refunded=300 disputed=200 lost=100 status=disputed
    ",
    );
}

#[test]
fn dispute_won_and_lost_close_an_open_dispute_of_the_same_amount() {
    for (event_type, status, lost) in [("dispute.won", "won", 0), ("dispute.lost", "lost", 100)] {
        check(&format!(
            "
            {event_type} 100 op=21     => parked missing_operation
            payment.charged 300        => applied 1
            dispute.opened 100 op=21   => applied 2; #1 applied 3
            state disputed=0 lost={lost} op21=dispute:{status}:100
            dispute.opened 50 op=22    => applied 4
            {event_type} 49 op=22      => rejected amount_mismatch
            {event_type} 50 op=22      => applied 5
        "
        ));
    }
    check(
        "
        payment.charged 300            => applied 1
        dispute.opened 100 op=21       => applied 2
        dispute.won 100 op=21          => applied 3
        dispute.lost 100 op=21         => rejected operation_closed
        dispute.opened 100 op=22       => applied 4
        dispute.lost 100 op=22         => applied 5
        dispute.won 100 op=22          => rejected operation_closed
    ",
    );
}

#[test]
fn a_refund_that_names_a_disputes_operation_or_the_reverse_is_a_conflict() {
    check(
        "
        payment.charged 300            => applied 1
        dispute.opened 100 op=21       => applied 2
        refund.initiated 100 op=21     => rejected operation_conflict
        refund.succeeded 100 op=21     => rejected operation_conflict
        refund.failed 100 op=21        => rejected operation_conflict
        refund.initiated 100 op=11     => applied 3
        dispute.opened 100 op=11       => rejected operation_conflict
        dispute.opened 900 op=11       => rejected operation_conflict
        dispute.won 100 op=11          => rejected operation_conflict
        dispute.lost 100 op=11         => rejected operation_conflict
    ",
    );
}

#[test]
fn a_fee_needs_something_captured() {
    check(
        "
        fee.charged 5                  => parked missing_capture
        payment.authorized 300         => applied 1
        payment.captured 1             => applied 2; #1 applied 3
        fee.charged 500                => applied 4
        state fees=505
    ",
    );
}

#[test]
fn refunds_disputes_and_fees_are_refused_once_nothing_can_be_captured_any_more() {
    check(
        "
        payment.authorized 300         => applied 1
        fee.charged 5                  => parked missing_capture
        refund.succeeded 5             => parked missing_capture
        refund.initiated 5 op=11       => parked missing_capture
        dispute.opened 5 op=21         => parked missing_capture
        payment.voided 300             => applied 2; #2 rejected nothing_captured; #3 rejected refund_exceeds_captured; #4 rejected refund_exceeds_captured; #5 rejected dispute_exceeds_captured
        fee.charged 5                  => rejected nothing_captured
    ",
    );
}

#[test]
fn a_sum_that_would_leave_64_bits_is_refused() {
    let max = (1_i64 << 53) - 1;
    let mut script = format!("payment.charged {max} => applied 1\n");
    for version in 2..=1_025 {
        script += &format!("fee.charged {max} => applied {version}\n");
    }
    script += &format!(
        "
        fee.charged {max}              => rejected amount_overflow
        fee.charged 1024               => rejected amount_overflow
        fee.charged 1023               => applied 1026
        fee.charged 1                  => rejected amount_overflow
        state fees={}
    ",
        i64::MAX
    );
    check(&script);
}

#[test]
fn each_type_posts_the_entry_of_its_row() {
    let rows = [
        ("", "payment.captured 100", ""),
        ("payment.authorized 300", "payment.captured 100", "psp_receivable merchant_payable:m-1"),
        ("", "payment.charged 100", "psp_receivable merchant_payable:m-1"),
        ("payment.charged 300", "refund.initiated 100 op=11", "merchant_payable:m-1 refunds_in_transit"),
        (
            "payment.charged 300\nrefund.initiated 100 op=11",
            "refund.succeeded 100 op=11",
            "refunds_in_transit psp_receivable",
        ),
        ("payment.charged 300", "refund.succeeded 100 op=11", "merchant_payable:m-1 psp_receivable"),
        ("payment.charged 300", "refund.succeeded 100", "merchant_payable:m-1 psp_receivable"),
        (
            "payment.charged 300\nrefund.initiated 100 op=11",
            "refund.failed 100 op=11",
            "refunds_in_transit merchant_payable:m-1",
        ),
        ("", "refund.unreferenced 100", "merchant_payable:m-1 psp_receivable"),
        ("payment.charged 300", "dispute.opened 100 op=21", "dispute_receivable psp_receivable"),
        ("payment.charged 300\ndispute.opened 100 op=21", "dispute.won 100 op=21", "psp_receivable dispute_receivable"),
        (
            "payment.charged 300\ndispute.opened 100 op=21",
            "dispute.lost 100 op=21",
            "merchant_payable:m-1 dispute_receivable",
        ),
        ("payment.charged 300", "fee.charged 100", "merchant_payable:m-1 fee_revenue"),
        ("", "payment.initiated 100", ""),
        ("", "payment.authorized 100", ""),
        ("", "payment.declined 100", ""),
        ("payment.authorized 300", "payment.voided 100", ""),
        ("payment.authorized 300", "payment.expired 300", ""),
        ("payment.authorized 300", "payment.adjusted 100", ""),
    ];
    for (before, event, accounts) in rows {
        let mut script = String::new();
        for (version, line) in before.lines().enumerate() {
            script += &format!("{line} => applied {}\n", version + 1);
        }
        let posted_before = check(&script).transfers().len();
        let version = before.lines().count() + 1;
        let parked = before.is_empty() && event.starts_with("payment.captured");
        let becomes = if parked { "parked missing_authorization".to_owned() } else { format!("applied {version}") };
        let model = check(&format!("{script}{event} => {becomes}"));
        let posted: Vec<String> = model.transfers()[posted_before..]
            .iter()
            .map(|t| format!("{} {} {} {}", t.debit_account, t.credit_account, t.amount_minor, t.currency))
            .collect();
        let expected: Vec<String> = (!accounts.is_empty()).then(|| format!("{accounts} 100 EUR")).into_iter().collect();
        assert_eq!(posted, expected, "{event} after {before:?}");
    }
}

#[test]
fn status_is_the_first_that_matches() {
    let rows = [
        ("refund.unreferenced 100", "credit"),
        ("payment.charged 300\ndispute.opened 100 op=21\ndispute.opened 50 op=22\ndispute.lost 50 op=22", "disputed"),
        ("payment.charged 300\nrefund.succeeded 300\ndispute.opened 50 op=22\ndispute.lost 50 op=22", "charged_back"),
        ("payment.charged 300\nrefund.succeeded 300", "refunded"),
        ("payment.authorized 400\npayment.captured 300\nrefund.succeeded 300", "refunded"),
        ("payment.charged 300\nrefund.succeeded 299", "partially_refunded"),
        ("payment.charged 300\nrefund.initiated 300 op=11", "captured"),
        ("payment.authorized 400\npayment.captured 300\npayment.voided 100", "captured"),
        ("payment.authorized 400\npayment.captured 300", "partially_captured"),
        ("payment.authorized 400\npayment.voided 300", "authorized"),
        ("payment.authorized 400\npayment.voided 400", "voided"),
        ("payment.initiated 400\npayment.declined 400", "declined"),
        ("payment.declined 400\npayment.initiated 400", "declined"),
        ("payment.initiated 400", "initiated"),
    ];
    for (lines, status) in rows {
        let mut script = String::new();
        for (version, line) in lines.lines().enumerate() {
            script += &format!("{line} => applied {}\n", version + 1);
        }
        check(&format!("{script}state status={status}"));
    }
}

#[test]
fn a_balance_is_debits_minus_credits_by_account_and_currency() {
    let model = check(
        "
        payment.charged 300                        => applied 1
        payment.charged 200 pay=2 mer=m-2          => applied 1
        payment.charged 70 pay=3 cur=JPY           => applied 1
        refund.succeeded 50                        => applied 2
        fee.charged 5 pay=3 cur=JPY                => applied 2
    ",
    );
    let shown: Vec<String> =
        model.balances().into_iter().map(|((account, currency), sum)| format!("{account} {currency} {sum}")).collect();
    assert_eq!(
        shown,
        [
            "fee_revenue JPY -5",
            "merchant_payable:m-1 EUR -250",
            "merchant_payable:m-1 JPY -65",
            "merchant_payable:m-2 EUR -200",
            "psp_receivable EUR 450",
            "psp_receivable JPY 70",
        ]
    );
    assert!(model.operations().is_empty() && model.state(&id(3)).is_some());
}
