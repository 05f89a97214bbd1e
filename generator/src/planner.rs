//! Which payment comes next: whose it is, what its life is, and when each of its events is published.
//!
//! Counting lines and time is left to `stream`.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};

use crate::disorder::Order;
use crate::life::{self, Payment};
use crate::mistakes::add_mistake;
use crate::options::{Options, Profile};

/// Exponents of the popularity: of 10,000 users the first makes about 3 % of the payments, of 200 merchants the
/// first takes about 20 %.
const USER_SKEW: f64 = 0.8;
const MERCHANT_SKEW: f64 = 1.1;

/// How late a late event is published after those that overtook it, in lines.
const LATE_LINES: std::ops::Range<u64> = 1..60;
/// The same for a payment of one event, which nothing of its own overtakes.
const LATE_ALONE_LINES: std::ops::Range<u64> = 10..2_000;

/// A payment with the order and the times of its publication.
#[derive(Debug)]
pub(crate) struct Plan {
    pub payment: Payment,
    /// For each event in order of publication: the step, and its line counted from the payment's first.
    pub publications: Vec<(u8, u64)>,
    pub late: u64,
    pub drained: u64,
}

/// Draws payments.
#[derive(Debug)]
pub(crate) struct Planner {
    users: Zipf<f64>,
    merchants: Zipf<f64>,
    hot_user_share: f64,
    numbered: f64,
    reorder: f64,
    mistakes: f64,
    profile: Profile,
    /// Late events still owed to the rate: many payments offer nothing that may be late.
    late_owed: f64,
}

impl Planner {
    pub fn new(options: &Options) -> Self {
        let skewed = |count: u32, skew| {
            Zipf::new(f64::from(count), skew).expect("the count is at least 1: Options::validate refuses less")
        };
        Self {
            users: skewed(options.users, USER_SKEW),
            merchants: skewed(options.merchants, MERCHANT_SKEW),
            hot_user_share: options.hot_user_share,
            numbered: options.numbered,
            reorder: options.reorder,
            mistakes: options.mistakes,
            profile: options.profile,
            late_owed: 0.0,
        }
    }

    /// The next payment.
    pub fn plan(&mut self, rng: &mut StdRng) -> Plan {
        let (user, merchant) = (self.user(rng), self.merchant(rng));
        match self.profile {
            Profile::Charges => {
                let payment = life::single_charge(rng, user, merchant);
                self.plan_charge(rng, payment)
            }
            Profile::Lifecycle => {
                let numbered = rng.random_bool(self.numbered);
                let payment = life::life_cycle(rng, user, merchant, numbered);
                self.plan_life(rng, payment)
            }
        }
    }

    /// A payment of one event on time, to fill up the last lines.
    pub fn plan_filler(&mut self, rng: &mut StdRng) -> Plan {
        let (user, merchant) = (self.user(rng), self.merchant(rng));
        let payment = life::single_charge(rng, user, merchant);
        scheduled(rng, payment, None)
    }

    fn plan_charge(&mut self, rng: &mut StdRng, payment: Payment) -> Plan {
        let mut plan = scheduled(rng, payment, None);
        if rng.random_bool(self.reorder) {
            plan.late = 1;
            plan.publications[0].1 += rng.random_range(LATE_ALONE_LINES);
        }
        plan
    }

    fn plan_life(&mut self, rng: &mut StdRng, mut payment: Payment) -> Plan {
        let steps = payment.steps.len() as f64;
        let has_mistake = rng.random_bool((self.mistakes * steps).min(1.0));
        if has_mistake && rng.random_bool(0.15) {
            let mut orphan = life::nothing(rng, payment.user, payment.merchant);
            add_mistake(rng, &mut orphan);
            return scheduled(rng, orphan, None);
        }
        self.late_owed += self.reorder * steps;
        let mut order = None;
        if self.late_owed > rng.random::<f64>() {
            order = Order::disturbed(rng, &mut payment);
            self.late_owed -= order.as_ref().map_or(0.0, |order| order.late as f64);
        }
        if has_mistake {
            add_mistake(rng, &mut payment);
        }
        scheduled(rng, payment, order)
    }

    /// A user by popularity.
    pub fn user(&self, rng: &mut StdRng) -> u32 {
        if self.hot_user_share > 0.0 && rng.random_bool(self.hot_user_share) {
            return 1;
        }
        self.users.sample(rng) as u32
    }

    fn merchant(&self, rng: &mut StdRng) -> u32 {
        self.merchants.sample(rng) as u32
    }
}

/// Times of publication for an order that covers all steps, but for a mistake at the end.
fn scheduled(rng: &mut StdRng, payment: Payment, order: Option<Order>) -> Plan {
    let Order { mut indexes, late, drained } = order.unwrap_or_else(|| Order::as_happened(&payment));
    if indexes.len() < payment.steps.len() {
        indexes.push(indexes.len() as u8);
    }
    let mut line = 0;
    let mut newest = 0;
    let publications = indexes.into_iter().map(|index| {
        let happened = payment.steps[usize::from(index)].at_lines;
        line = if index < newest { line + rng.random_range(LATE_LINES) } else { line.max(happened) };
        newest = newest.max(index);
        (index, line)
    });
    let publications = publications.collect();
    Plan { payment, publications, late, drained }
}

/// The one way to make the generator of random numbers, so that the seed means the same everywhere.
pub(crate) fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
