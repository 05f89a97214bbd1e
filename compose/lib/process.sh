# shellcheck shell=bash
# Processes, ports and waiting, for compose/stack: start a daemon, know whether it still is the
# process that was started, stop it, say who holds a port.
#
# It knows nothing of Kafka or Postgres, and never signals a process that this stack did not start.

say() { printf 'stack: %s\n' "$*"; }
warn() { printf 'stack: %s\n' "$*" >&2; }
die() { warn "$@"; exit 1; }

# A pid alone is not an identity: it is reused, after a reboot soonest of all, and a copied checkout
# carries the pid files of the original. So a pid file holds the pid, its start time in clock ticks
# since boot, the boot, and the stack.
identity_of() { # PID -> "PID START BOOT", or failure if it does not run (a zombie does not)
    local stat fields boot
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    # The name in parentheses may hold spaces, so count the fields behind it: 0 state, 19 start time.
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != Z && ${fields[0]} != X ]] || return 1
    boot=$(</proc/sys/kernel/random/boot_id)
    printf '%s %s %s' "$1" "${fields[19]}" "$boot"
}

pid_of() { # NAME -> its pid, if the process that this stack started still runs
    local pid start boot dir
    { read -r pid start boot dir <"$RUN/$1.pid"; } 2>/dev/null || return 1
    [[ $dir == "$STACK" && $pid == +([0-9]) ]] || return 1
    [[ $(identity_of "$pid") == "$pid $start $boot" ]] || return 1
    printf '%s' "$pid"
}

alive() { pid_of "$1" >/dev/null; }

# Daemons get a session of their own, so that Ctrl-C ends what the user started and not the stack,
# and they inherit no lock (file descriptors 8 and 9).
start_daemon() { # NAME OUTPUT COMMAND...
    local name=$1 output=$2 pid
    shift 2
    (cd / && exec setsid "$@") </dev/null >>"$output" 2>&1 8>&- 9>&- &
    pid=$!
    disown "$pid"
    STARTED+=("$name")
    printf '%s %s\n' "$(identity_of "$pid")" "$STACK" >"$RUN/$name.pid" ||
        die "$name ended at once; see $output"
}

# Ends NAME by SIGNAL, and by KILL if it still runs after GRACE_S seconds.
stop_daemon() { # NAME SIGNAL GRACE_S
    local name=$1 signal=$2 deadline=$((SECONDS + $3)) pid
    if pid=$(pid_of "$name"); then
        kill "-$signal" "$pid" 2>/dev/null ||
            die "$name (pid $pid) belongs to $(owner_of "/proc/$pid"), and you are $(id -un): stop it as $(owner_of "/proc/$pid")"
        while alive "$name"; do
            if ((SECONDS >= deadline)) && [[ $signal != KILL ]]; then
                kill -KILL "$pid" 2>/dev/null || true
                signal=KILL
            fi
            sleep 0.05
        done
    fi
    rm -f "$RUN/$name.pid"
}

# A pid file may be lost (git clean, rm -rf .stack) while the process lives on without its files and
# holds its ports. ARGUMENT is a path that only this stack's NAME is started with.
end_orphan() { # NAME ARGUMENT
    local file pid
    ! alive "$1" || return 0
    # The path comes by standard input, for as an argument grep would find itself.
    while read -r file; do
        pid=${file#/proc/}
        pid=${pid%%/*}
        say "$1 of this stack still runs without a pid file (pid $pid): ending it"
        printf '%s %s\n' "$(identity_of "$pid")" "$STACK" >"$RUN/$1.pid"
        stop_daemon "$1" INT 5
    done < <(grep -lzxFf - /proc/[0-9]*/cmdline <<<"$2" 2>/dev/null || true)
}

owner_of() { stat -c %U "$1" 2>/dev/null || echo 'another user'; }

# Polls until the command succeeds. Ends early when the process has: its log says why.
wait_for() { # NAME DEADLINE_S COMMAND...
    local name=$1 deadline_s=$2 started=$SECONDS
    shift 2
    until "$@"; do
        alive "$name" || fail_with_log "$name" "ended while starting"
        ((SECONDS - started < deadline_s)) || fail_with_log "$name" "did not answer within $deadline_s s"
        sleep 0.1
    done
}

fail_with_log() { # NAME WHAT
    local log
    warn "$1 $2"
    for log in "$LOGS/$1.out" "$LOGS/$1.log"; do
        [[ -s $log ]] || continue
        warn "the last lines of $log:"
        tail -n 15 "$log" | sed 's/^/    /' >&2
    done
    exit 1
}

# Daemons append to their output; a log that has grown is put aside when they start, one generation.
bound_log() { # FILE
    local size
    size=$(stat -c %s "$1" 2>/dev/null || echo 0)
    ((size < 20 * 1024 * 1024)) || mv -f "$1" "$1.1"
}

listening_socket() { # PORT -> "UID INODE" of the socket that listens there, on whatever address
    awk -v port="$(printf ':%04X$' "$1")" '$4 == "0A" && $2 ~ port { print $8, $10; exit }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

port_holder() { # UID INODE -> who it is, as far as this user may see
    local fd pid command
    fd=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$2\]" -print -quit 2>/dev/null || true)
    pid=${fd#/proc/}
    pid=${pid%%/*}
    [[ -n $pid ]] || { echo "a process of user $(id -un "$1" 2>/dev/null || echo "$1")"; return; }
    command=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null || true)
    if [[ $command =~ -Dmillrace\.stack=([^ ]+) ]]; then
        echo "pid $pid, of the stack in ${BASH_REMATCH[1]}"
    else
        echo "pid $pid (${command:0:60})"
    fi
}

require_free_port() { # PORT VARIABLE EXAMPLE
    local uid inode
    read -r uid inode < <(listening_socket "$1") || return 0
    die "port $1 is taken by $(port_holder "$uid" "$inode"); stop that, or take other ports: $2=$3"
}
