-- Whether the lanes of a topic were opened: a partition without one was added since.
SELECT EXISTS (SELECT FROM millrace.lanes WHERE topic = $1)
