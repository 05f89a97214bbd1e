package millrace.peers;

import java.util.stream.Stream;
import org.apache.kafka.connect.cli.ConnectStandalone;
import org.apache.kafka.connect.runtime.Connect;
import org.apache.kafka.connect.runtime.rest.entities.ConnectorStateInfo;
import org.apache.kafka.connect.runtime.rest.entities.ConnectorStateInfo.AbstractState;
import org.apache.kafka.connect.runtime.standalone.StandaloneHerder;

/**
 * Kafka's own standalone worker, which ends when its connector fails. Left alone it would run on with
 * nothing to do, and whoever waits for rows would wait for ever.
 */
public final class DebeziumPeer extends ConnectStandalone {
    private static final long LOOK_INTERVAL_MS = 500;

    private DebeziumPeer(String... args) {
        super(args);
    }

    /** The arguments of ConnectStandalone: the worker's properties and the connector's. */
    public static void main(String[] args) {
        new DebeziumPeer(args).run();
    }

    @Override
    public void processExtraArgs(Connect<StandaloneHerder> connect, String[] extraArgs) {
        super.processExtraArgs(connect, extraArgs);
        Thread watch = new Thread(() -> endWhenFailed(connect.herder()), "watch");
        watch.setDaemon(true);
        watch.start();
    }

    private static void endWhenFailed(StandaloneHerder herder) {
        while (true) {
            herder.connectors().stream()
                    .map(herder::connectorStatus)
                    .flatMap(DebeziumPeer::states)
                    .filter(state -> state.state().equals("FAILED"))
                    .findFirst()
                    .ifPresent(
                            failed -> {
                                System.err.println("peer: the connector failed");
                                failed.trace()
                                        .lines()
                                        .filter(line -> !line.startsWith("\t")) // the causes, not the stack
                                        .forEach(System.err::println);
                                System.exit(1);
                            });
            try {
                Thread.sleep(LOOK_INTERVAL_MS);
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    private static Stream<AbstractState> states(ConnectorStateInfo status) {
        return Stream.concat(Stream.of(status.connector()), status.tasks().stream());
    }
}
