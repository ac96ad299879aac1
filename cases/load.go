package cases

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/angzarr/angzarr-kafka/schema"
)

// Load reads a file of cases. The error is [Problems] where the file can be read.
func Load(file string) (*Suite, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(file, content)
}

// The keys of a file, of a case, and of a refusal.
var (
	suiteKeys   = []string{"domain", "root", "shared", "cases"}
	caseKeys    = []string{"name", "root", "snapshot", "covers", "given", "when", "then", "then_snapshot", "refused"}
	refusalKeys = []string{"code", "message"}
)

// loader reads one file.
type loader struct {
	file     string
	problems Problems
	nodes    int // made of aliases and merges so far
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

func parse(file string, content []byte) (*Suite, error) {
	l := &loader{file: file}
	var document yaml.Node
	switch err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, Problems{{file, 1, "the file is empty: want domain and cases"}}
	case err != nil:
		line, text := 1, strings.TrimPrefix(err.Error(), "yaml: ")
		if at := yamlLine.FindStringSubmatch(err.Error()); at != nil {
			line, _ = strconv.Atoi(at[1]) // digits
			text = err.Error()[len(at[0]):]
		}
		return nil, Problems{{file, line, "want YAML: " + text}}
	}
	s := l.suite(document.Content[0])
	return s, l.problems.err()
}

func (l *loader) wrong(at *yaml.Node, format string, args ...any) {
	l.problems = append(l.problems, Problem{l.file, at.Line, fmt.Sprintf(format, args...)})
}

// followed is what an alias stands for.
func followed(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// keys gives a mapping's values by their keys, which must be among the known.
func (l *loader) keys(n *yaml.Node, what string, known []string) map[string]*yaml.Node {
	found := make(map[string]*yaml.Node)
	if followed(n).Kind != yaml.MappingNode {
		l.wrong(n, "want %s, with %s", what, strings.Join(known, ", "))
		return found
	}
	content := followed(n).Content
	for i := 0; i+1 < len(content); i += 2 {
		key, value := content[i], content[i+1]
		switch near := schema.Nearest(key.Value, known); {
		case slices.Contains(known, key.Value):
			if found[key.Value] != nil {
				l.wrong(key, "%s: it is there twice", key.Value)
			}
			found[key.Value] = value
		case len(near) > 0:
			l.wrong(key, "%s: there is no such key; did you mean %s?", key.Value, near[0])
		default:
			l.wrong(key, "%s: there is no such key; %s has %s", key.Value, what, strings.Join(known, ", "))
		}
	}
	return found
}

// text gives a value that must be text, "" if it is not there.
func (l *loader) text(n *yaml.Node, what string) string {
	if n == nil {
		return ""
	}
	if n = followed(n); n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		l.wrong(n, "%s: want text", what)
		return ""
	}
	return n.Value
}

func (l *loader) suite(n *yaml.Node) *Suite {
	s := &Suite{File: l.file}
	keys := l.keys(n, "a file of cases", suiteKeys)
	if s.Domain = l.text(keys["domain"], "domain"); s.Domain == "" && len(l.problems) == 0 {
		l.wrong(n, "domain is missing: want the name of the aggregates' domain, such as inventory")
	}
	root := l.root(keys["root"], [16]byte(uuid.MustParse("00000000-0000-7000-8000-000000000001")))
	list := keys["cases"]
	if list == nil || followed(list).Kind != yaml.SequenceNode || len(followed(list).Content) == 0 {
		if len(l.problems) == 0 {
			l.wrong(n, "cases: want a list of cases")
		}
		return s
	}
	named := make(map[string]int)
	for _, item := range followed(list).Content {
		c := l.one(item, s.Domain, root)
		if before := named[c.Name]; before > 0 && c.Name != "" {
			l.wrong(item, "name: the case in line %d has it already", before)
		}
		named[c.Name] = c.Line
		s.Cases = append(s.Cases, c)
	}
	return s
}

func (l *loader) root(n *yaml.Node, otherwise [16]byte) [16]byte {
	text := l.text(n, "root")
	if text == "" {
		return otherwise
	}
	id, err := uuid.Parse(text)
	if err != nil || len(text) != len(id.String()) {
		l.wrong(n, "root: %q is no UUID: want 8-4-4-4-12 hexadecimal digits", text)
	}
	return id
}

