package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is the file's parser. It remembers the line of every key, so that an
// error can name it.
type document struct {
	name  string
	lines map[string]int // by path
}

// at says where the key of that path stands, as closely as is known.
func (d *document) at(path string) string {
	if line := d.lines[path]; line > 0 {
		return fmt.Sprintf("%s:%d", d.name, line)
	}
	return d.name
}

// Unmarshal parses the file. Its error has a line for each thing that is no YAML.
func (d *document) Unmarshal(text []byte) (map[string]any, error) {
	parts := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	tree := map[string]any{}
	err := parts.Decode(&root)
	if errors.Is(err, io.EOF) {
		return tree, nil
	}
	if err == nil {
		d.lines = make(map[string]int)
		d.number(&root, "")
		err = root.Decode(&tree)
	}
	if err != nil {
		return nil, d.refuse(err, text)
	}
	// A second document would be a configuration that nobody reads.
	if err := parts.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, problem{d.name, "", "want one YAML document: remove what follows the second ---"}
	}
	return tree, nil
}

// Marshal makes document a koanf.Parser.
func (d *document) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("configurations are only read")
}

// number notes the line of each key. Aliases aren't followed: they may be nested
// without end, and their keys stand elsewhere.
func (d *document) number(n *yaml.Node, path string) {
	switch n.Kind {
	case yaml.DocumentNode:
		for _, child := range n.Content {
			d.number(child, path)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := join(path, n.Content[i].Value)
			d.lines[key] = n.Content[i].Line
			d.number(n.Content[i+1], key)
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			key := fmt.Sprintf("%s[%d]", path, i)
			d.lines[key] = child.Line
			d.number(child, key)
		}
	}
}

var (
	yamlLine   = regexp.MustCompile(`^line (\d+): `)
	yamlAnchor = regexp.MustCompile(`anchor '([^']*)'`)
	yamlQuoted = regexp.MustCompile("`[^`]*`")
)

// refuse turns the parser's error into one line each, without the values that it
// quotes: an unquoted password that begins with `*` is an unknown anchor.
func (d *document) refuse(err error, text []byte) error {
	var found problems
	lines := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if several, ok := errors.AsType[*yaml.TypeError](err); ok {
		lines = several.Errors
	}
	for _, line := range lines {
		source, reason := d.name, line
		if at := yamlLine.FindStringSubmatch(line); at != nil {
			source, reason = d.name+":"+at[1], line[len(at[0]):]
		}
		switch {
		case yamlAnchor.MatchString(reason):
			if i := bytes.Index(text, []byte("*"+yamlAnchor.FindStringSubmatch(reason)[1])); i >= 0 {
				source = fmt.Sprintf("%s:%d", d.name, 1+bytes.Count(text[:i], []byte("\n")))
			}
			found.add(source, "", "want a value: put one that begins with * in quotes")
		case strings.Contains(reason, "into map["):
			found.add(source, "", "want keys and values, such as listen: 127.0.0.1:50050")
		default:
			reason = yamlQuoted.ReplaceAllString(reason, "a value")
			found.add(source, "", "want YAML: %s", strings.ReplaceAll(reason, "\n", " "))
		}
	}
	return found.err()
}
