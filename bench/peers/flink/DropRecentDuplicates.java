package millrace.peers;

import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.api.common.functions.FilterFunction;

/**
 * Drops an event whose id is among the last ones passed. The driver makes up to 128 rows one statement,
 * and Postgres refuses an upsert that meets a key twice. Debezium has its reduction buffer for this.
 *
 * <p>The first of two stays, where the reduction buffer keeps the last: an event is immutable. A
 * duplicate that comes later than that is an upsert like any other.
 */
final class DropRecentDuplicates implements FilterFunction<PaymentEventRow> {
    private final int remembered;
    private transient Set<String> ids;
    private transient ArrayDeque<String> oldestFirst;

    DropRecentDuplicates(int remembered) {
        this.remembered = remembered;
    }

    @Override
    public boolean filter(PaymentEventRow event) {
        if (ids == null) {
            ids = new HashSet<>();
            oldestFirst = new ArrayDeque<>();
        }
        if (!ids.add(event.eventId)) {
            return false;
        }
        oldestFirst.add(event.eventId);
        if (oldestFirst.size() > remembered) {
            ids.remove(oldestFirst.remove());
        }
        return true;
    }
}
