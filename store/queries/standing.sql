-- Where the lanes stand: cheap enough to be asked many times a second.
SELECT topic_id, partition, owner, owner_epoch AS epoch, start_offset, next_offset,
       extract(epoch FROM clock_timestamp())::float8 AS seconds
FROM millrace.lanes
ORDER BY partition
