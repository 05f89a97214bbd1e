-- How many records were accounted for in how many seconds, from the first proof row of a range of offsets to its last
-- one, or to the last one before a moment ($4). What the first row accounts for was done before the time begins.
WITH proof AS (
    SELECT b.committed_at, b.to_offset - b.from_offset AS records
    FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS range (partition, first, behind)
    JOIN millrace.batches AS b
        ON b.partition = range.partition AND b.from_offset >= range.first AND b.to_offset <= range.behind
    WHERE b.to_offset > b.from_offset AND b.committed_at <= coalesce(to_timestamp($4), 'infinity')
)
SELECT coalesce(sum(records) - (array_agg(records ORDER BY committed_at))[1], 0)::bigint AS records,
       coalesce(extract(epoch FROM max(committed_at) - min(committed_at)), 0)::float8 AS seconds
FROM proof
