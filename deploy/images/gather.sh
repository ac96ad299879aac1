# Gathers files of this machine into the root of an image; sourced.

# take copies programs and libraries to the same place under $tree, with all that
# they are linked with.
take() {
	local file linked
	for file; do
		put "$file"
		for linked in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
			put "$linked"
		done
	done
}

put() {
	[[ -e $tree$1 ]] && return
	mkdir -p "$tree$(dirname "$1")"
	cp -L "$1" "$tree$1"
}

# seal makes the image $1 of $tree, with the Dockerfile beside the calling script.
seal() {
	docker build --quiet --tag "$1" --file "$here/Dockerfile" "$tree" >"$images/docker.log" 2>&1 || {
		cat "$images/docker.log" >&2
		die "the image $1 could not be built; why is said above"
	}
	echo "$1"
}
