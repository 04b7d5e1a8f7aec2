#!/usr/bin/env bash
# Runs the example and judges it: a recorded kube-apiserver, a collector that
# consolidates it, and a program that adds up the same text and compares. It
# ends by itself after about a minute; README.md says what it prints.
#
#   run.sh        the server is scraped
#   run.sh kill   the same, and the collector is killed (-9) in the middle and started again
#   run.sh otlp   the server sends OTLP with start times
#
# Environment:
#   PHOENIX_PORT            port of the control plane (8630)
#   PHOENIX_REPLAY_PORT     port of the recorded kube-apiserver (8631)
#   PHOENIX_OTLP_PORT       port of the OTLP receiver (8632)
#   PHOENIX_TELEMETRY_PORT  port of the collector's own telemetry (8888)
#   PHOENIX_COLLECTOR       the collector (bin/phoenix-collector, by `make build`)
#   PHOENIXCTL              the command line client (bin/phoenixctl, by `make build`)
set -euo pipefail
cd "$(dirname "$0")/../.."

example=examples/consolidate-kubernetes
mode=${1:-scrape}
collector=${PHOENIX_COLLECTOR:-bin/phoenix-collector}
ctl=${PHOENIXCTL:-bin/phoenixctl}
export PHOENIX_PORT=${PHOENIX_PORT:-8630}
export PHOENIX_REPLAY_PORT=${PHOENIX_REPLAY_PORT:-8631}
export PHOENIX_OTLP_PORT=${PHOENIX_OTLP_PORT:-8632}
export PHOENIX_TELEMETRY_PORT=${PHOENIX_TELEMETRY_PORT:-8888}
api=http://localhost:$PHOENIX_PORT
replay=http://localhost:$PHOENIX_REPLAY_PORT
telemetry=http://localhost:$PHOENIX_TELEMETRY_PORT/metrics
patience=120 # seconds until a step must be done
replay_pid=
collector_pid=

fail() {
	echo "run.sh: $*" >&2
	exit 1
}

running() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# End one process of this script, and wait for it.
end() { # pid
	kill -TERM "$1" 2>/dev/null || true
	for _ in $(seq 200); do # twenty seconds
		running "$1" || break
		sleep 0.1
	done
	kill -KILL "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

stop() {
	trap - EXIT
	trap '' INT TERM HUP
	[ -z "$collector_pid" ] || end "$collector_pid"
	[ -z "$replay_pid" ] || end "$replay_pid"
}

check_port() { # port, variable, what for
	case $1 in
	'' | *[!0-9]*) fail "$2 must be a port number, got '$1'" ;;
	esac
	if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
		fail "port $1, for $3, is in use. Choose another one: $2=$(($1 + 1000)) $example/run.sh"
	fi
}

get() { # url
	if command -v curl >/dev/null; then
		curl -fsS --max-time 5 "$1" 2>/dev/null
	else
		wget -q -T 5 -O - "$1" 2>/dev/null
	fi
}

post() { # url
	if command -v curl >/dev/null; then
		curl -fsS --max-time 5 -X POST "$1"
	else
		wget -q -T 5 -O - --post-data= "$1"
	fi
}

# Wait until a command succeeds. A child that ends, or two minutes, is an error.
await() { # what for, command...
	local what=$1 deadline=$((SECONDS + patience))
	shift
	until "$@" >/dev/null 2>&1; do
		[ -z "$replay_pid" ] || running "$replay_pid" || give_up "The replay ended" replay
		running "$collector_pid" || give_up "The collector ended" collector
		[ "$SECONDS" -lt "$deadline" ] || give_up "Waited $patience seconds for $what" collector
		sleep 0.2
	done
}

give_up() { # what happened, whose log
	echo "run.sh: $1. The end of $logs/$2.log:" >&2
	tail -n 20 "$logs/$2.log" >&2
	exit 1
}

said() { grep -q "^$1\$" "$logs/replay.log"; }

