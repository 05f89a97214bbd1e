-- One database holds the ledger of one topic: offsets of another would mix with it.
SELECT topic FROM millrace.lanes WHERE topic <> $1 LIMIT 1
