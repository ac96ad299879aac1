package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"

	koanfmaps "github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Load reads the file at path, then the environment (entries as os.Environ has
// them), then flags (by key path, `log.type`; only those that were given), and
// checks the result. An empty path means what ANGZARR_CONFIG says, or no file.
// An error holds everything that is wrong, a line each.
func Load(path string, environ []string, flags map[string]any) (*Config, error) {
	var found problems
	ours := variables(environ)
	if path == "" {
		path = ours[envFile]
	}
	tree, err := merged(path, ours, flags, &found)
	if err != nil {
		return nil, err
	}
	c := defaults()
	// What doesn't fit is among the problems already, with its source.
	(&decoder{problems: new(problems), source: nowhere}).decode(c, tree)
	if endpoint := ours[envEndpoint]; endpoint != "" {
		c.setEndpoint(endpoint, flags, &found)
	}
	var broken problems
	c.check(&broken)
	found.addNew(broken)
	if err := found.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Validate checks a Config that didn't come from Load. An error holds everything
// that is wrong, a line each.
func (c *Config) Validate() error {
	var found problems
	c.check(&found)
	return found.err()
}

// merged reads the sources one over the other. Each is checked by itself, while
// it is still known where a key came from.
func merged(path string, ours map[string]string, flags map[string]any, found *problems) (map[string]any, error) {
	k := koanf.New(".")
	layer := func(source func(string) string) koanf.Option {
		return koanf.WithMergeFunc(func(src, dest map[string]any) error {
			(&decoder{problems: found, source: source}).decode(new(Config), src)
			koanfmaps.Merge(src, dest)
			return nil
		})
	}
	if path != "" {
		doc := &document{name: path}
		if err := k.Load(file.Provider(path), doc, layer(doc.at)); err != nil {
			return nil, unreadable(path, err)
		}
	}
	e := newEnvironment(ours, found)
	vars := env.Provider(".", env.Opt{
		EnvironFunc:   e.entries,
		TransformFunc: func(name, value string) (string, any) { return e.keys[name], value },
	})
	if err := k.Load(vars, nil, layer(variableOf)); err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	given := maps.Clone(flags)
	maps.DeleteFunc(given, func(_ string, value any) bool { return value == nil })
	if err := k.Load(confmap.Provider(given, "."), nil, layer(nowhere)); err != nil {
		return nil, fmt.Errorf("flags: %w", err)
	}
	return k.Raw(), nil
}

// nowhere is the source of what has no file, line or variable.
func nowhere(string) string { return "" }

// unreadable says what is wrong with a file that is missing, or no YAML.
func unreadable(path string, err error) error {
	pe, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%s: want a readable file: set --config or %s: %w", path, envFile, pe.Err)
}
