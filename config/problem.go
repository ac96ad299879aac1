package config

import (
	"errors"
	"fmt"
	"strings"
)

// problem is one thing that is wrong, told in one line.
type problem struct {
	source string // the file and line, or the variable; "" if several sources share the blame
	key    string // the key's path, e.g. log.brokers
	text   string // what would be right
}

func (p problem) Error() string {
	var line strings.Builder
	for _, part := range []string{p.source, p.key} {
		if part != "" {
			line.WriteString(part + ": ")
		}
	}
	line.WriteString(p.text)
	return line.String()
}

// problems collects, so that whoever starts a process mends all in one go.
type problems struct {
	found []problem
	meant []string // keys that a problem is about without being named by it
}

func (p *problems) add(source, key, format string, args ...any) {
	p.found = append(p.found, problem{source, key, fmt.Sprintf(format, args...)})
}

// about reports whether a problem explains one of the key already: a broker list
// of the wrong type need not be told missing as well.
func (p *problems) about(key string) bool {
	below := func(a, b string) bool {
		rest, ok := strings.CutPrefix(a, b)
		return ok && b != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	for _, found := range p.found {
		if below(key, found.key) || below(found.key, key) {
			return true
		}
	}
	for _, meant := range p.meant {
		if below(key, meant) || below(meant, key) {
			return true
		}
	}
	return false
}

// addNew adds the problems of keys that none of p is about.
func (p *problems) addNew(more problems) {
	var fresh []problem
	for _, m := range more.found {
		if !p.about(m.key) {
			fresh = append(fresh, m)
		}
	}
	p.found = append(p.found, fresh...)
}

func (p *problems) err() error {
	errs := make([]error, len(p.found))
	for i, found := range p.found {
		errs[i] = found
	}
	return errors.Join(errs...)
}
