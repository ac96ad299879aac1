package main

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/angzarr/angzarr-kafka/examples"
)

// An awkward name: a package of Go's and of Python's library, and a crate that
// the projects in Rust depend on.
const begun = "http"

func TestStarters(t *testing.T) {
	placeholder := regexp.MustCompile(`\bNAME`)
	for _, language := range examples.Languages() {
		t.Run(language, func(t *testing.T) {
			project, err := examples.Starter(language, begun)
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range project {
				if placeholder.Match(text) || placeholder.MatchString(name) || path.Ext(name) == ".tmpl" {
					t.Errorf("%s is not made out", name)
				}
				if bytes.Contains(text, []byte("shop")) {
					t.Errorf("%s speaks of the examples", name)
				}
				if path.Ext(name) == ".go" {
					if formatted, err := format.Source(text); err != nil || !bytes.Equal(formatted, text) {
						t.Errorf("%s is not formatted (%v)", name, err)
					}
				}
			}
			for _, name := range []string{"README.md", "Dockerfile", ".gitignore", "proto/http.proto", "proto/angzarr/angzarr.proto"} {
				if len(project[name]) == 0 {
					t.Errorf("there is no %s", name)
				}
			}
		})
	}
}

// New projects get the versions that are tried here.
func TestStartersArePinnedAsTheExamplesAre(t *testing.T) {
	read := func(file string) string {
		content, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	project := func(language, file string) string {
		files, err := examples.Starter(language, begun)
		if err != nil {
			t.Fatal(err)
		}
		return string(files[file])
	}
	pinned := 0
	for _, line := range strings.Split(project("go", "go.mod"), "\n") {
		line = strings.TrimSuffix(strings.TrimSpace(line), " // indirect")
		if !strings.Contains(line, " v") || strings.HasPrefix(line, "github.com/bufbuild/protocompile ") {
			continue
		}
		if pinned++; !strings.Contains(read("go.mod"), line) {
			t.Errorf("go.mod has %s, which this project's has not", line)
		}
	}
	workspace := read("examples/rust/Cargo.toml")
	for _, line := range regexp.MustCompile(`(?m)^.*"=\d.*$`).FindAllString(project("rust", "Cargo.toml"), -1) {
		if pinned++; !strings.Contains(workspace, line) {
			t.Errorf("Cargo.toml has %s, which that of the examples has not", line)
		}
	}
	locked := read("examples/rust/Cargo.lock")
	for _, block := range strings.Split(project("rust", "Cargo.lock"), "\n\n") {
		if strings.Contains(block, "checksum") && !strings.Contains(locked, block) {
			t.Errorf("Cargo.lock has what that of the examples has not: %s", block)
		}
		pinned++
	}
	if pinned < 100 {
		t.Errorf("%d versions were compared", pinned)
	}
}

// TestStartersWork builds and tests new projects with their languages' tools, and
// has them decide commands. It needs what TestExamplesTogether needs, and
// ANGZARR_TEST_INIT, since a first time compiles for a minute.
func TestStartersWork(t *testing.T) {
	if os.Getenv("ANGZARR_TEST_INIT") == "" {
		t.Skip("compiles new projects: set ANGZARR_TEST_INIT=1")
	}
	for language, build := range map[string]func(t *testing.T, dir string) []string{
		"go": func(t *testing.T, dir string) []string {
			do(t, dir, "go", "generate", "./...")
			do(t, dir, "go", "test", "./...")
			do(t, dir, "go", "build", "-o", "program", ".")
			return []string{filepath.Join(dir, "program")}
		},
		"python": func(t *testing.T, dir string) []string {
			python := os.Getenv("ANGZARR_TEST_EXAMPLES_PYTHON")
			if python == "" {
				t.Skip("set ANGZARR_TEST_EXAMPLES_PYTHON to what examples/python/setup prints")
			}
			do(t, dir, python, "generate.py")
			do(t, dir, python, "-m", "pytest", "-q")
			return []string{python, "-m", "service.logic"}
		},
		"rust": func(t *testing.T, dir string) []string {
			binaries := os.Getenv("ANGZARR_TEST_EXAMPLES_RUST")
			if binaries == "" {
				t.Skip("set ANGZARR_TEST_EXAMPLES_RUST to the folder of the examples that cargo has built")
			}
			// What the examples depend on is compiled there.
			t.Setenv("CARGO_TARGET_DIR", filepath.Dir(binaries))
			do(t, dir, "cargo", "test", "--locked", "--quiet")
			do(t, dir, "cargo", "build", "--locked", "--quiet")
			return []string{filepath.Join(binaries, begun+"-logic")}
		},
	} {
		t.Run(language, func(t *testing.T) {
			parent := t.TempDir()
			do(t, parent, "angzarr", "init", "--lang", language, begun)
			program := build(t, filepath.Join(parent, begun))
			cmd := exec.Command(program[0], append(slices.Clone(program[1:]), "--listen", "127.0.0.1:0")...)
			cmd.Dir = filepath.Join(parent, begun)
			logic := startCommand(t, cmd)
			address := logic.wait(t, `answers (?:at |.*address=)(\S+)$`)[1]

			r := start(t, parent, "dev", "--logic", begun+"="+address, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--data", "")
			server, root := r.wait(t, `^front door +(\S+)`)[1], uuid.NewString()
			for _, asked := range []struct{ quantity, want string }{
				{"40", `"total":40`}, {"25", `"total":65`}, {"70", "FAILED_PRECONDITION: 70 more are too many: 65 of 100 are there"},
			} {
				var out bytes.Buffer
				command := []string{"send", begun, root, begun + ".Add", `{"quantity": ` + asked.quantity + `}`, "--server", server}
				run(t.Context(), command, strings.NewReader(""), &out, &out)
				if !strings.Contains(out.String(), asked.want) {
					t.Errorf("%s more: %s, want %s", asked.quantity, &out, asked.want)
				}
			}
			r.stop(t, syscall.SIGTERM)
			logic.stop(t, syscall.SIGTERM)
		})
	}
}

// do runs a command, and wants it to do well.
func do(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}
