-- By partition, dead_letters has as many rows as the proof rows rejected and drained as rejected.
WITH said AS (
    SELECT partition, sum(rejected + drained_rejected) AS n FROM millrace.batches GROUP BY partition
),
stands AS (
    SELECT partition, count(*) AS n FROM millrace.dead_letters GROUP BY partition
),
violations AS (
    SELECT format('partition %s: the proof rows say %s rejected, dead_letters has %s',
                  partition, coalesce(said.n, 0), coalesce(stands.n, 0)) AS example
    FROM said
    FULL JOIN stands USING (partition)
    WHERE coalesce(said.n, 0) <> coalesce(stands.n, 0)
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
