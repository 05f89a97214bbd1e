-- Whether this session may write.
SELECT current_setting('transaction_read_only')
