package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// The reference has one row a key, with the variable and the default that the
// code has.
func TestReferenceIsTrue(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if strings.HasPrefix(line, "| `") && len(cells) == 5 {
			for i := range cells {
				cells[i] = strings.Trim(cells[i], " `")
			}
			rows[cells[0]] = cells
		}
	}
	dash := func(s string) string {
		if s == "" {
			return "–"
		}
		return s
	}
	set := make(map[string]string)
	written(reflect.ValueOf(defaults()).Elem(), "", set)
	for _, key := range keys() {
		row := rows[key]
		if row == nil {
			t.Errorf("%s has no row", key)
			continue
		}
		if want := dash(set[key]); row[2] != want {
			t.Errorf("%s: want the default %s, got %s", key, want, row[2])
		}
		if want := dash(variableOf(key)); row[3] != want {
			t.Errorf("%s: want the variable %s, got %s", key, want, row[3])
		}
		if row[1] == "" || row[4] == "" {
			t.Errorf("%s: want a type and a meaning", key)
		}
		delete(rows, key)
	}
	for key := range rows {
		t.Errorf("%s has a row and is no key", key)
	}
}

// written notes what each key of a Config holds; what is off or empty has no
// entry, except for booleans.
func written(v reflect.Value, path string, into map[string]string) {
	switch {
	case v.Type() == reflect.TypeFor[*Peers]():
		into["peers.insecure"] = "false"
	case v.Kind() == reflect.Struct:
		for field, value := range v.Fields() {
			written(value, join(path, field.Tag.Get("koanf")), into)
		}
	case v.Kind() == reflect.Bool || !v.IsZero():
		into[path] = fmt.Sprint(v.Interface())
	}
}

// Two keys with one variable could not both be set.
func TestVariablesAreDistinct(t *testing.T) {
	seen := make(map[string]string)
	for _, key := range keys() {
		name := variableOf(key)
		if other, ok := seen[name]; ok && name != "" {
			t.Errorf("%s and %s have the variable %s", key, other, name)
		}
		seen[name] = key
		if name != "" && foreign(name, "x") {
			t.Errorf("%s is taken for somebody else's variable", name)
		}
	}
}
