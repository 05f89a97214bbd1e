/*
 * Publishes the bytes of a golden example as any Java service would: the plain KafkaProducer, its default partitioner,
 * key = user id. Nothing of Millrace is in it, on purpose: it proves that another language's client reaches the same
 * partition with the same bytes. What is applied is checked by whoever calls.
 *
 * Call, from the root of the repository, with the stack up (a single-file program: nothing is compiled beforehand;
 * `compose/stack java` is java with the jars of the stack on its class path):
 *
 *     compose/stack java tests/java/PublishGolden.java BROKERS TOPIC USER_ID HEX [USER_ID HEX ...]
 *
 * for example
 *
 *     compose/stack java tests/java/PublishGolden.java 127.0.0.1:19092 payment-events \
 *         u-82913 "$(cat schemas/payment_event/examples/full.hex)"
 *
 * HEX is the framed value. Each record prints one line on standard output once every in-sync replica has it, in the
 * order of the arguments: PARTITION OFFSET. Exit code 0: all are there; 1: one is not, with the reason on standard
 * error; 2: wrong arguments. It gives up after 30 s.
 */
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class PublishGolden {
    public static void main(String[] arguments) throws InterruptedException {
        if (arguments.length < 4 || arguments.length % 2 != 0) {
            System.err.println("PublishGolden: BROKERS TOPIC USER_ID HEX [USER_ID HEX ...]");
            System.exit(2);
        }
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("max.block.ms", "20000");
        settings.put("request.timeout.ms", "10000");
        settings.put("delivery.timeout.ms", "30000");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int at = 2; at < arguments.length; at += 2) {
                byte[] value = HexFormat.of().parseHex(arguments[at + 1].strip());
                sent.add(producer.send(new ProducerRecord<>(arguments[1], arguments[at], value)));
            }
            for (Future<RecordMetadata> record : sent) {
                RecordMetadata stored = record.get();
                System.out.println(stored.partition() + " " + stored.offset());
            }
        } catch (ExecutionException | IllegalArgumentException failed) {
            System.err.println("PublishGolden: " + failed);
            System.exit(1);
        }
    }
}