# How often the collector has written its whole state (checkpoint) or emitted
# its sums (flush).
times() { # checkpoint or flush
	get "$telemetry" | awk -v name="processor_tag_consolidation_$1_duration" '
		index($1, name) && $1 ~ /_count($|{)/ { n += $2 } END { print n + 0 }'
}

more() { [ "$(times "$1")" -gt "$2" ]; } # than

start_replay() { # flags...
	"$logs/replay" --listen "localhost:$PHOENIX_REPLAY_PORT" "$@" >"$logs/replay.log" 2>&1 &
	replay_pid=$!
}

start_collector() { # export, flags...
	export PHOENIX_EXPORT=$logs/$1
	shift
	"$collector" --config "$example/config.yaml" "$@" >>"$logs/collector.log" 2>&1 &
	collector_pid=$!
	await "the collector" get "$api/readyz"
}

# What Phoenix itself counts in front of the rules and behind them.
counts() {
	for point in ingest output; do
		"$ctl" top --address "$api" --point "$point" --limit 10000 --output json >"$logs/$point.json"
	done
}

# The last flush is at the end.
end_collector() {
	end "$collector_pid"
	collector_pid=
	grep -q "Shutdown complete" "$logs/collector.log" || give_up "The collector did not end well" collector
}

verify() { "$logs/verify" --log "$logs/replay.log" "$@"; }

scrape() {
	start_replay
	start_collector 1.json
	await "the last round" said Done
	counts
	end_collector
	verify --at-least 90 --ingest "$logs/ingest.json" --output "$logs/output.json" "$logs/1.json"
}

# The state is written after round 008. Rounds 009 and 010 are in what was
# emitted, not in what was written, when the collector is killed; 011 is what
# the next one sees first.
# Says whether nobody writes to a file: it does not grow, and its last line is whole.
settled() {
	local size
	size=$(wc -c <"$1")
	sleep 0.5
	[ "$size" -gt 0 ] && [ "$(wc -c <"$1")" = "$size" ] && [ -z "$(tail -c 1 "$1")" ]
}

kill_and_restart() {
	export PHOENIX_CHECKPOINT=30s
	start_replay --hold 008.prom.gz,010.prom.gz
	start_collector 1.json
	await "round 008" said "Waiting at 008.prom.gz"
	await "a checkpoint" more checkpoint "$(times checkpoint)"
	local written emitted
	written=$(times checkpoint) || fail "the collector's telemetry does not answer"
	post "$replay/release"
	await "round 010" said "Waiting at 010.prom.gz"
	emitted=$(times flush) || fail "the collector's telemetry does not answer"
	await "a flush" more flush "$emitted"
	await "the exporter" settled "$logs/1.json"
	[ "$(times checkpoint)" = "$written" ] || fail "a checkpoint came before the kill: this machine is too slow for the example"
	kill -KILL "$collector_pid"
	wait "$collector_pid" 2>/dev/null || true
	echo "Killed the collector (-9) after round 010 was emitted; its last checkpoint holds round 008."
	echo "What was emitted until then:"
	verify --until 010.prom.gz "$logs/1.json"
	post "$replay/release"
	start_collector 2.json
	await "the last round" said Done
	counts
	end_collector
	echo "What both collectors emitted together:"
	verify --at-least 90 "$logs/1.json" "$logs/2.json"
}

send() {
	start_collector 1.json --config "$example/otlp.yaml"
	"$logs/send" --endpoint "http://localhost:$PHOENIX_OTLP_PORT" >"$logs/replay.log" 2>&1 ||
		give_up "Sending failed" replay
	counts
	end_collector
	verify --starts --at-least 90 --ingest "$logs/ingest.json" --output "$logs/output.json" "$logs/1.json"
}

case $mode in
scrape | kill | otlp) ;;
*) fail "unknown argument '$mode'; try none, kill or otlp" ;;
esac
for binary in "$collector" "$ctl"; do
	[ -x "$binary" ] || fail "$binary is missing. Build it: make build"
done
command -v curl >/dev/null || command -v wget >/dev/null || fail "curl or wget is needed"
check_port "$PHOENIX_PORT" PHOENIX_PORT "the control plane"
check_port "$PHOENIX_TELEMETRY_PORT" PHOENIX_TELEMETRY_PORT "the collector's own telemetry"
if [ "$mode" = otlp ]; then
	check_port "$PHOENIX_OTLP_PORT" PHOENIX_OTLP_PORT "the OTLP receiver"
else
	check_port "$PHOENIX_REPLAY_PORT" PHOENIX_REPLAY_PORT "the recorded kube-apiserver"
fi

logs=$(mktemp -d "${TMPDIR:-/tmp}/phoenix-consolidate-kubernetes.XXXXXX")
go build -o "$logs/" "./$example/replay" "./$example/send" "./$example/verify"
export PHOENIX_STATE=$logs/state
trap stop EXIT
trap 'exit 130' INT TERM HUP
echo "Phoenix consolidates a recorded kube-apiserver; this takes about a minute. Logs: $logs/"
case $mode in
scrape) scrape ;;
kill) kill_and_restart ;;
otlp) send ;;
esac
