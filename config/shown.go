package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// scalar writes a single value as a source would; "" for anything else.
func scalar(raw any) string {
	v := reflect.ValueOf(raw)
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint32, reflect.Uint64, reflect.Float64:
		return fmt.Sprint(raw)
	}
	return ""
}

// shown quotes a value in an error. Only keys that hold no secret may be shown;
// an `@` may still have a password before it (redis://:password@host).
func shown(raw any) string {
	s := scalar(raw)
	switch {
	case s == "":
		return kind(raw)
	case strings.Contains(s, "@"):
		return "what is there"
	case len(s) > 60:
		s = s[:60] + "…"
	}
	return strconv.Quote(strings.ToValidUTF8(s, "?"))
}

// kind says what sort of value stands where another belongs.
func kind(raw any) string {
	switch v := reflect.ValueOf(raw); v.Kind() {
	case reflect.Map:
		return "a mapping"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		if v.Len() == 0 {
			return "an empty text"
		}
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Invalid:
		return "nothing"
	}
	return "a single value"
}

// printable keeps a key that somebody else chose from breaking the line.
func printable(name string) string {
	if len(name) > 60 {
		name = name[:60] + "…"
	}
	quoted := strconv.Quote(name)
	if name == "" || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
