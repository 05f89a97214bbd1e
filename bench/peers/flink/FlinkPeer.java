package millrace.peers;

import java.io.IOException;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.stream.Collectors;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.jdbc.JdbcConnectionOptions.JdbcConnectionOptionsBuilder;
import org.apache.flink.connector.jdbc.JdbcExecutionOptions;
import org.apache.flink.connector.jdbc.core.datastream.sink.JdbcSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;

/**
 * The Flink peer: Kafka source, JDBC sink, one chain of operators without a shuffle, in a cluster inside
 * this process. It runs until it is ended; a failure ends it. Why each setting: README.md.
 */
public final class FlinkPeer {
    private static final Duration CHECKPOINT_INTERVAL = Duration.ofSeconds(1);
    private static final long FLUSH_INTERVAL_MS = 200;
    private static final List<String> COLUMNS =
            List.of(
                    "event_id", "event_type", "payment_id", "user_id", "merchant_id", "amount_minor",
                    "currency", "occurred_at", "source", "correlation_id", "causation_id");

    public static void main(String[] args) {
        int batch = Integer.parseInt(setting("BATCH"));
        boolean upsert = setting("MODE").equals("upsert");
        StreamExecutionEnvironment flink = environment();
        DataStream<PaymentEventRow> events =
                flink.fromSource(source(batch), WatermarkStrategy.noWatermarks(), "kafka");
        if (upsert) {
            events = events.filter(new DropRecentDuplicates(batch));
        }
        events.sinkTo(sink(batch, upsert));
        try {
            flink.execute("peer");
        } catch (Exception failure) {
            System.err.println("peer: the job failed");
            for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
                System.err.println(cause); // the stack is in peer.log
            }
            System.exit(1);
        }
    }

    private static StreamExecutionEnvironment environment() {
        Configuration conf = new Configuration();
        conf.set(PipelineOptions.OBJECT_REUSE, true);
        conf.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, CHECKPOINT_INTERVAL);
        conf.set(CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.AT_LEAST_ONCE);
        conf.set(RestartStrategyOptions.RESTART_STRATEGY, "disable"); // a failure is to be seen
        conf.set(CoreOptions.TMP_DIRS, setting("DIR") + "/work");
        conf.set(RestOptions.BIND_ADDRESS, "127.0.0.1");
        int parallelism = Integer.parseInt(setting("TASKS"));
        return StreamExecutionEnvironment.createLocalEnvironment(parallelism, conf);
    }

    private static KafkaSource<PaymentEventRow> source(int batch) {
        return KafkaSource.<PaymentEventRow>builder()
                .setBootstrapServers(setting("BROKERS"))
                .setTopics(setting("TOPIC"))
                .setGroupId(setting("GROUP")) // its offsets are committed with each checkpoint
                .setStartingOffsets(OffsetsInitializer.committedOffsets(OffsetResetStrategy.EARLIEST))
                .setProperty("max.poll.records", Integer.toString(batch))
                .setValueOnlyDeserializer(new Decoder())
                .build();
    }

    private static JdbcSink<PaymentEventRow> sink(int batch, boolean upsert) {
        String url =
                "jdbc:postgresql://%s:%s/%s?reWriteBatchedInserts=true"
                        .formatted(setting("PG_HOST"), setting("PG_PORT"), setting("PG_DATABASE"));
        return JdbcSink.<PaymentEventRow>builder()
                .withQueryStatement(statement(upsert), FlinkPeer::bind)
                .withExecutionOptions(
                        JdbcExecutionOptions.builder()
                                .withBatchSize(batch)
                                .withBatchIntervalMs(FLUSH_INTERVAL_MS)
                                .build())
                .buildAtLeastOnce(
                        new JdbcConnectionOptionsBuilder()
                                .withUrl(url)
                                .withDriverName("org.postgresql.Driver")
                                .withUsername(setting("PG_USER"))
                                .build());
    }

    /** Both forms bear the repetition that at-least-once brings after a failure. */
    private static String statement(boolean upsert) {
        String updates =
                COLUMNS.stream()
                        .skip(1) // the key
                        .map(column -> column + " = EXCLUDED." + column)
                        .collect(Collectors.joining(", "));
        return "INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (event_id) DO %s"
                .formatted(
                        setting("TABLE"),
                        String.join(", ", COLUMNS),
                        COLUMNS.stream().map(column -> "?").collect(Collectors.joining(", ")),
                        upsert ? "UPDATE SET " + updates : "NOTHING");
    }

    private static void bind(PreparedStatement row, PaymentEventRow event) throws SQLException {
        row.setObject(1, UUID.fromString(event.eventId));
        row.setString(2, event.eventType);
        row.setObject(3, UUID.fromString(event.paymentId));
        row.setString(4, event.userId);
        row.setString(5, event.merchantId);
        row.setLong(6, event.amountMinor);
        row.setString(7, event.currency);
        row.setLong(8, event.occurredAtUs);
        row.setString(9, event.source);
        row.setString(10, event.correlationId);
        row.setString(11, event.causationId);
    }

    private static String setting(String name) {
        return System.getenv("PEER_" + name); // bench/peers/peer has checked them
    }

    private static final class Decoder extends AbstractDeserializationSchema<PaymentEventRow> {
        @Override
        public PaymentEventRow deserialize(byte[] record) throws IOException {
            try {
                return PaymentEventRow.decode(record);
            } catch (IllegalArgumentException e) {
                throw new IOException("cannot decode a record", e);
            }
        }
    }
}
