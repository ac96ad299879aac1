package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// mostNodes bounds what aliases of aliases can make of a small file.
const mostNodes = 1_000_000

// json writes a YAML value as JSON, aliases and merges followed.
func (l *loader) json(n *yaml.Node) ([]byte, error) {
	return l.appendJSON(nil, n)
}

func (l *loader) appendJSON(b []byte, n *yaml.Node) ([]byte, error) {
	if l.nodes++; l.nodes > mostNodes {
		return nil, errors.New("aliases make too much of the file")
	}
	switch n = followed(n); n.Kind {
	case yaml.MappingNode:
		return l.appendObject(b, n)
	case yaml.SequenceNode:
		b = append(b, '[')
		for i, item := range n.Content {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = l.appendJSON(b, item); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	default:
		return appendScalar(b, n)
	}
}

func (l *loader) appendObject(b []byte, n *yaml.Node) ([]byte, error) {
	keys, values, err := l.members(n)
	if err != nil {
		return nil, err
	}
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		b = append(append(b, name...), ':')
		if b, err = l.appendJSON(b, values[key]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// members are a mapping's keys in order, with those that are merged into it (<<)
// and are not its own.
func (l *loader) members(n *yaml.Node) (keys []string, values map[string]*yaml.Node, err error) {
	values = make(map[string]*yaml.Node)
	add := func(key string, value *yaml.Node) {
		if values[key] == nil {
			keys, values[key] = append(keys, key), value
		}
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge" && followed(value).Kind == yaml.SequenceNode:
			merged = append(merged, followed(value).Content...)
		case key.Tag == "!!merge":
			merged = append(merged, value)
		case values[key.Value] != nil:
			return nil, nil, fmt.Errorf("line %d: %s is there twice", key.Line, key.Value)
		default:
			add(key.Value, value)
		}
	}
	for _, from := range merged {
		if l.nodes++; l.nodes > mostNodes {
			return nil, nil, errors.New("aliases make too much of the file")
		}
		if from = followed(from); from.Kind != yaml.MappingNode {
			return nil, nil, fmt.Errorf("line %d: << wants a mapping", from.Line)
		}
		more, theirs, err := l.members(from)
		if err != nil {
			return nil, nil, err
		}
		for _, key := range more {
			add(key, theirs[key])
		}
	}
	return keys, values, nil
}

func appendScalar(b []byte, n *yaml.Node) ([]byte, error) {
	switch n.Tag {
	case "!!null":
		return append(b, "null"...), nil
	case "!!bool":
		var value bool
		if err := n.Decode(&value); err != nil {
			return nil, err
		}
		return strconv.AppendBool(b, value), nil
	case "!!int":
		var signed int64
		if err := n.Decode(&signed); err == nil {
			return strconv.AppendInt(b, signed, 10), nil
		}
		var large uint64
		if err := n.Decode(&large); err != nil {
			return nil, err
		}
		return strconv.AppendUint(b, large, 10), nil
	case "!!float":
		var value float64
		if err := n.Decode(&value); err != nil {
			return nil, err
		}
		switch {
		case math.IsNaN(value):
			return append(b, `"NaN"`...), nil
		case math.IsInf(value, 1):
			return append(b, `"Infinity"`...), nil
		case math.IsInf(value, -1):
			return append(b, `"-Infinity"`...), nil
		}
		return strconv.AppendFloat(b, value, 'g', -1, 64), nil
	}
	text, err := json.Marshal(n.Value) // times and bytes too: JSON has them as text
	return append(b, text...), err
}

var step = regexp.MustCompile(`^(?:\.?([^.\[\]]+)|\[(\d+)\]|\["([^"]*)"\])`)

// lineOf is the line of the field at that path in a payload, as closely as it can
// be told.
func (p *payload) lineOf(path string) int {
	n, line := p.node, p.line
	for path != "" && n != nil {
		at := step.FindStringSubmatch(path)
		if at == nil {
			break
		}
		path = path[len(at[0]):]
		n = followed(n)
		index, err := strconv.Atoi(at[2])
		switch {
		case at[2] != "" && err == nil && n.Kind == yaml.SequenceNode && index < len(n.Content):
			n = n.Content[index]
			line = n.Line
		case at[2] == "" && n.Kind == yaml.MappingNode:
			key := at[1] + at[3]
			var next *yaml.Node
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == key {
					line, next = n.Content[i].Line, n.Content[i+1]
				}
			}
			n = next
		default:
			n = nil
		}
	}
	return line
}
