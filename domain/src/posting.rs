//! The posting rules: which accounts an applied event moves its amount between.
//!
//! The columns "ledger: debit -> credit" of the decision table. Summing into balances is left to `store`.

use std::fmt;

use crate::ids::MerchantId;
use crate::money::Currency;

/// An account of the ledger; each is kept by currency.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Account {
    /// What the payment service provider owes us.
    PspReceivable,
    /// What we owe one merchant.
    MerchantPayable(MerchantId),
    /// Refunds on their way to cardholders.
    RefundsInTransit,
    /// What banks hold while a dispute is open.
    DisputeReceivable,
    /// The fees that we earned.
    FeeRevenue,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::PspReceivable => f.write_str("psp_receivable"),
            Account::MerchantPayable(merchant) => write!(f, "merchant_payable:{merchant}"),
            Account::RefundsInTransit => f.write_str("refunds_in_transit"),
            Account::DisputeReceivable => f.write_str("dispute_receivable"),
            Account::FeeRevenue => f.write_str("fee_revenue"),
        }
    }
}

/// One ledger row: a positive amount from one account to another, in one currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The account debited.
    pub debit: Account,
    /// The account credited.
    pub credit: Account,
    /// At least 1 minor unit.
    pub amount_minor: i64,
    /// The currency of both accounts.
    pub currency: Currency,
}
