#!/usr/bin/env bash
# Runs an experiment on a recorded kube-apiserver to its end. README.md says what
# it prints.
#
#   run.sh good   a candidate that keeps what the alerts and panels ask for; it is promoted
#   run.sh bad    a candidate that drops a label that an alert needs; it is rolled back
#
# Environment:
#   PHOENIX_PORT            port of the control plane (8640)
#   PHOENIX_REPLAY_PORT     port of the recorded kube-apiserver (8641)
#   PHOENIX_TELEMETRY_PORT  port of the collector's own telemetry (8888)
#   PHOENIX_COLLECTOR       the collector (bin/phoenix-collector, by `make build`)
#   PHOENIXCTL              the command line client (bin/phoenixctl, by `make build`)
set -euo pipefail
cd "$(dirname "$0")/../.."

example=examples/experiment
name=${1:-}
collector=${PHOENIX_COLLECTOR:-bin/phoenix-collector}
ctl=${PHOENIXCTL:-bin/phoenixctl}
export PHOENIX_PORT=${PHOENIX_PORT:-8640}
export PHOENIX_REPLAY_PORT=${PHOENIX_REPLAY_PORT:-8641}
export PHOENIX_TELEMETRY_PORT=${PHOENIX_TELEMETRY_PORT:-8888}
api=http://localhost:$PHOENIX_PORT
patience=60     # seconds until the first scrape must be counted
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
		fail "port $1, for $3, is in use. Choose another one: $2=$(($1 + 1000)) $example/run.sh $name"
	fi
}

give_up() { # what happened, whose log
	echo "run.sh: $1. The end of $logs/$2.log:" >&2
	tail -n 20 "$logs/$2.log" >&2
	exit 1
}

# What Phoenix counts at a measuring point, as JSON.
counted() { "$ctl" --address "$api" top --point "$1" --limit 10000 --output json 2>/dev/null; }

# Wait until a measuring point has counted the requests.
await() { # point
	local deadline=$((SECONDS + patience))
	until counted "$1" | grep apiserver_request_total >/dev/null; do # grep -q would end before the client does
		running "$replay_pid" || give_up "The replay ended" replay
		running "$collector_pid" || give_up "The collector ended" collector
		[ "$SECONDS" -lt "$deadline" ] || give_up "Waited $patience seconds for the first scrape" collector
		sleep 0.2
	done
}

case $name in
good) expected=0 ;;
bad) expected=3 ;; # as phoenixctl says that it was rolled back
*) fail "say which candidate: run.sh good, or run.sh bad" ;;
esac
for binary in "$collector" "$ctl"; do
	[ -x "$binary" ] || fail "$binary is missing. Build it: make build"
done
check_port "$PHOENIX_PORT" PHOENIX_PORT "the control plane"
check_port "$PHOENIX_REPLAY_PORT" PHOENIX_REPLAY_PORT "the recorded kube-apiserver"
check_port "$PHOENIX_TELEMETRY_PORT" PHOENIX_TELEMETRY_PORT "the collector's own telemetry"

logs=$(mktemp -d "${TMPDIR:-/tmp}/phoenix-experiment.XXXXXX")
go build -o "$logs/" ./examples/consolidate-kubernetes/replay
export PHOENIX_STATE=$logs/state
trap stop EXIT
trap 'exit 130' INT TERM HUP
SECONDS=0
# Each round is served for 40 seconds, so that counters rise all the time.
"$logs/replay" --listen "localhost:$PHOENIX_REPLAY_PORT" --scrapes 20 >"$logs/replay.log" 2>&1 &
replay_pid=$!
"$collector" --config "$example/config.yaml" >"$logs/collector.log" 2>&1 &
collector_pid=$!
echo "An experiment on a recorded kube-apiserver; it takes two to three minutes. Logs: $logs/"
await baseline

"$ctl" --address "$api" experiments create -f "$example/$name.yaml"
"$ctl" --address "$api" experiments start "$name"
ended=0
"$ctl" --address "$api" experiments watch "$name" --until final || ended=$?
echo
"$ctl" --address "$api" experiments report "$name"
[ "$ended" = "$expected" ] || give_up "The experiment should have ended with $expected, and ended with $ended" collector
if [ "$name" = good ]; then
	echo
	"$ctl" --address "$api" policies get "$name"
fi
