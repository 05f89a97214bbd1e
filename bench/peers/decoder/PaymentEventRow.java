package millrace.peers;

import java.nio.charset.StandardCharsets;

/**
 * A payment event as the peers' table has it (table.sql), decoded by hand from Confluent-framed Avro of
 * schemas/payment_event/1.avsc. Both peers use it, so that neither pays for a registry or generic Avro.
 *
 * <p>It reads that one schema and no later one, and checks nothing but that the record is whole.
 */
public final class PaymentEventRow {
    private static final byte MAGIC = 0;
    private static final int FRAME_BYTES = 5; // the magic byte and the schema's id

    public String eventId;
    public String eventType;
    public String paymentId;
    public String userId;
    public String merchantId; // null where there is none, as are the last two
    public long amountMinor;
    public String currency;
    public long occurredAtUs;
    public String source;
    public String correlationId;
    public String causationId;

    /** @throws IllegalArgumentException if it is not a framed, whole record */
    public static PaymentEventRow decode(byte[] record) {
        if (record == null || record.length <= FRAME_BYTES || record[0] != MAGIC) {
            throw new IllegalArgumentException("not a Confluent-framed record");
        }
        try {
            return read(new Reader(record, FRAME_BYTES));
        } catch (IndexOutOfBoundsException e) {
            throw new IllegalArgumentException("not a payment event of schema 1", e);
        }
    }

    private static PaymentEventRow read(Reader in) {
        PaymentEventRow row = new PaymentEventRow();
        row.eventId = in.string();
        row.eventType = in.string();
        row.paymentId = in.string();
        row.userId = in.string();
        row.merchantId = in.isPresent() ? in.string() : null;
        if (in.isPresent()) in.string(); // operation_id
        if (in.isPresent()) in.number(); // sequence
        row.amountMinor = in.number();
        row.currency = in.string();
        row.occurredAtUs = in.number();
        row.source = in.string();
        row.correlationId = in.isPresent() ? in.string() : null;
        row.causationId = in.isPresent() ? in.string() : null;
        return row; // metadata comes last and is not wanted
    }

    /** Avro's binary encoding, as far as the schema needs it. */
    private static final class Reader {
        private final byte[] bytes;
        private int at;

        Reader(byte[] bytes, int at) {
            this.bytes = bytes;
            this.at = at;
        }

        long number() { // zigzag, seven bits a byte, the lowest first
            long zigzag = 0;
            int shift = 0;
            byte next;
            do {
                next = bytes[at++];
                zigzag |= (long) (next & 0x7f) << shift;
                shift += 7;
            } while (next < 0);
            return (zigzag >>> 1) ^ -(zigzag & 1);
        }

        String string() {
            int length = (int) number();
            String value = new String(bytes, at, length, StandardCharsets.UTF_8);
            at += length;
            return value;
        }

        boolean isPresent() { // the branch of a union of null and something
            return number() == 1;
        }
    }
}
