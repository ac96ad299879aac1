package config

import (
	"reflect"
	"slices"
	"strings"
)

// keys gives the paths of all keys that hold a value: `log.brokers`,
// `projectors[].name`. `log.tls` is there beside `log.tls.ca`, as it may be
// `true`.
func keys() []string { return keysOf(reflect.TypeFor[Config](), "") }

func keysOf(t reflect.Type, path string) []string {
	switch {
	case t == reflect.TypeFor[*TLS]():
		return append([]string{path}, keysOf(t.Elem(), path)...)
	case t.Kind() == reflect.Pointer:
		return keysOf(t.Elem(), path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return keysOf(t.Elem(), path+"[]")
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[Secret]():
		return []string{path}
	}
	var all []string
	for field := range t.Fields() {
		all = append(all, keysOf(field.Type, join(path, field.Tag.Get("koanf")))...)
	}
	return all
}

// names gives the keys that a struct takes, in the order of the file.
func names(t reflect.Type) []string {
	var all []string
	for field := range t.Fields() {
		all = append(all, field.Tag.Get("koanf"))
	}
	return all
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// meant guesses which key an unknown one was to be: a misspelt neighbour, or a
// key of that name elsewhere; "" if neither.
func meant(path, name string, neighbours []string) string {
	if n := nearest(name, neighbours); n != "" {
		return join(path, n)
	}
	for _, key := range keys() {
		if key == name || strings.HasSuffix(key, "."+name) {
			return key
		}
	}
	return ""
}

// nearest gives the candidate that takes the fewest edits, if they are few for a
// word of that length.
func nearest(word string, candidates []string) string {
	best, edits := "", max(1, min(len(word), 12)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < edits {
			best, edits = c, d
		}
	}
	return best
}

// distance is Levenshtein's. Words much longer than any key are far from all.
func distance(a, b string) int {
	if len(a) > 100 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// upstream holds the keys of configurations written for other stores and buses.
func upstream(name string) bool {
	return slices.Contains([]string{"storage", "bus", "messaging"}, strings.ToLower(name))
}

const upstreamText = "Kafka is both the storage and the bus here: remove this and set log.brokers"
