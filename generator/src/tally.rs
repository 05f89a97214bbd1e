//! Bookkeeping: what was made, and the accounts that it moves.
//!
//! It is told what becomes of each event and judges nothing. Names are put to the figures only at the end, so that
//! counting costs little per line.

use std::collections::BTreeMap;

use crate::event::EventType::{self, *};
use crate::event::{Currency, MerchantId};
use crate::expected::Outcome;
use crate::life::{Fate, Payment};

/// The accounts of the design's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Account {
    PspReceivable,
    RefundsInTransit,
    DisputeReceivable,
    FeeRevenue,
    MerchantPayable(u32),
}

impl Account {
    fn name(self) -> String {
        match self {
            Self::PspReceivable => "psp_receivable".to_owned(),
            Self::RefundsInTransit => "refunds_in_transit".to_owned(),
            Self::DisputeReceivable => "dispute_receivable".to_owned(),
            Self::FeeRevenue => "fee_revenue".to_owned(),
            Self::MerchantPayable(merchant) => format!("merchant_payable:{}", MerchantId(merchant)),
        }
    }
}

/// Counts and sums so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    applied: [[(u64, i64); Currency::ALL.len()]; EventType::ALL.len()],
    duplicates: u64,
    rejected: BTreeMap<&'static str, u64>,
    parked: BTreeMap<&'static str, u64>,
    drained: u64,
    statuses: BTreeMap<&'static str, u64>,
    transfers: u64,
    balances: BTreeMap<(Account, Currency), i64>,
    pub distinct: u64,
    pub late: u64,
}

impl Tally {
    /// A payment that will be published to its end.
    pub fn payment(&mut self, payment: &Payment, late: u64, drained: u64) {
        self.late += late;
        self.drained += drained;
        self.distinct += payment.steps.len() as u64;
        let mut is_known = false;
        for (index, step) in payment.steps.iter().enumerate() {
            match step.fate {
                Fate::Applied => {
                    is_known = true;
                    self.applied(payment, index);
                }
                Fate::Duplicate => self.duplicate(),
                Fate::Rejected(reason) => self.rejected(reason),
                Fate::Parked(reason) => *self.parked.entry(reason).or_default() += 1,
            }
        }
        if is_known {
            *self.statuses.entry(payment.sums.status()).or_default() += 1;
        }
    }

    pub fn duplicate(&mut self) {
        self.duplicates += 1;
    }

    pub fn rejected(&mut self, reason: &'static str) {
        *self.rejected.entry(reason).or_default() += 1;
    }

    fn applied(&mut self, payment: &Payment, index: usize) {
        let step = &payment.steps[index];
        let cell = &mut self.applied[step.kind as usize][payment.currency as usize];
        cell.0 += 1;
        cell.1 += step.amount_minor;
        let merchant = Account::MerchantPayable(payment.merchant);
        let (debit, credit) = match step.kind {
            PaymentInitiated | PaymentAuthorized | PaymentAdjusted => return,
            PaymentDeclined | PaymentVoided | PaymentExpired => return,
            PaymentCaptured | PaymentCharged => (Account::PspReceivable, merchant),
            RefundInitiated => (merchant, Account::RefundsInTransit),
            RefundSucceeded if payment.refund_was_pending(index) => (Account::RefundsInTransit, Account::PspReceivable),
            RefundSucceeded | RefundUnreferenced => (merchant, Account::PspReceivable),
            RefundFailed => (Account::RefundsInTransit, merchant),
            DisputeOpened => (Account::DisputeReceivable, Account::PspReceivable),
            DisputeWon => (Account::PspReceivable, Account::DisputeReceivable),
            DisputeLost => (merchant, Account::DisputeReceivable),
            FeeCharged => (merchant, Account::FeeRevenue),
        };
        self.transfers += 1;
        *self.balances.entry((debit, payment.currency)).or_default() += step.amount_minor;
        *self.balances.entry((credit, payment.currency)).or_default() -= step.amount_minor;
    }

    /// The figures by their names.
    pub fn outcome(&self) -> Outcome {
        let named = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(&name, &count)| (name.to_owned(), count)).collect()
        };
        let mut outcome = Outcome {
            duplicates: self.duplicates,
            rejected: named(&self.rejected),
            parked: named(&self.parked),
            drained_applied: self.drained,
            payments_by_status: named(&self.statuses),
            transfers: self.transfers,
            ..Outcome::default()
        };
        for (kind, row) in EventType::ALL.into_iter().zip(&self.applied) {
            for (currency, &(count, sum_minor)) in Currency::ALL.into_iter().zip(row) {
                if count > 0 {
                    outcome.applied += count;
                    *outcome.by_type.entry(kind.as_str().to_owned()).or_default() += count;
                    outcome.sum_minor.insert(format!("{} {}", kind.as_str(), currency.code()), sum_minor);
                }
            }
        }
        for (&(account, currency), &minor) in &self.balances {
            outcome.balances_minor.insert(format!("{} {}", account.name(), currency.code()), minor);
            if let Account::MerchantPayable(_) = account {
                *outcome.merchant_payable_minor.entry(currency.code().to_owned()).or_default() += minor;
            }
        }
        outcome
    }
}
