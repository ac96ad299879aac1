# Which files and which compose; sourced by up, down and test.
source "$(dirname "${BASH_SOURCE[0]}")/../images/settings.sh"

export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-angzarr}
export ANGZARR_KAFKA_PORT=${ANGZARR_KAFKA_PORT:-9092}
files=(-f "$root/compose.yaml")

# choose takes the broker: redpanda, kafka, or local for images of this machine.
choose() {
	case $1 in
	redpanda) ;;
	kafka) files+=(-f "$root/compose.kafka.yaml") ;;
	local) files+=(-f "$root/compose.kafka.yaml" -f "$root/deploy/compose/local.yaml") ;;
	*) die "no broker is called $1: want redpanda, kafka or local" ;;
	esac
}

# compose is version 2, or 1 where there is no other.
compose() {
	if docker compose version >/dev/null 2>&1; then
		docker compose "${files[@]}" "$@"
	elif command -v docker-compose >/dev/null; then
		docker-compose "${files[@]}" "$@"
	else
		die "no docker compose found. Install it (Debian: apt-get install docker-compose)"
	fi
}

# health prints a line for each container that isn't healthy.
health() {
	local ids
	ids=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")
	[[ -n $ids ]] || return 0
	# shellcheck disable=SC2086
	docker inspect --format '{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' $ids |
		sed -n '/ running healthy$/!p'
}

# wait_until_healthy says what it waited for if it was in vain.
wait_until_healthy() {
	local deadline=$((SECONDS + ${1:-120})) waits
	while waits=$(health) && [[ -n $waits ]]; do
		if ((SECONDS >= deadline)); then
			compose logs --tail 20 >&2
			die "not healthy, the ends of the logs are above:
$waits"
		fi
		sleep 0.3
	done
}

# door prints where the first coordinator can be called: the engine takes any port
# of the range.
door() {
	compose port --index 1 coordinator 50050
}
