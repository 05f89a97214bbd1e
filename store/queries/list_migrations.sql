-- The migrations that were run.
SELECT version FROM millrace.schema_migrations WHERE success ORDER BY version
