# What the scripts beside this one, and those of deploy/compose, have in common.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
images=$root/.images

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# engine wants a container engine that answers.
engine() {
	command -v docker >/dev/null || die "no docker found. Install it (Debian: apt-get install docker.io docker-compose)"
	docker version --format '{{.Server.Version}}' >/dev/null 2>"$images/docker.log" ||
		die "no container engine answers: $(tail -n 1 "$images/docker.log"). Start it, or say with DOCKER_HOST where it is"
}

# compile makes $2 of package $1, as it is in an image; more go to go build.
compile() {
	(cd "$root" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=$version" "${@:3}" -o "$2" "$1")
}

version=${VERSION:-$(git -C "$root" describe --tags --always --dirty)}
revision=$(git -C "$root" rev-parse HEAD)
mkdir -p "$images"