// one reads a case.
func (l *loader) one(n *yaml.Node, domain string, root [16]byte) *Case {
	c := &Case{File: l.file, Line: n.Line, domain: domain}
	before := len(l.problems)
	keys := l.keys(n, "a case", caseKeys)
	c.Name, c.root = l.text(keys["name"], "name"), l.root(keys["root"], root)
	c.snapshot, c.thenSnapshot = l.single(keys["snapshot"], "snapshot"), l.single(keys["then_snapshot"], "then_snapshot")
	c.given, c.then = l.list(keys["given"], "given"), l.list(keys["then"], "then")
	if when := keys["when"]; when != nil && followed(when).Kind == yaml.SequenceNode {
		c.when = l.list(when, "when")
	} else if one := l.single(when, "when"); one != nil {
		c.when = []*payload{one}
	}
	c.refused = l.refusal(keys["refused"])
	l.covers(c, keys["covers"])
	if len(l.problems) > before {
		return c // what is missing may be what was misspelt
	}
	switch {
	case c.Name == "":
		l.wrong(n, "name is missing: say what the case is about")
	case len(c.when) == 0:
		l.wrong(n, "when is missing: want the command, such as when: {inventory.AdjustStock: {delta: 5}}")
	case keys["then"] == nil && c.refused == nil:
		l.wrong(n, "then is missing: want the events, such as then: [{inventory.StockAdjusted: {delta: 5}}], then: [] if none follows, or refused")
	case (keys["then"] != nil || c.thenSnapshot != nil) && c.refused != nil:
		l.wrong(n, "then and refused: what is refused leads to nothing, so want one of them")
	}
	return c
}

func (l *loader) covers(c *Case, n *yaml.Node) {
	text := l.text(n, "covers")
	number, err := strconv.ParseUint(text, 10, 32)
	switch {
	case text == "" && c.snapshot != nil:
		c.covers = 1
	case text == "":
	case err != nil || number == 0:
		l.wrong(n, "covers: want the number of the snapshot's last page, 1 or more")
	case c.snapshot == nil:
		l.wrong(n, "covers: it is the number of the last page that a snapshot covers, and there is no snapshot")
	default:
		c.covers = uint32(number)
	}
}

// refusal reads CODE, or {code: CODE, message: a part of it}.
func (l *loader) refusal(n *yaml.Node) *refusal {
	if n == nil {
		return nil
	}
	r, name, at := &refusal{}, "", n
	if followed(n).Kind == yaml.MappingNode {
		keys := l.keys(n, "a refusal", refusalKeys)
		name, r.message = l.text(keys["code"], "refused.code"), l.text(keys["message"], "refused.message")
		if keys["code"] != nil {
			at = keys["code"]
		}
	} else {
		name = l.text(n, "refused")
	}
	value, known := code.Code_value[name]
	if r.code = codes.Code(value); !known || r.code == codes.OK {
		var names []string
		for name, value := range code.Code_value {
			if value != 0 {
				names = append(names, name)
			}
		}
		if near := schema.Nearest(name, names); len(near) > 0 {
			l.wrong(at, "refused: there is no code %q; did you mean %s?", name, near[0])
		} else {
			l.wrong(at, "refused: there is no code %q: want one of gRPC's, such as FAILED_PRECONDITION", name)
		}
	}
	return r
}

// list reads payloads.
func (l *loader) list(n *yaml.Node, what string) (all []*payload) {
	if n == nil {
		return nil
	}
	if n = followed(n); n.Kind != yaml.SequenceNode {
		l.wrong(n, "%s: want a list, such as [{inventory.StockAdjusted: {delta: 5}}]", what)
		return nil
	}
	for _, item := range n.Content {
		if p := l.single(item, what); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// single reads a payload: its type, and what it holds.
func (l *loader) single(n *yaml.Node, what string) *payload {
	if n == nil {
		return nil
	}
	at := n
	n = followed(n)
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str":
		return &payload{typeName: n.Value, json: []byte("{}"), line: at.Line}
	case n.Kind != yaml.MappingNode || len(n.Content) != 2:
		l.wrong(at, "%s: want one type and what it holds, such as {inventory.AdjustStock: {delta: 5}}", what)
		return nil
	}
	p := &payload{typeName: n.Content[0].Value, json: []byte("{}"), line: n.Content[0].Line, node: n.Content[1]}
	if value := followed(n.Content[1]); value.Tag != "!!null" {
		text, err := l.json(n.Content[1])
		if err != nil {
			l.wrong(n.Content[0], "%s: %v", p.typeName, err)
		}
		p.json = text
	}
	return p
}
