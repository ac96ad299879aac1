package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/examples"
	"github.com/angzarr/angzarr-kafka/log"
)

const initHelp = `Begin a service in Go, Python or Rust: business logic of the domain NAME.

A directory NAME is made. In it are the contract and the domain's proto, with one
command and one event, the logic that decides between them, its test, a
Dockerfile, and a README that says how to build, test and run it. It needs the
language's own tools, and nothing of Angzarr.`

const initExample = `  angzarr init --lang go cart
  angzarr init --lang python cart`

func newInitCommand() *cobra.Command {
	var language string
	cmd := &cobra.Command{
		Use:     "init --lang go|python|rust NAME",
		Short:   "Begin a service: protos, business logic, its test, a Dockerfile",
		Long:    initHelp,
		Example: initExample,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := startable(language, name); err != nil {
				return usageError{err}
			}
			project, err := examples.Starter(language, name)
			if err != nil {
				return err
			}
			if err := writeProject(name, project); err != nil {
				return err
			}
			sayProject(cmd.OutOrStdout(), language, name)
			return nil
		},
	}
	cmd.Flags().StringVar(&language, "lang", "", "the language: go, python or rust")
	return cmd
}

// startable says what is wrong with what was asked for.
func startable(language, name string) error {
	known := examples.Languages()
	right := strings.Join(known[:len(known)-1], ", ") + " or " + known[len(known)-1]
	switch {
	case language == "":
		return fmt.Errorf("--lang is missing: want %s", right)
	case !slices.Contains(known, language):
		return fmt.Errorf("--lang %s: there is nothing to begin with in that language: want %s", language, right)
	}
	return validName(name)
}

// validName is for a name that becomes a domain, a directory, a proto package and
// part of a program's name.
func validName(name string) error {
	switch {
	case len(name) > 40 || !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(name):
		return fmt.Errorf("NAME %.50q: want up to 40 lower-case letters, digits and '_', beginning with a letter, such as cart", name)
	case slices.Contains(strings.Fields(reservedNames), name):
		return fmt.Errorf("NAME %s: it is a word of its own in a language or in the protos: take another one, such as %[1]s_domain", name)
	}
	if err := log.ValidDomain(name); err != nil {
		return fmt.Errorf("NAME %s: %w", name, err)
	}
	return nil
}

// reservedNames are packages that the contract needs, and what Rust and protobuf
// keep for themselves; the templates take care of the other languages' words.
const reservedNames = `angzarr google pb
	abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if
	impl in let loop macro match mod move mut override priv pub ref return self static struct super trait true try
	type typeof unsafe unsized use virtual where while yield
	bool bytes double edition extend extensions fixed32 fixed64 float group import int32 int64 map max message oneof
	option optional package public repeated required reserved returns rpc service sfixed32 sfixed64 sint32 sint64
	stream string syntax to uint32 uint64 weak`

// writeProject writes the files into a directory that must not have any yet.
func writeProject(dir string, project map[string][]byte) error {
	switch entries, err := os.ReadDir(dir); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("the directory %s is there already, and is not empty: remove it, or take another name", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("a directory %s is wanted: %w", dir, err)
	}
	for _, name := range slices.Sorted(maps.Keys(project)) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, project[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sayProject says what to do next; README.md says more.
func sayProject(out io.Writer, language, name string) {
	fmt.Fprintf(out, "%s has business logic of the domain %[1]s, in %s. Next:\n  cd %[1]s\n", name, language)
	for _, line := range map[string][]string{
		"go":     {"go generate ./... && go test ./...", "go run ."},
		"python": {"python3 -m venv .venv && . .venv/bin/activate && pip install -r requirements-dev.txt", "python generate.py && python -m pytest", "python -m service.logic"},
		"rust":   {"cargo test", "cargo run"},
	}[language] {
		fmt.Fprintf(out, "  %s\n", line)
	}
	fmt.Fprintf(out, "  %s dev --logic %s=localhost:50051    # in a second terminal\n", program(), name)
}
