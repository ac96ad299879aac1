package config

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder copies what a source holds into a Config. koanf's own Unmarshal prints
// the values that it can't convert, passwords included, so it isn't used.
type decoder struct {
	problems *problems
	source   func(path string) string // where the key of that path stands
}

// decode sets what tree holds and leaves the rest of c as it is.
func (d *decoder) decode(c *Config, tree map[string]any) {
	d.structure(reflect.ValueOf(c).Elem(), tree, "")
}

func (d *decoder) add(path, format string, args ...any) {
	d.problems.add(d.source(path), path, format, args...)
}

// value sets v. A key without a value (nil) counts as left out.
func (d *decoder) value(v reflect.Value, raw any, path string) {
	if raw == nil {
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *string:
		d.text(target, raw, path)
	case *Secret:
		var value string
		d.text(&value, raw, path)
		*target = NewSecret(value)
	case *int:
		d.number(target, raw, path)
	case *bool:
		d.boolean(target, raw, path)
	case *Size:
		if err := target.UnmarshalText([]byte(scalar(raw))); err != nil {
			d.add(path, "%v, not %s", err, shown(raw))
		}
	case *[]string:
		d.list(target, raw, path)
	case **TLS:
		d.tls(target, raw, path)
	default:
		d.composite(v, raw, path)
	}
}

func (d *decoder) text(target *string, raw any, path string) {
	s, ok := raw.(string)
	switch {
	case ok:
		*target = s
	case scalar(raw) != "":
		d.add(path, "want text: put the value in quotes")
	default:
		d.add(path, "want text, not %s", kind(raw))
	}
}

func (d *decoder) number(target *int, raw any, path string) {
	n, err := strconv.ParseInt(strings.TrimSpace(scalar(raw)), 10, 64)
	if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
		d.add(path, "want a whole number, not %s", shown(raw))
		return
	}
	*target = int(n)
}

func (d *decoder) boolean(target *bool, raw any, path string) {
	switch strings.ToLower(strings.TrimSpace(scalar(raw))) {
	case "true":
		*target = true
	case "false":
		*target = false
	default:
		d.add(path, "want true or false, not %s", shown(raw))
	}
}

// list takes a list of texts, or one text with commas, as variables and flags
// have it.
func (d *decoder) list(target *[]string, raw any, path string) {
	if s, ok := raw.(string); ok {
		parts := strings.Split(s, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		*target = parts
		return
	}
	v := reflect.ValueOf(raw)
	if v.Kind() != reflect.Slice {
		d.add(path, "want a list, such as [a, b], not %s", kind(raw))
		return
	}
	items := make([]string, v.Len())
	for i := range items {
		d.text(&items[i], v.Index(i).Interface(), fmt.Sprintf("%s[%d]", path, i))
	}
	*target = items
}

// tls takes `true` for the system's authorities, and `false` to switch off what
// an earlier source said.
func (d *decoder) tls(target **TLS, raw any, path string) {
	if tree, ok := raw.(map[string]any); ok {
		*target = &TLS{}
		d.structure(reflect.ValueOf(*target).Elem(), tree, path)
		return
	}
	switch strings.ToLower(scalar(raw)) {
	case "true":
		*target = &TLS{}
	case "false":
		*target = nil
	default:
		d.add(path, "want true, or a mapping of %s", strings.Join(names(reflect.TypeFor[TLS]()), ", "))
	}
}

func (d *decoder) composite(v reflect.Value, raw any, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(v.Elem(), raw, path)
	case reflect.Slice:
		items := reflect.ValueOf(raw)
		if items.Kind() != reflect.Slice {
			d.add(path, "want a list: `- %s: …`, not %s", names(v.Type().Elem())[0], kind(raw))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), items.Len(), items.Len()))
		for i := range items.Len() {
			at := fmt.Sprintf("%s[%d]", path, i)
			d.value(v.Index(i), orEmpty(items.Index(i).Interface()), at)
		}
	default:
		tree, ok := raw.(map[string]any)
		if !ok {
			d.add(path, "want a mapping of %s, not %s", strings.Join(names(v.Type()), ", "), kind(raw))
			return
		}
		d.structure(v, tree, path)
	}
}

// structure sets the fields that tree names.
func (d *decoder) structure(v reflect.Value, tree map[string]any, path string) {
	known := names(v.Type())
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if i := slices.Index(known, name); i >= 0 {
			d.value(v.Field(i), tree[name], join(path, name))
			continue
		}
		d.unknown(name, path, known)
	}
}

func (d *decoder) unknown(name, path string, known []string) {
	key := join(path, printable(name))
	if path == "" && upstream(name) {
		d.problems.meant = append(d.problems.meant, "log.brokers")
		d.problems.add(d.source(join(path, name)), key, upstreamText)
		return
	}
	guess := meant(path, name, known)
	if path == "" && guess == name {
		first, rest, _ := strings.Cut(name, ".")
		d.problems.meant = append(d.problems.meant, guess)
		d.problems.add(d.source(name), key, "want nested keys: write %s with %s below it", first, rest)
		return
	}
	if guess != "" {
		d.problems.meant = append(d.problems.meant, guess)
		d.problems.add(d.source(join(path, name)), key, "unknown key: did you mean %s?", guess)
		return
	}
	d.problems.add(d.source(join(path, name)), key, "unknown key: known here are %s", strings.Join(known, ", "))
}

// orEmpty makes an empty item of a list one whose fields are all missing.
func orEmpty(raw any) any {
	if raw == nil {
		return map[string]any{}
	}
	return raw
}
