package millrace.peers;

import io.debezium.data.Uuid;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.storage.Converter;

/** Gives the connector each event as a struct whose fields are the table's columns. */
public final class PaymentEventConverter implements Converter {
    private static final Schema SCHEMA =
            SchemaBuilder.struct()
                    .name("payments.v1.PaymentEvent")
                    .field("event_id", Uuid.schema())
                    .field("event_type", Schema.STRING_SCHEMA)
                    .field("payment_id", Uuid.schema())
                    .field("user_id", Schema.STRING_SCHEMA)
                    .field("merchant_id", Schema.OPTIONAL_STRING_SCHEMA)
                    .field("amount_minor", Schema.INT64_SCHEMA)
                    .field("currency", Schema.STRING_SCHEMA)
                    .field("occurred_at", Schema.INT64_SCHEMA)
                    .field("source", Schema.STRING_SCHEMA)
                    .field("correlation_id", Schema.OPTIONAL_STRING_SCHEMA)
                    .field("causation_id", Schema.OPTIONAL_STRING_SCHEMA)
                    .build();

    @Override
    public SchemaAndValue toConnectData(String topic, byte[] record) {
        PaymentEventRow row;
        try {
            row = PaymentEventRow.decode(record);
        } catch (IllegalArgumentException e) {
            throw new DataException("cannot decode a record of " + topic, e);
        }
        return new SchemaAndValue(
                SCHEMA,
                new Struct(SCHEMA)
                        .put("event_id", row.eventId)
                        .put("event_type", row.eventType)
                        .put("payment_id", row.paymentId)
                        .put("user_id", row.userId)
                        .put("merchant_id", row.merchantId)
                        .put("amount_minor", row.amountMinor)
                        .put("currency", row.currency)
                        .put("occurred_at", row.occurredAtUs)
                        .put("source", row.source)
                        .put("correlation_id", row.correlationId)
                        .put("causation_id", row.causationId));
    }

    @Override
    public void configure(Map<String, ?> configs, boolean isKey) {}

    @Override
    public byte[] fromConnectData(String topic, Schema schema, Object value) {
        throw new DataException("the peer only reads");
    }
}
