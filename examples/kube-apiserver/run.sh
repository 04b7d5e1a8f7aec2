#!/usr/bin/env bash
# Runs the example: a recorded kube-apiserver, a made-up shop, and a collector that
# measures both. Ctrl-C or SIGTERM ends all. README.md says what to look at.
#
# Environment:
#   PHOENIX_PORT            port of the control plane (8620)
#   PHOENIX_REPLAY_PORT     port of the recorded kube-apiserver (8621)
#   PHOENIX_SHOP_PORT       port of the shop (8622)
#   PHOENIX_TELEMETRY_PORT  port of the collector's own telemetry (8888)
#   PHOENIX_STATE           folder for the policies (default: one beside the logs, new each time)
#   PHOENIX_COLLECTOR       the collector (bin/phoenix-collector, by `make build`)
#   PHOENIXCTL              the command line client (bin/phoenixctl, by `make build`)
set -euo pipefail
cd "$(dirname "$0")/../.."

example=examples/kube-apiserver
collector=${PHOENIX_COLLECTOR:-bin/phoenix-collector}
ctl=${PHOENIXCTL:-bin/phoenixctl}
ctl=${ctl#"$PWD/"}
export PHOENIX_PORT=${PHOENIX_PORT:-8620}
export PHOENIX_REPLAY_PORT=${PHOENIX_REPLAY_PORT:-8621}
export PHOENIX_SHOP_PORT=${PHOENIX_SHOP_PORT:-8622}
export PHOENIX_TELEMETRY_PORT=${PHOENIX_TELEMETRY_PORT:-8888}
api=http://localhost:$PHOENIX_PORT
metric=apiserver_request_duration_seconds # there once the first scrape is in
patience=60                               # seconds until that must be so
replay_pid=
shop_pid=
collector_pid=

fail() {
	echo "run.sh: $*" >&2
	exit 1
}

running() { kill -0 "$1" 2>/dev/null; }

# End what this script started, by process id, and wait for it.
stop() {
	trap - EXIT
	trap '' INT TERM HUP
	for pid in $collector_pid $replay_pid $shop_pid; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	for _ in $(seq 100); do # ten seconds
		left=
		for pid in $collector_pid $replay_pid $shop_pid; do
			if running "$pid"; then left=yes; fi
		done
		[ -n "$left" ] || break
		sleep 0.1
	done
	for pid in $collector_pid $replay_pid $shop_pid; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

check_port() { # port, variable, what for
	case $1 in
	'' | *[!0-9]*) fail "$2 must be a port number, got '$1'" ;;
	esac
	if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
		fail "port $1, for $3, is in use. Choose another one: $2=$(($1 + 1000)) $example/run.sh"
	fi
}

get() {
	if command -v curl >/dev/null; then
		curl -fsS --max-time 5 -o /dev/null "$1" 2>/dev/null
	else
		wget -q -T 5 -O /dev/null "$1" 2>/dev/null
	fi
}

# Wait until a URL answers. A child that ends, or a minute, is an error.
await() { # url, what for
	while ! get "$1"; do
		running "$replay_pid" || give_up "The replay ended" replay
		running "$shop_pid" || give_up "The shop ended" shop
		running "$collector_pid" || give_up "The collector ended" collector
		[ "$SECONDS" -lt "$patience" ] || give_up "Waited $patience seconds for $2" collector
		sleep 0.2
	done
}

give_up() { # what happened, whose log
	echo "run.sh: $1. The end of $logs/$2.log:" >&2
	tail -n 20 "$logs/$2.log" >&2
	exit 1
}

for binary in "$collector" "$ctl"; do
	[ -x "$binary" ] || fail "$binary is missing. Build it: make build"
done
command -v curl >/dev/null || command -v wget >/dev/null || fail "curl or wget is needed"
check_port "$PHOENIX_PORT" PHOENIX_PORT "the control plane"
check_port "$PHOENIX_REPLAY_PORT" PHOENIX_REPLAY_PORT "the recorded kube-apiserver"
check_port "$PHOENIX_SHOP_PORT" PHOENIX_SHOP_PORT "the shop"
check_port "$PHOENIX_TELEMETRY_PORT" PHOENIX_TELEMETRY_PORT "the collector's own telemetry"
go build -o bin/replay-kube-apiserver "./$example/replay"
go build -o bin/shop "./$example/shop"

logs=$(mktemp -d "${TMPDIR:-/tmp}/phoenix-kube-apiserver.XXXXXX")
trap stop EXIT
trap 'exit 0' INT TERM HUP # asked to end, so ending is success
SECONDS=0
bin/replay-kube-apiserver --listen "localhost:$PHOENIX_REPLAY_PORT" --rounds "$example/rounds" >"$logs/replay.log" 2>&1 &
replay_pid=$!
bin/shop --listen "localhost:$PHOENIX_SHOP_PORT" >"$logs/shop.log" 2>&1 &
shop_pid=$!
export PHOENIX_STATE=${PHOENIX_STATE:-$logs/state}
"$collector" --config "$example/config.yaml" >"$logs/collector.log" 2>&1 &
collector_pid=$!
await "$api/readyz" "the collector"
await "$api/api/v1/cardinality/$metric" "the first scrape"
await "$api/api/v1/cardinality/shop_http_requests_total" "the first scrape of the shop"
# Costs are in money once somebody says what a series costs.
"$ctl" --address "$api" costs models set -f examples/policies/price-model.yaml --use >"$logs/prices.log" 2>&1 ||
	give_up "The prices were not accepted" prices

address=
[ "$PHOENIX_PORT" = 8620 ] || address=" --address $api"
cat <<END
Phoenix measures a recorded kube-apiserver and a shop of twelve pods. Logs: $logs/

See what its metrics cost. In another terminal, in $PWD:

    $ctl top$address

Let the label pod go: see what that saves, do it, take it back:

    $ctl policies apply -f examples/policies/drop-pod.yaml --preview$address
    $ctl policies apply -f examples/policies/drop-pod.yaml --enforce$address
    $ctl policies rollback drop-pod$address

The same from the API:

    curl -s '$api/api/v1/cardinality?limit=5'

Ctrl-C ends it.
END
wait "$collector_pid" || true
collector_pid=
give_up "The collector ended" collector
