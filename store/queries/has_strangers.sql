-- Whether the schema holds relations although it was never made by a migration.
SELECT to_regclass('millrace.schema_migrations') IS NULL
       AND EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('millrace'))
