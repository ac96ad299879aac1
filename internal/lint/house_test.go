package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/angzarr/angzarr-kafka/"

// mayImport says for each folder at the top which others its packages may
// import, besides those in the same folder. Tests may import anything.
var mayImport = map[string][]string{
	"proto":        {},
	"log":          {"proto"},
	"partitioning": {"log", "proto", "internal"},
	"snapshots":    {"log", "proto"},
	"coordinators": {"snapshots", "partitioning", "log", "proto", "internal"},
	"frontdoor":    {"coordinators", "partitioning", "log", "proto"},
	"cmd":          {"frontdoor", "coordinators", "snapshots", "partitioning", "log", "proto", "config", "schema", "bench", "examples", "doctor", "verify", "cases"},

	"config": {},
	"schema": {},
	"bench":  {"partitioning", "log", "proto"},
	"chaos":  {"verify", "snapshots", "partitioning", "log", "proto", "examples"},
	// What the command line asks of a deployment, and of business logic alone.
	"doctor": {"snapshots", "partitioning", "log", "proto"},
	"verify": {"snapshots", "partitioning", "log", "proto"},
	"cases":  {"coordinators", "schema", "log", "proto"},
	// As people write them: of this project they need the contract alone.
	"examples": {"proto"},
	"internal": {},
}

// speakKafka are the folders that may import the Kafka client.
var speakKafka = []string{"log", "partitioning", "bench"}

const mostLines = 500

// source is one Go file.
type source struct {
	path      string
	lines     int
	test      bool
	generated bool
	set       *token.FileSet
	file      *ast.File
}

func (s source) top() string { return strings.SplitN(s.path, "/", 2)[0] }

func (s source) imports() (paths []string) {
	for _, spec := range s.file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has done so already
		paths = append(paths, imported)
	}
	return paths
}

func (s source) functions() (names []string) {
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
			names = append(names, f.Name.Name)
		}
	}
	return names
}

// sources reads all of a module's Go files.
func sources(tree fs.FS) (all []source, err error) {
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := path.Base(name); base == "testdata" || base == "data" || strings.HasPrefix(base, ".") && name != "." {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{
			path: name, lines: bytes.Count(content, []byte("\n")), test: strings.HasSuffix(name, "_test.go"),
			generated: ast.IsGenerated(file), set: set, file: file,
		})
		return nil
	})
	return all, err
}

// complaints are all breaches of the rules.
func complaints(all []source) (found []string) {
	for _, s := range all {
		for _, rule := range []func(source) []string{direction, kafka, sleep, structured, length} {
			for _, complaint := range rule(s) {
				found = append(found, s.path+": "+complaint)
			}
		}
	}
	return append(found, docs(all)...)
}

func docs(all []source) (found []string) {
	documented := make(map[string]bool)
	for _, s := range all {
		if !s.test {
			folder := path.Dir(s.path)
			documented[folder] = documented[folder] || s.file.Doc != nil
		}
	}
	for folder, ok := range documented {
		if !ok {
			found = append(found, folder+": no package doc")
		}
	}
	return found
}

func direction(s source) (found []string) {
	if s.test {
		return nil
	}
	allowed, known := mayImport[s.top()]
	if !known {
		return []string{"which folders may " + s.top() + " import? Say so in internal/lint"}
	}
	for _, imported := range s.imports() {
		inside, ours := strings.CutPrefix(imported, module)
		top := strings.SplitN(inside, "/", 2)[0]
		switch {
		case !ours:
		case strings.HasSuffix(path.Dir(s.path), "test") && strings.HasSuffix(inside, "test"): // one helps the other
		case strings.HasSuffix(inside, "test") && s.top() != top:
			found = append(found, inside+" is for tests")
		case top != s.top() && !slices.Contains(allowed, top):
			found = append(found, s.top()+" may not import "+inside)
		}
	}
	return found
}

func kafka(s source) (found []string) {
	if s.test || slices.Contains(speakKafka, s.top()) {
		return nil
	}
	for _, imported := range s.imports() {
		if strings.HasPrefix(imported, "github.com/twmb/franz-go") {
			found = append(found, "imports "+path.Base(imported)+", which stops at "+strings.Join(speakKafka, ", "))
		}
	}
	return found
}

// sleep leaves out files in which time is made up.
func sleep(s source) (found []string) {
	if !s.test || slices.Contains(s.imports(), "testing/synctest") {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if from, ok := call.X.(*ast.Ident); ok && from.Name == "time" && call.Sel.Name == "Sleep" {
			found = append(found, fmt.Sprintf("line %d: a test waits for what it needs, it doesn't sleep", s.set.Position(call.Pos()).Line))
		}
		return true
	})
	return found
}

func structured(s source) []string {
	if slices.Contains(s.imports(), "log") {
		return []string{`imports "log": log/slog does what it would`}
	}
	return nil
}

func length(s source) []string {
	if s.lines > mostLines && !s.generated {
		return []string{fmt.Sprintf("has %d lines, more than %d", s.lines, mostLines)}
	}
	return nil
}

func TestHouse(t *testing.T) {
	all, err := sources(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Errorf("found only %d files: is this the module's root?", len(all))
	}
	for _, complaint := range complaints(all) {
		t.Error(complaint)
	}
}

// Rules that nothing can break would hold nothing.
func TestRulesFind(t *testing.T) {
	const documented = "// Package x is documented.\npackage x\n"
	for _, tc := range []struct{ name, file, content, want string }{
		{"no package doc", "schema/x.go", "package x\n", "schema: no package doc"},
		{"against the direction", "log/x.go", documented + `import _ "` + module + `snapshots"`, "log may not import snapshots"},
		{"between neighbours", "snapshots/x.go", documented + `import _ "` + module + `partitioning"`, "snapshots may not import partitioning"},
		{"an example that needs more", "examples/y/x.go", documented + `import _ "` + module + `log"`, "examples may not import log"},
		{"test helpers in the program", "cmd/y/x.go", documented + `import _ "` + module + `log/logtest"`, "log/logtest is for tests"},
		{"test helpers of test helpers", "snapshots/ytest/x.go", documented + `import _ "` + module + `log/logtest"`, ""},
		{"a new room", "attic/x.go", documented, "which folders may attic import"},
		{"the Kafka client", "frontdoor/x.go", documented + `import _ "github.com/twmb/franz-go/pkg/kgo"`, "imports kgo"},
		{"a sleeping test", "log/x_test.go", "package x\nimport \"time\"\nfunc f() { time.Sleep(1) }", "line 3: a test waits"},
		{"made-up time", "log/x_test.go", "package x\nimport \"testing/synctest\"\nfunc f() { time.Sleep(1) }", ""},
		{"the old log", "log/x.go", documented + `import _ "log"`, `imports "log"`},
		{"a long file", "log/x.go", documented + strings.Repeat("\n", mostLines), "has 502 lines"},
		{"a long generated file", "log/x.go", "// Code generated by x. DO NOT EDIT.\n" + documented + strings.Repeat("\n", mostLines), ""},
		{"tests may import all", "log/x_test.go", documented + `import _ "` + module + `cmd/angzarr"`, ""},
		{"the same folder", "log/y/x.go", documented + `import _ "` + module + `log"`, ""},
		{"not ours", "testdata/x.go", "package x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all, err := sources(fstest.MapFS{tc.file: {Data: []byte(tc.content)}})
			if err != nil {
				t.Fatal(err)
			}
			found := strings.Join(complaints(all), "\n")
			if tc.want == "" && found != "" || !strings.Contains(found, tc.want) {
				t.Errorf("found %q, want %q", found, tc.want)
			}
		})
	}
}
