package lint

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

const architecture, guarantees = "../../docs/architecture.md", "../../docs/guarantees.md"

// A map that names what is gone leads nowhere.
func TestDocsNameWhatIsThere(t *testing.T) {
	content, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	promises, err := os.ReadFile(guarantees)
	if err != nil {
		t.Fatal(err)
	}
	tree := os.DirFS("../..")
	names, tests, packages := there(t, tree)
	// Without blocks: three ticks would part the words that follow the wrong way.
	words := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(content)+string(promises), "")
	for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(words, -1) {
		word := quoted[1]
		switch {
		case path.Ext(word) == ".go" || path.Ext(word) == ".proto":
			if !names[word] {
				t.Errorf("there is no %s", word)
			}
		case regexp.MustCompile(`^Test\w+$`).MatchString(word):
			if !tests[word] {
				t.Errorf("there is no test %s", word)
			}
		}
	}
	for folder := range packages {
		if !strings.Contains(string(content), "| `"+folder+"` |") {
			t.Errorf("the package %s is not on the map", folder)
		}
	}
}

// there gives the names of files, with and without their folders, of tests, and
// of packages that people write.
func there(t *testing.T, tree fs.FS) (names, tests, packages map[string]bool) {
	names, tests, packages = make(map[string]bool), make(map[string]bool), make(map[string]bool)
	all, err := sources(tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		names[s.path], names[path.Base(s.path)] = true, true
		if !s.generated && s.top() != "examples" {
			packages[path.Dir(s.path)] = true
		}
		for _, name := range s.functions() {
			tests[name] = tests[name] || s.test
		}
	}
	protos, err := fs.Glob(tree, "proto/*/*.proto")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range protos {
		names[path.Base(name)] = true
	}
	return names, tests, packages
}
