# Where a Redis for tests lives and where it listens; sourced by up and down.
# Each port has a folder of its own, so that several can run side by side.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
port=${ANGZARR_REDIS_PORT:-16379}
address=127.0.0.1:$port

home=$root/.redis/$port
log=$home/redis.log
pidfile=$home/redis.pid

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# running prints the server's process id. A process that only inherited the id
# of a killed server does not count.
running() {
	local pid
	pid=$(cat "$pidfile" 2>/dev/null) || return 1
	[[ $(ps -ww -p "$pid" -o command= 2>/dev/null) == *"redis-server 127.0.0.1:$port"* ]] || return 1
	printf '%s\n' "$pid"
}

# answers tells whether a Redis answers at the port.
answers() {
	local reply
	reply=$(
		exec 2>/dev/null
		exec 3<>"/dev/tcp/127.0.0.1/$port"
		printf 'PING\r\n' >&3
		timeout 2 head -c 5 <&3
	) || return 1
	[[ $reply == +PONG ]]
}
