# shellcheck shell=bash
# Programs in the background: started, watched and ended by exact pid, each with its files under the instance's folder:
#   NAME.pid      the pid
#   NAME.mark     when that process started, and a fingerprint of the program and its settings
#   NAME.address  where it listens, for people
#   log/NAME.log  what it wrote since its start; log/NAME.log.1 from the time before

# Ticks since boot. A number alone may be another process by now; with its start time it is ours or nobody's.
started_at() { # PID
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    # The name of the program, in parentheses, may hold anything. After it: the state, and as 20th the start time.
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} != Z ]] && printf '%s\n' "${stat[19]}"
}

# Prints the pid of a program that runs; fails when it doesn't.
pid_of() { # NAME
    local pid mark since
    [[ -f $run_dir/$1.pid && -f $run_dir/$1.mark ]] || return 1
    pid=$(<"$run_dir/$1.pid")
    mark=$(<"$run_dir/$1.mark")
    since=$(started_at "$pid") && [[ $since == "${mark%% *}" ]] && printf '%s\n' "$pid"
}

address_of() { # NAME
    cat "$run_dir/$1.address" 2>/dev/null || true
}

# The files that a program is made of (its binary, its configuration) and its words, in one number.
fingerprint() { # FILES (one a line) WORD...
    local file
    {
        while read -r file; do [[ -z $file ]] || cat "$file"; done <<<"$1"
        printf '%s\0' "${@:2}"
    } | sha256sum | cut -c 1-32
}

last_words() { # NAME
    local line
    line=$(grep -v '^[[:space:]]*$' "$run_dir/log/$1.log" | tail -n 1)
    printf '%s' "${line:-it said nothing}"
}

# Starts a program, or lets it run if it is the same as the one that runs, and waits until it answers.
ensure() { # NAME ADDRESS READY_COMMAND FILES COMMAND...
    local name=$1 address=$2 ready=$3 files=$4 print pid verb=started
    shift 4
    print=$(fingerprint "$files" "$@")
    if pid=$(pid_of "$name"); then
        if [[ $(<"$run_dir/$name.mark") == *" $print" ]] && $ready; then
            say "$name" "runs, pid $pid, $address"
            return
        fi
        verb=restarted
        stop "$name" || true
    fi
    if [[ -S $address ]]; then # left by one that was killed
        rm -f "$address"
    fi
    launch "$name" "$print" "$@"
    printf '%s\n' "$address" >"$run_dir/$name.address"
    wait_ready "$name" "$ready"
    say "$name" "$verb, pid $(<"$run_dir/$name.pid"), $address"
}

launch() { # NAME FINGERPRINT COMMAND...
    local name=$1 print=$2 log=$run_dir/log/$1.log pid
    shift 2
    if [[ -f $log ]]; then
        mv -f "$log" "$log.1"
    fi
    # A session of its own, so that a Ctrl-C meant for ./dev does not reach it; and not the lock of ./dev.
    MANA_SYNC_INSTANCE=$run_dir setsid "$@" </dev/null >"$log" 2>&1 9>&- &
    pid=$!
    printf '%s\n' "$pid" >"$run_dir/$name.pid"
    printf '%s %s\n' "$(started_at "$pid" || true)" "$print" >"$run_dir/$name.mark"
}

wait_ready() { # NAME READY_COMMAND
    local name=$1 ready=$2 deadline=$((SECONDS + 30))
    while ((SECONDS < deadline)); do
        if ! pid_of "$name" >/dev/null; then
            die "$name ended at start: $(last_words "$name") (all of it: $run_dir/log/$name.log)"
        fi
        if $ready; then
            return
        fi
        sleep 0.1
    done
    die "$name does not answer after 30 s; its last words: $(last_words "$name") (all: $run_dir/log/$name.log)"
}

