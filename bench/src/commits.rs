//! What Postgres itself says of a run: which transaction committed when, and how much was in it.
//!
//! The commit timestamps (`track_commit_timestamp`) are the same clock for every contender, and nobody has to be asked
//! while the run goes on.

use std::collections::HashSet;

use anyhow::Context;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

/// One committed transaction, or one proof row of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Commit {
    /// Seconds since 1970.
    pub at: f64,
    /// Records or rows in it.
    pub records: i64,
    /// What a proof row says further; none for other tables.
    pub proof: Option<Proof>,
}

/// The place of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are those of the columns of millrace.batches")]
pub struct Proof {
    pub partition: i32,
    pub from_offset: i64,
    pub epoch: i64,
}

/// Records per second between two commits, and how many seconds those were.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs, reason = "said above")]
pub struct Pace {
    pub per_second: f64,
    pub seconds: f64,
}

/// Every batch of a Millrace database, in order of time.
pub async fn of_batches(session: &mut PgConnection) -> anyhow::Result<Vec<Commit>> {
    let rows = sqlx::query(
        "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8, to_offset - from_offset, partition,
                from_offset, epoch
         FROM millrace.batches WHERE to_offset > from_offset ORDER BY 1",
    )
    .fetch_all(session)
    .await?;
    let commit = |row: &sqlx::postgres::PgRow| {
        let proof = Proof { partition: row.try_get(2)?, from_offset: row.try_get(3)?, epoch: row.try_get(4)? };
        Ok(Commit { at: row.try_get(0)?, records: row.try_get(1)?, proof: Some(proof) })
    };
    rows.iter().map(commit).collect::<Result<_, sqlx::Error>>().context("commit timestamps of millrace.batches")
}

/// Every transaction that wrote rows of a table, in order of time.
pub async fn of_rows(session: &mut PgConnection, table: &str) -> anyhow::Result<Vec<Commit>> {
    let statement = format!(
        "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8, records
         FROM (SELECT xmin, count(*) AS records FROM {table} GROUP BY xmin) AS written ORDER BY 1"
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(session).await?;
    let commit =
        |row: &sqlx::postgres::PgRow| Ok(Commit { at: row.try_get(0)?, records: row.try_get(1)?, proof: None });
    rows.iter().map(commit).collect::<Result<_, sqlx::Error>>().with_context(|| format!("commit timestamps of {table}"))
}

/// The pace from the first commit to the last: what the first one wrote was done before the time begins.
pub fn pace(commits: &[Commit]) -> anyhow::Result<Pace> {
    let (first, last) = (commits.first(), commits.last());
    let (first, last) = first.zip(last).context("nothing was committed")?;
    let records: i64 = commits.iter().skip(1).map(|commit| commit.records).sum();
    let seconds = last.at - first.at;
    anyhow::ensure!(seconds > 0.0, "all was committed at one moment: give more events (--events)");
    Ok(Pace { per_second: records as f64 / seconds, seconds })
}

/// The pace behind the commit with which half of everything was done.
pub fn pace_of_second_half(commits: &[Commit]) -> anyhow::Result<Pace> {
    let all: i64 = commits.iter().map(|commit| commit.records).sum();
    let mut done = 0;
    let half = commits.iter().position(|commit| {
        done += commit.records;
        done * 2 >= all
    });
    pace(&commits[half.context("nothing was committed")?..])
}

/// The pace once every lane has the owner that it keeps: from the last first commit of a claim on.
pub fn pace_after_the_last_claim(commits: &[Commit]) -> anyhow::Result<Pace> {
    let mut claims = HashSet::new();
    let is_first = |commit: &Commit| commit.proof.is_some_and(|proof| claims.insert((proof.partition, proof.epoch)));
    let firsts: Vec<bool> = commits.iter().map(is_first).collect();
    let last = firsts.iter().rposition(|is_first| *is_first).context("nothing was committed")?;
    pace(&commits[last..])
}

/// The longest time without a commit among the partitions whose epoch never changed, with both ends of the run left
/// out; none if there is no such partition.
pub fn longest_gap_of_those_that_stay(commits: &[Commit]) -> Option<f64> {
    let mut partitions: Vec<i32> = commits.iter().filter_map(|c| Some(c.proof?.partition)).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let of = |partition: i32| commits.iter().filter(move |c| c.proof.is_some_and(|p| p.partition == partition));
    let stays = |partition: &i32| {
        let mut epochs = of(*partition).filter_map(|c| Some(c.proof?.epoch));
        let first = epochs.next();
        epochs.all(|epoch| Some(epoch) == first)
    };
    let gap = |partition: i32| {
        let times: Vec<f64> = of(partition).map(|commit| commit.at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
    };
    partitions.into_iter().filter(stays).map(gap).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(at: f64, records: i64, partition: i32, from_offset: i64, epoch: i64) -> Commit {
        Commit { at, records, proof: Some(Proof { partition, from_offset, epoch }) }
    }

    #[test]
    fn the_first_commit_begins_the_time_and_counts_for_nothing() {
        let commits = [commit(10.0, 500, 0, 0, 1), commit(11.0, 100, 0, 500, 1), commit(12.0, 300, 1, 0, 1)];
        assert_eq!(pace(&commits).expect("a pace"), Pace { per_second: 200.0, seconds: 2.0 });
        assert!(pace(&commits[..1]).is_err());
    }

    #[test]
    fn the_second_half_of_the_rows_is_counted_from_the_commit_that_completes_the_first() {
        let commits = [commit(1.0, 10, 0, 0, 1), commit(5.0, 50, 0, 10, 1), commit(6.0, 40, 0, 60, 1)];
        let pace = pace_of_second_half(&commits).expect("a pace");
        assert_eq!(pace, Pace { per_second: 40.0, seconds: 1.0 });
    }

    #[test]
    fn a_claim_that_wrote_nothing_does_not_begin_the_time() {
        // Partition 1 moves to another worker; the claims at the very end, when workers are told to stop, leave no commit.
        let commits = [
            commit(10.0, 500, 0, 0, 1),
            commit(10.5, 500, 1, 0, 2),
            commit(11.0, 900, 1, 500, 3),
            commit(12.0, 300, 0, 500, 1),
        ];
        let pace = pace_after_the_last_claim(&commits).expect("a pace");
        assert_eq!(pace, Pace { per_second: 300.0, seconds: 1.0 });
        assert!(pace_after_the_last_claim(&[]).is_err());
    }

    #[test]
    fn only_a_partition_that_stays_with_its_worker_counts_for_the_gap() {
        let commits =
            [commit(1.0, 1, 0, 0, 1), commit(1.5, 1, 1, 0, 1), commit(1.7, 1, 0, 1, 1), commit(9.0, 1, 1, 1, 2)];
        let gap = longest_gap_of_those_that_stay(&commits).expect("partition 0 stays");
        assert!((gap - 0.7).abs() < 1e-9);
    }
}
