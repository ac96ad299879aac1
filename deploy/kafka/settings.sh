# Where a broker for tests lives and where it listens; sourced by up and down.
# Each port has a folder of its own, so that brokers can run side by side: a
# test that kills its broker uses another port than the suites'.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
port=${ANGZARR_KAFKA_PORT:-19092}
controller_port=$((port + 1))
address=127.0.0.1:$port

jars=$root/.kafka/jars
home=$root/.kafka/$port
data=$home/data
properties=$home/server.properties
log=$home/kafka.log
pidfile=$home/kafka.pid

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# running prints the broker's process id. A process that only inherited the id
# of a killed broker does not count.
running() {
	local pid
	pid=$(cat "$pidfile" 2>/dev/null) || return 1
	[[ $(ps -ww -p "$pid" -o command= 2>/dev/null) == *"kafka.Kafka $properties"* ]] || return 1
	printf '%s\n' "$pid"
}

# listening tells whether anything accepts connections at the port.
listening() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
