#!/usr/bin/env bash
# Runs the example and judges it: a web shop of three services, its customers, a
# collector that exports what comes as it is and sampled, and a program that
# compares the two. It ends by itself after about a minute and a half; README.md
# says what it prints.
#
# Environment:
#   PHOENIX_PORT            port of the control plane (8650)
#   PHOENIX_OTLP_PORT       port of the OTLP receiver (8652)
#   PHOENIX_FRONTEND_PORT   ports of the shop's services (8653, 8654, 8655)
#   PHOENIX_CHECKOUT_PORT
#   PHOENIX_STOCK_PORT
#   PHOENIX_TELEMETRY_PORT  port of the collector's own telemetry (8888)
#   PHOENIX_COLLECTOR       the collector (bin/phoenix-collector, by `make build`)
#   PHOENIXCTL              the command line client (bin/phoenixctl, by `make build`)
set -euo pipefail
cd "$(dirname "$0")/../.."

example=examples/sampling
collector=${PHOENIX_COLLECTOR:-bin/phoenix-collector}
ctl=${PHOENIXCTL:-bin/phoenixctl}
export PHOENIX_PORT=${PHOENIX_PORT:-8650}
export PHOENIX_OTLP_PORT=${PHOENIX_OTLP_PORT:-8652}
export PHOENIX_TELEMETRY_PORT=${PHOENIX_TELEMETRY_PORT:-8888}
frontend_port=${PHOENIX_FRONTEND_PORT:-8653}
checkout_port=${PHOENIX_CHECKOUT_PORT:-8654}
stock_port=${PHOENIX_STOCK_PORT:-8655}
api=http://localhost:$PHOENIX_PORT
patience=60 # seconds until a step must be done
collector_pid=
services=()

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
	end_services
	[ -z "$collector_pid" ] || end "$collector_pid"
}

end_services() {
	for pid in ${services[@]+"${services[@]}"}; do end "$pid"; done
	services=()
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

give_up() { # what happened, whose log
	echo "run.sh: $1. The end of $logs/$2.log:" >&2
	tail -n 20 "$logs/$2.log" >&2
	exit 1
}

# Wait until a command succeeds.
await() { # what for, whose log, command...
	local what=$1 log=$2 deadline=$((SECONDS + patience))
	shift 2
	until "$@" >/dev/null 2>&1; do
		running "$collector_pid" || give_up "The collector ended" collector
		[ "$SECONDS" -lt "$deadline" ] || give_up "Waited $patience seconds for $what" "$log"
		sleep 0.2
	done
}

# exec: what runs is the program itself, so that ending it ends it.
shop() { # role
	exec "$logs/shop" -otlp "localhost:$PHOENIX_OTLP_PORT" -frontend "localhost:$frontend_port" \
		-checkout "localhost:$checkout_port" -stock "localhost:$stock_port" "$1"
}

start_service() { # role
	shop "$1" >"$logs/$1.log" 2>&1 &
	services+=($!)
	await "the service $1" "$1" grep -q '^Ready$' "$logs/$1.log"
}

# Says whether nobody writes to the exported files any more.
settled() {
	local size
	size=$(cat "$PHOENIX_EXPORT"/*-traces.json "$PHOENIX_EXPORT"/*-logs.json | wc -c)
	sleep 3
	[ "$(cat "$PHOENIX_EXPORT"/*-traces.json "$PHOENIX_EXPORT"/*-logs.json | wc -c)" = "$size" ]
}

[ $# -eq 0 ] || fail "there are no arguments, got '$1'"
[ -x "$collector" ] || fail "$collector is not there: make build"
[ -x "$ctl" ] || fail "$ctl is not there: make build"
check_port "$PHOENIX_PORT" PHOENIX_PORT "the control plane"
check_port "$PHOENIX_OTLP_PORT" PHOENIX_OTLP_PORT "the OTLP receiver"
check_port "$PHOENIX_TELEMETRY_PORT" PHOENIX_TELEMETRY_PORT "the collector's own telemetry"
check_port "$frontend_port" PHOENIX_FRONTEND_PORT "the shop's frontend"
check_port "$checkout_port" PHOENIX_CHECKOUT_PORT "the shop's checkout"
check_port "$stock_port" PHOENIX_STOCK_PORT "the shop's stock"

logs=$(mktemp -d "${TMPDIR:-/tmp}/phoenix-sampling.XXXXXX")
export PHOENIX_EXPORT=$logs
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
echo "A web shop sells for a minute, and Phoenix samples what it says; this takes a minute and a half. Logs: $logs/"
go build -o "$logs/" "./$example/shop" "./$example/verify"

"$collector" --config "$example/config.yaml" >"$logs/collector.log" 2>&1 &
collector_pid=$!
await "the collector" collector get "$api/readyz"
for role in stock checkout frontend; do start_service "$role"; done
shop customers | tee "$logs/customers.log"
"$ctl" samplers --address "$api" >"$logs/samplers.txt"
end_services # each sends what it still has
await "the last export" collector settled
end "$collector_pid"
collector_pid=
grep -q "Shutdown complete" "$logs/collector.log" || give_up "The collector did not end well" collector
echo
"$logs/verify" "$logs"
