# shellcheck shell=bash
# The three Kafka nodes of compose/stack: configuration, formatting, start, readiness.
#
# It creates no topics: those are code (topics.yaml), applied by `millrace topics apply`.

readonly BROKERS=(1 2 3)

broker_port() { echo $((KAFKA_PORT + $1 - 1)); }
controller_port() { echo $((CONTROLLER_PORT + $1 - 1)); }

brokers_address() {
    local n list=()
    for n in "${BROKERS[@]}"; do list+=("127.0.0.1:$(broker_port "$n")"); done
    (IFS=,; echo "${list[*]}")
}

# Written at each start: the ports may have changed. The quorum is the static form: it is read from
# this file and not from the data, so that a stack can move to other ports.
write_broker_config() { # N
    local n voters=()
    for n in "${BROKERS[@]}"; do voters+=("$n@127.0.0.1:$(controller_port "$n")"); done
    cat >"$STACK/kafka/$1/server.properties" <<END
process.roles=broker,controller
node.id=$1
broker.rack=rack-$1
listeners=BROKER://127.0.0.1:$(broker_port "$1"),CONTROLLER://127.0.0.1:$(controller_port "$1")
advertised.listeners=BROKER://127.0.0.1:$(broker_port "$1")
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.voters=$(IFS=,; echo "${voters[*]}")
log.dirs=$STACK/kafka/$1/data

# An acknowledged record is on two brokers; one broker may die and the topic still takes writes.
default.replication.factor=3
min.insync.replicas=2
unclean.leader.election.enable=false
auto.create.topics.enable=false
delete.topic.enable=true
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2

# Sized for three nodes on one small machine: Kafka's defaults are 50 partitions for each internal
# topic, and 128 MB of the heap for the log cleaner.
offsets.topic.num.partitions=12
transaction.state.log.num.partitions=12
share.coordinator.state.topic.num.partitions=12
log.cleaner.dedupe.buffer.size=16777216
# The default of 3 s would be most of the time that a test waits for its consumer group.
group.initial.rebalance.delay.ms=100
END
}

kafka_java() { # ARGUMENTS...: java with Kafka's jars on its class path
    "$JAVA" -cp "$STACK/download/jars/*" "-Dlog4j2.configurationFile=$COMPOSE/log4j2.properties" "$@"
}

format_broker() { # N
    kafka_java "-Dmillrace.log=$LOGS/format-$1.log" -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format \
        --cluster-id "$(<"$STACK/kafka/cluster.id")" --config "$STACK/kafka/$1/server.properties" --ignore-formatted \
        >"$LOGS/format-$1.out" 2>&1
}

format_brokers() { # N...: formats those that have no data yet, side by side
    local n pids=() of=()
    mkdir -p "$STACK/kafka"
    # 16 random bytes in base64url, as Kafka makes them; a leading '-' would read as an option.
    [[ -s $STACK/kafka/cluster.id ]] ||
        head -c 16 /dev/urandom | base64 | tr '+/' '_A' | tr -d '=' >"$STACK/kafka/cluster.id"
    for n in "$@"; do
        mkdir -p "$STACK/kafka/$n/data"
        write_broker_config "$n"
        [[ ! -e $STACK/kafka/$n/formatted ]] || continue
        format_broker "$n" &
        pids+=($!) of+=("$n")
    done
    for n in "${!pids[@]}"; do
        wait "${pids[$n]}" || fail_with_log "format-${of[$n]}" "failed: the data directory of broker ${of[$n]} could not be formatted"
        : >"$STACK/kafka/${of[$n]}/formatted"
    done
}

# Three JVMs compile the same code on the cores that everything else here wants. HotSpot's usual limits of
# inlining make C2 take about half of what the brokers use in their first minutes; with these it takes
# half as long, and what it makes of Kafka is no slower here (docs/performance.md, What was tried).
readonly SMALL_MACHINE=(-XX:+UseSerialGC -XX:MaxInlineLevel=6 -XX:FreqInlineSize=100 -XX:InlineSmallCode=1000)

start_broker() { # N: returns before it is ready
    bound_log "$LOGS/broker-$1.out"
    start_daemon "broker-$1" "$LOGS/broker-$1.out" \
        "$JAVA" -Xms512m -Xmx512m "${SMALL_MACHINE[@]}" -XX:+ExitOnOutOfMemoryError \
        -XX:-UsePerfData "-XX:ErrorFile=$LOGS/broker-$1.crash.log" -Djava.awt.headless=true \
        -cp "$STACK/download/jars/*" "-Dlog4j2.configurationFile=$COMPOSE/log4j2.properties" \
        "-Dmillrace.log=$LOGS/broker-$1.log" "-Dmillrace.stack=$STACK" \
        kafka.Kafka "$STACK/kafka/$1/server.properties"
}

# Asks the broker itself, by the Kafka protocol, so that no JVM has to start for it: Metadata version
# 1 with an empty list of topics. The reply starts with its size, the correlation id and the number
# of brokers. A broker answers only when it is unfenced; a listening socket would say less.
brokers_seen_by() { # N -> how many brokers it sees, 0 if it does not answer
    local reply
    read -ra reply < <(timeout 2 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit
        printf "\0\0\0\16\0\3\0\1\0\0\0\1\377\377\0\0\0\0" >&3
        head -c 12 <&3' - "$(broker_port "$1")" 2>/dev/null | od -An -v -tu1 -w12) || true
    echo "${reply[11]:-0}"
}

broker_answers() { (($(brokers_seen_by "$1") > 0)); }
broker_sees_all() { (($(brokers_seen_by "$1") == ${#BROKERS[@]})); }

# The nodes are told to stop together. The last of them has no quorum left to hand over its leadership
# to and would wait five minutes for one; what it had acknowledged is on disk, so it is ended.
stop_brokers() {
    local n pids=()
    for n in "${BROKERS[@]}"; do
        stop_daemon "broker-$n" TERM 8 &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || return 1; done
}
