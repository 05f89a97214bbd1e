-- The one moment that all checks look at. No index probe for each of ten million rows, whatever stale statistics say.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL enable_nestloop = off;
SET LOCAL work_mem = '128MB';
