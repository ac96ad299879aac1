package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"golang.org/x/term"
)

// The forms in which data is printed. A command knows the first two: text for
// people, and JSON, a value after the other. YAML is made of the JSON.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

// addOutput adds -o to a command that prints data.
func addOutput(cmd *cobra.Command, form *string) {
	cmd.Flags().StringVarP(form, "output", "o", outputTable, "table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{outputTable, outputJSON, outputYAML}, cobra.ShellCompDirectiveNoFileComp))
}

// prepareOutput checks -o, and puts what makes YAML behind a command that is to
// print it.
func prepareOutput(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("output")
	if flag == nil {
		return nil
	}
	switch form := flag.Value.String(); form {
	case outputTable, outputJSON:
		return nil
	case outputYAML:
		cmd.SetOut(&yamlWriter{out: cmd.OutOrStdout()})
		return flag.Value.Set(outputJSON)
	default:
		return fmt.Errorf("--output %s: must be %s, %s or %s", form, outputTable, outputJSON, outputYAML)
	}
}

// yamlWriter takes JSON values and writes each as a YAML document, as soon as it
// is whole.
type yamlWriter struct {
	out     io.Writer
	pending []byte
	begun   bool
}

func (w *yamlWriter) Write(p []byte) (int, error) {
	w.pending = append(w.pending, p...)
	for {
		values := json.NewDecoder(bytes.NewReader(w.pending))
		values.UseNumber()
		value, err := yamlOf(values)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return len(p), nil // the rest is yet to come
		case err != nil:
			return 0, fmt.Errorf("make YAML: %w", err)
		}
		w.pending = w.pending[values.InputOffset():]
		if err := w.document(value); err != nil {
			return 0, err
		}
	}
}

func (w *yamlWriter) document(value *yaml.Node) error {
	var text bytes.Buffer
	if w.begun {
		text.WriteString("---\n")
	}
	w.begun = true
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(value), encoder.Close()); err != nil {
		return fmt.Errorf("make YAML: %w", err)
	}
	_, err := w.out.Write(text.Bytes())
	return err
}

// yamlOf reads a JSON value, and keeps the order of its keys.
func yamlOf(values *json.Decoder) (*yaml.Node, error) {
	token, err := values.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		if t == '{' {
			node.Kind = yaml.MappingNode
		}
		for values.More() {
			part, err := yamlOf(values) // of an object, keys and values in turn
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, part)
		}
		_, err := values.Token()
		return node, inside(err)
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	default: // a number or a bool, which both write in the same way
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(t)}, nil
	}
}

// inside tells an end that comes too early from that of all values.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ink colours words on a terminal, and leaves them as they are elsewhere.
type ink struct{ on bool }

func inkFor(out io.Writer) ink {
	return ink{isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func (i ink) red(text string) string    { return i.paint("31", text) }
func (i ink) green(text string) string  { return i.paint("32", text) }
func (i ink) yellow(text string) string { return i.paint("33", text) }

func (i ink) paint(colour, text string) string {
	if !i.on {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
