-- Whether the schema was ever made.
SELECT to_regclass('millrace.schema_migrations') IS NOT NULL
