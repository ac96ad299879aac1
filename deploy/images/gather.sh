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

# seal makes the image $1 of $tree, in which the folder $2 belongs to the user $3;
# more are instructions of a Dockerfile.
seal() {
	local change changes=(--change "USER $3")
	for change in "${@:4}"; do
		changes+=(--change "$change")
	done
	tar -C "$tree" --owner=0 --group=0 --exclude="./$2" -cf "$tree.tar" .
	tar -C "$tree" --owner="${3%:*}" --group="${3#*:}" -rf "$tree.tar" "./$2"
	docker import "${changes[@]}" "$tree.tar" "$1" >"$images/docker.log" 2>&1 || {
		cat "$images/docker.log" >&2
		die "the image $1 could not be made; why is said above"
	}
	rm -rf "$tree" "$tree.tar"
	echo "$1"
}
