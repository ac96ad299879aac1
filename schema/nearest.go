package schema

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// Nearest returns up to three of known that someone who typed name may have meant,
// the likeliest first.
func Nearest(name string, known []string) []string { return nearest(name, known) }

// nearest returns up to three of known that someone who typed name may have
// meant: those a few letters away, those that begin like it, and those of the
// same name in another package.
func nearest(name string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	typed := strings.ToLower(name)
	var near []candidate
	for _, k := range slices.Compact(slices.Sorted(slices.Values(known))) {
		lower := strings.ToLower(k)
		d := distance(typed, lower)
		if typed == lastPart(lower) || lastPart(typed) == lastPart(lower) {
			d = min(d, 1)
		} else if len(typed) > 2 && strings.HasPrefix(lower, typed) {
			d = min(d, 2)
		}
		if d <= max(2, len(typed)/4) {
			near = append(near, candidate{k, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, c := range near[:min(3, len(near))] {
		names = append(names, c.name)
	}
	return names
}

func lastPart(name string) string {
	return name[strings.LastIndexByte(name, '.')+1:]
}

// distance counts the single letters to insert, drop or change to get from a to
// b (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// printable is text from elsewhere without what would steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
