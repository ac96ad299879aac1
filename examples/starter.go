// Package examples begins projects with what the examples are made of:
//
//	starter/         files of a template, in which NAME stands for a name ──┐
//	the examples     what a project takes over as it is ────────────────────┼─► Starter
//	the contract     proto/angzarr/angzarr.proto ───────────────────────────┘
//
// The files of a template end in .tmpl, so that no tool takes them for its own;
// dot- at the beginning stands for a dot.
//
// Invariants:
//   - What is written is pinned: it gets the versions that the examples have.
package examples

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/angzarr/angzarr-kafka/proto"
)

//go:embed all:starter
//go:embed serving/serving.go serving/health.go
//go:embed python/requirements.txt python/requirements-dev.txt
//go:embed python/shop/messages.py python/shop/serving.py python/tests/scenario.py
//go:embed rust/rustfmt.toml rust/serving/src/lib.rs
var files embed.FS

// Languages are those that there is a template for.
func Languages() []string { return []string{"go", "python", "rust"} }

// taken are the files that a project takes over from the examples.
var taken = map[string]map[string]string{
	"go": {"serving/serving.go": "serving/serving.go", "serving/health.go": "serving/health.go"},
	"python": {
		"requirements.txt": "python/requirements.txt", "requirements-dev.txt": "python/requirements-dev.txt",
		"service/messages.py": "python/shop/messages.py", "service/serving.py": "python/shop/serving.py",
		"tests/scenario.py": "python/tests/scenario.py",
	},
	"rust": {"rustfmt.toml": "rust/rustfmt.toml", "src/serving.rs": "rust/serving/src/lib.rs"},
}

// Starter gives the files of a new project in one of the languages, by their
// slashed paths: business logic of the domain that has the name. The name must be
// an identifier in each of them.
func Starter(language, name string) (map[string][]byte, error) {
	project := map[string][]byte{"proto/angzarr/angzarr.proto": proto.Contract}
	named := func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("NAME"), []byte(name)) }
	domain, err := files.ReadFile("starter/NAME.proto.tmpl")
	if err != nil {
		return nil, err
	}
	project["proto/"+name+".proto"] = named(domain)
	for to, from := range taken[language] {
		text, err := files.ReadFile(from)
		if err != nil {
			return nil, err
		}
		// The examples in Python are the package shop.
		project[to] = bytes.ReplaceAll(text, []byte("from shop"), []byte("from service"))
	}
	root := "starter/" + language
	err = fs.WalkDir(files, root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := files.ReadFile(file)
		if err != nil {
			return err
		}
		to := strings.TrimPrefix(strings.TrimSuffix(file, ".tmpl"), root+"/")
		if hidden, ok := strings.CutPrefix(path.Base(to), "dot-"); ok {
			to = path.Join(path.Dir(to), "."+hidden)
		}
		project[to] = named(text)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the template for %s: %w", language, err)
	}
	return project, nil
}