# Ends a program as it wants to be ended, then, if it does not, with all of its session.
stop() { # NAME
    local name=$1 pid
    if pid=$(pid_of "$name"); then
        kill "-$(stop_signal "$name")" "$pid" 2>/dev/null || true
        wait_gone "$name" 150 || {
            say "$name" "does not end; killed"
            kill -KILL -- "-$pid" 2>/dev/null || true
            wait_gone "$name" 50 || die "$name (pid $pid) cannot be ended"
        }
    fi
    rm -f "$run_dir/$name.pid" "$run_dir/$name.mark" "$run_dir/$name.address"
    [[ -n $pid ]]
}

stop_signal() { # NAME
    case $1 in
        postgres) echo INT ;; # open connections are closed, and nothing is left to recover
        *) echo TERM ;;
    esac
}

wait_gone() { # NAME TENTHS
    local try
    for ((try = 0; try < $2; try++)); do
        pid_of "$1" >/dev/null || return 0
        sleep 0.1
    done
    return 1
}

# Ends what this instance once started and no pid file tells of: children of a program that was killed, or everything
# after .run was deleted.
end_strays() {
    local pid signal try
    for signal in TERM KILL; do
        for pid in $(strays); do
            say stray "ending pid $pid, left from before"
            kill "-$signal" "$pid" 2>/dev/null || true
        done
        for ((try = 0; try < 50; try++)); do
            [[ -n $(strays) ]] || return 0
            sleep 0.1
        done
    done
}

strays() {
    local name pid sessions=" "
    for name in "${parts[@]}"; do
        sessions+="$(pid_of "$name" || true) "
    done
    for pid in $(ever_started); do
        [[ $sessions == *" $(session_of "$pid") "* ]] || printf '%s\n' "$pid"
    done
}

# By the mark that launch leaves in the environment; an instance in a folder of this one is a test's. PostgreSQL, Redis
# and nginx write their titles over theirs: the first two are known by their words, nginx (its workers outlive a killed
# master) by the log that they hold open.
ever_started() {
    local file
    {
        grep -lzsxF -e "MANA_SYNC_INSTANCE=$run_dir" /proc/[0-9]*/environ || true
        grep -lzsF -e "MANA_SYNC_INSTANCE=$run_dir/" /proc/[0-9]*/environ || true
        grep -lzsxF -e "unix_socket_directories=\"$postgres_dir\"" /proc/[0-9]*/cmdline || true
        grep -lzsF -e "redis-server unixsocket:$socket_dir/redis.sock" /proc/[0-9]*/cmdline || true
        for file in $(grep -lsx nginx /proc/[0-9]*/comm || true); do
            find "${file%/comm}/fd" -lname "$run_dir/*log/nginx-access.log*" -print -quit 2>/dev/null || true
        done
    } | cut -d / -f 3 | sort -u
}

session_of() { # PID
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
    read -ra stat <<<"${stat##*) }"
    printf '%s\n' "${stat[3]}"
}

# Prints who listens on a TCP port of this machine: a name and a pid where they can be seen.
port_holder() { # PORT
    local hex inode fd pid
    printf -v hex '%04X' "$1"
    inode=$(awk -v local_address="^(0+|0100007F):$hex\$" \
        '$4 == "0A" && $2 ~ local_address { print $10; exit }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    [[ -n $inode ]] || return 1
    fd=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null || true)
    if [[ -z $fd ]]; then
        printf 'a program of another user\n'
        return
    fi
    pid=$(cut -d / -f 3 <<<"$fd")
    printf '%s (pid %s)\n' "$(<"/proc/$pid/comm")" "$pid"
}

# A port is asked for only when its program is not there yet, or moves.
need_port() { # NAME PORT VARIABLE
    local holder
    if pid_of "$1" >/dev/null && [[ $(address_of "$1") == *":$2" ]]; then
        return
    fi
    if holder=$(port_holder "$2"); then
        die "port $2 is in use by $holder; free it or run $3=$(free_port) ./dev up"
    fi
}

# Below the range from which the kernel takes ports for outgoing connections.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)) && port_holder "$port" >/dev/null; do :; done
    printf '%s\n' "$port"
}
