-- The names of the event log's time partitions.
SELECT c.relname::text
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'millrace.events'::regclass
