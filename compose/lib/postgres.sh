# shellcheck shell=bash
# PostgreSQL for compose/stack: unpack, initdb, start, readiness; and a throwaway cluster of another
# version for the second pass of the database tests.
#
# It creates the database and nothing in it: the relations come from the migrations in store/.

# Postgres refuses to run as root. Then it runs as `nobody`, who must be able to reach its files: where
# a directory above the checkout is closed to others (/root), they live under /var/tmp instead.
choose_postgres_home() {
    AS_POSTGRES=()
    PG_HOME=$STACK/postgres
    [[ $EUID -eq 0 ]] || return 0
    AS_POSTGRES=(setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups --)
    (cd / && "${AS_POSTGRES[@]}" test -x "$STACK") && return 0
    PG_HOME=/var/tmp/millrace-$(printf %s "$STACK" | cksum | cut -d' ' -f1)
    # Others may write /var/tmp: whoever made that directory first would own our database.
    mkdir -p -m 755 "$PG_HOME"
    [[ -O $PG_HOME && ! -L $PG_HOME ]] || die "$PG_HOME is not root's; move the stack instead: MILLRACE_STACK_DIR=/var/lib/millrace-stack"
}

as_postgres() { (cd / && ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} "$@"); }

give_to_postgres() { # DIRECTORY: which Postgres wants for itself alone
    mkdir -p "$1"
    [[ $EUID -ne 0 || $(stat -c %U "$1") == nobody ]] || chown -R "nobody:$(id -g nobody)" "$1"
    chmod 700 "$1"
}

unpack_postgres() {
    [[ $(cat "$PG_HOME/unpacked" 2>/dev/null) != "$(<"$STACK/download/stamp")" ]] || return 0
    rm -rf "$PG_HOME/program"
    mkdir -p "$PG_HOME/program"
    tar -xJf "$STACK"/download/postgres/*.txz -C "$PG_HOME/program"
    cp "$STACK/download/stamp" "$PG_HOME/unpacked"
}

# No password: whoever may run programs on this machine may use it, on loopback only. It is a stack to
# develop and test with, not to keep money in.
init_postgres() { # BIN DATA OUTPUT
    as_postgres "$1/initdb" --pgdata="$2" --username=millrace --auth=trust --encoding=UTF8 --locale=C \
        --no-instructions >"$3" 2>&1 || return 1
    # The archive brings no psql; single-user mode needs none.
    echo 'CREATE DATABASE millrace' | as_postgres "$1/postgres" --single -D "$2" postgres >>"$3" 2>&1
}

# The database holds offsets of one Kafka cluster and means nothing beside another, as when someone has
# deleted .stack and this directory is elsewhere: so it carries the cluster's id.
prepare_postgres() {
    local cluster
    cluster=$(<"$STACK/kafka/cluster.id")
    mkdir -p "$PG_HOME"
    unpack_postgres
    if [[ $(cat "$PG_HOME/initialised" 2>/dev/null) != "$cluster" ]]; then
        [[ ! -e $PG_HOME/initialised ]] || say "the database belongs to a Kafka cluster that was deleted: starting a new one"
        rm -rf "$PG_HOME/data" "$PG_HOME/initialised"
        give_to_postgres "$PG_HOME/data"
        init_postgres "$PG_HOME/program/bin" "$PG_HOME/data" "$LOGS/initdb.out" ||
            fail_with_log initdb "failed"
        echo "$cluster" >"$PG_HOME/initialised"
    fi
    give_to_postgres "$PG_HOME/data"
}

# After a kill -9 the backends take a moment to notice, and a new server refuses to start beside them.
# Every process of a server works in its data directory, which is how they are known here.
postgres_backends_gone() { # DATA
    ! find /proc/[0-9]*/cwd -maxdepth 0 -lname "$1" -print -quit 2>/dev/null | grep -q .
}

# postmaster.pid of a server that was killed may name a pid that is someone else's by now, which
# Postgres cannot tell from a running server. No process works in the directory, so it is stale.
clear_stale_postmaster() { # DATA
    local tries=100
    [[ -e $1/postmaster.pid ]] || return 0
    until postgres_backends_gone "$1"; do
        ((tries-- > 0)) || die "processes of an earlier Postgres still run in $1, and this stack has no record of starting them; stop them first: pid $(head -n 1 "$1/postmaster.pid")"
        sleep 0.1
    done
    rm -f "$1/postmaster.pid"
}

postgres_options() { # PORT
    # Durability is what Millrace promises, so fsync and synchronous_commit stay on here as well.
    # Commit timestamps are the clock by which bench/ compares contenders that have none in common.
    printf '%s\n' -c listen_addresses=127.0.0.1 -c "port=$1" -c unix_socket_directories= \
        -c max_connections=300 -c shared_buffers=512MB -c max_wal_size=4GB -c checkpoint_timeout=15min \
        -c wal_compression=on -c "log_line_prefix=%m [%p] %a " -c log_error_verbosity=terse \
        -c fsync=on -c synchronous_commit=on -c track_commit_timestamp=on
}

start_postgres() { # returns before it is ready
    local options
    clear_stale_postmaster "$PG_HOME/data"
    bound_log "$LOGS/postgres.log"
    mapfile -t options < <(postgres_options "$PG_PORT")
    start_daemon postgres "$LOGS/postgres.log" ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} \
        "$PG_HOME/program/bin/postgres" -D "$PG_HOME/data" "${options[@]}"
}

# A start-up message for user and database millrace. 'R' comes back once it takes connections; while
# it recovers, or without that database, it is 'E'.
postgres_answers() { # [PORT]
    local reply
    reply=$(timeout 2 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit
        printf "\0\0\0\51\0\3\0\0user\0millrace\0database\0millrace\0\0" >&3
        head -c 1 <&3
        printf "X\0\0\0\4" >&3' - "${1:-$PG_PORT}" 2>/dev/null | tr -d '\0') || true
    [[ $reply == R ]]
}

stop_postgres() { stop_daemon postgres INT 30; }

database_url() { # [PORT]
    echo "postgres://millrace@127.0.0.1:${1:-$PG_PORT}/millrace"
}

# Runs a command against a fresh cluster made of the Postgres in BIN, which is gone afterwards.
with_throwaway_postgres() { # BIN COMMAND...
    local bin=$1 data options status=0 port=${MILLRACE_PG_THROWAWAY_PORT:-$((PG_PORT + 1))}
    shift
    [[ -x $bin/postgres && -x $bin/initdb ]] || die "$bin holds no postgres and initdb"
    require_free_port "$port" MILLRACE_PG_THROWAWAY_PORT $((port + 10))
    data=$(mktemp -d /var/tmp/millrace-throwaway.XXXXXX)
    # shellcheck disable=SC2064  # the names of now, for the trap outlives this function
    trap "stop_daemon throwaway INT 30; rm -rf '$data'" EXIT
    give_to_postgres "$data"
    init_postgres "$bin" "$data" "$LOGS/throwaway.out" || fail_with_log throwaway "could not be initialised"
    : >"$LOGS/throwaway.log"
    mapfile -t options < <(postgres_options "$port")
    start_daemon throwaway "$LOGS/throwaway.log" ${AS_POSTGRES[@]+"${AS_POSTGRES[@]}"} \
        "$bin/postgres" -D "$data" "${options[@]}"
    wait_for throwaway 30 postgres_answers "$port"
    say "$("$bin/postgres" --version) for this run on port $port"
    export DATABASE_URL
    DATABASE_URL=$(database_url "$port")
    run_in_group "$@" || status=$?
    return "$status"
}
