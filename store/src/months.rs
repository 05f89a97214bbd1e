//! Time partitions of the event log: one for each month, made ahead for all of the accepted window.
//!
//! There is no DEFAULT partition: an id outside the window is rejected by rule 2 and never reaches the table. Dropping
//! old months is left to the operator, who knows how long the law wants them.

use millrace_domain::ids::Micros;
use millrace_domain::window::AcceptedWindow;
use sqlx::postgres::PgConnection;
use time::{Date, Month, OffsetDateTime};
use uuid::Uuid;

use crate::error::StoreError;

/// How far ahead of the window months are made: a worker that cannot make more has this long to say so.
const AHEAD_MONTHS: i32 = 2;

/// A calendar month, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct CalendarMonth {
    year: i32,
    month: u8,
}

impl CalendarMonth {
    fn of_unix_ms(ms: i64) -> CalendarMonth {
        // An id's time is 48 bits wide; a window may reach beyond what a calendar tells.
        let date = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000).max(0)).map_or(Date::MAX, |t| t.date());
        CalendarMonth { year: date.year(), month: u8::from(date.month()) }
    }

    fn next(self) -> CalendarMonth {
        match self.month {
            12 => CalendarMonth { year: self.year + 1, month: 1 },
            month => CalendarMonth { month: month + 1, ..self },
        }
    }

    fn plus(self, months: i32) -> CalendarMonth {
        (0..months).fold(self, |month, _| month.next())
    }

    /// The smallest UUIDv7 of the month.
    fn first_id(self) -> Uuid {
        let month = Month::try_from(self.month).expect("months are counted from 1 to 12");
        let ms = Date::from_calendar_date(self.year, month, 1)
            .map_or(i128::from(i64::MAX), |date| date.midnight().assume_utc().unix_timestamp_nanos() / 1_000_000);
        Uuid::from_u128((ms.clamp(0, (1 << 48) - 1) as u128) << 80)
    }

    fn table(self) -> String {
        format!("events_{:04}_{:02}", self.year, self.month)
    }
}

/// Makes the months of the window that are missing. Cheap when none is.
pub async fn ensure(connection: &mut PgConnection, window: &AcceptedWindow, now: Micros) -> Result<(), StoreError> {
    let (earliest_ms, latest_ms) = window.bounds_ms(now);
    let last = CalendarMonth::of_unix_ms(latest_ms).plus(AHEAD_MONTHS);
    let mut month = CalendarMonth::of_unix_ms(earliest_ms);
    let existing: Vec<String> =
        sqlx::query_scalar(include_str!("../queries/list_months.sql")).fetch_all(&mut *connection).await?;
    while month <= last {
        if !existing.contains(&month.table()) {
            sqlx::query(include_str!("../queries/make_month.sql"))
                .bind(month.table())
                .bind(month.first_id())
                .bind(month.next().first_id())
                .execute(&mut *connection)
                .await?;
        }
        month = month.next();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_with_the_smallest_id_of_its_first_millisecond() {
        let month = CalendarMonth { year: 2023, month: 8 };
        assert_eq!(month.first_id(), Uuid::from_u128(1_690_848_000_000_u128 << 80));
        assert_eq!(month.plus(5), CalendarMonth { year: 2024, month: 1 });
        assert_eq!(month.table(), "events_2023_08");
    }
}
