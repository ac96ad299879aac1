package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestYAML(t *testing.T) {
	for _, tc := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"an object", []string{`{"b":1,"a":"x"}` + "\n"}, "b: 1\na: x\n"},
		{"each as soon as it is whole", []string{`{"a":`, `1}` + "\n" + `{"a"`, ":2}\n"}, "a: 1\n---\na: 2\n"},
		{"nested", []string{`{"a":[1,{"b":null}],"c":{}}`}, "a:\n  - 1\n  - b: null\nc: {}\n"},
		{"text that looks like something else", []string{`{"a":"1","b":"true","c":"null","d":"2026-01-31","e":"- x","f":""}`},
			"a: \"1\"\nb: \"true\"\nc: \"null\"\nd: \"2026-01-31\"\ne: '- x'\nf: \"\"\n"},
		{"large numbers", []string{`{"a":18446744073709551615,"b":1.5e300}`}, "a: 18446744073709551615\nb: 1.5e300\n"},
		{"escapes", []string{`{"a":"\ud83d\ude00\u001b[2J"}`}, "a: \"\\U0001F600\\e[2J\"\n"},
		{"lines", []string{`{"a":"x\ny"}`}, "a: |-\n  x\n  y\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			w := &yamlWriter{out: &out}
			for _, text := range tc.writes {
				if n, err := w.Write([]byte(text)); err != nil || n != len(text) {
					t.Fatal(n, err)
				}
			}
			if out.String() != tc.want {
				t.Errorf("got %q, want %q", &out, tc.want)
			}
		})
	}
	if _, err := (&yamlWriter{out: &bytes.Buffer{}}).Write([]byte("no JSON\n")); err == nil {
		t.Error("what is no JSON is no YAML")
	}
}

func TestProgressText(t *testing.T) {
	for _, tc := range []struct {
		done, total int64
		took        time.Duration
		want        string
	}{
		{0, 100, time.Second, "[........................]   0 %  0 of 100 pages, 0/s"},
		{2500, 10_000, 2 * time.Second, "[######..................]  25 %  2,500 of 10,000 pages, 1,250/s, 6s left"},
		{10_000, 10_000, 4 * time.Second, "[########################] 100 %  10,000 of 10,000 pages, 2,500/s"},
		{10_001, 10_000, 4 * time.Second, "[########################] 100 %  10,000 of 10,000 pages, 2,500/s"},
		{1_234_567, 0, time.Second, "1,234,567 pages, 1,234,567/s"},
	} {
		if got := progressText("pages", tc.done, tc.total, tc.took); got != tc.want {
			t.Errorf("%d of %d: %q, want %q", tc.done, tc.total, got, tc.want)
		}
	}
}

// commands are all that people can call.
func commands(c *cobra.Command) (all []*cobra.Command) {
	if c.Hidden || c.Name() == "help" {
		return nil
	}
	if c.Runnable() && c.HasParent() {
		all = append(all, c)
	}
	for _, sub := range c.Commands() {
		all = append(all, commands(sub)...)
	}
	return all
}

func TestEveryCommandHasExamplesAndForms(t *testing.T) {
	root := newRootCommand()
	root.InitDefaultCompletionCmd()
	prints := 0
	for _, c := range commands(root) {
		if strings.HasPrefix(c.CommandPath(), "angzarr completion") || c.HasSubCommands() {
			continue
		}
		if !strings.Contains(c.Example, "  angzarr "+strings.TrimPrefix(c.CommandPath(), "angzarr ")) && !strings.Contains(c.Example, "angzarr serve") {
			t.Errorf("%s: its --help has no example of it", c.CommandPath())
		}
		if flag := c.Flags().Lookup("output"); flag != nil {
			prints++
			if flag.DefValue != outputTable || flag.Shorthand != "o" {
				t.Errorf("%s: -o is %+v", c.CommandPath(), flag)
			}
		}
	}
	if prints < 12 {
		t.Errorf("only %d commands have -o", prints)
	}
}

// The scripts are read by the shells they are for, where these are installed.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			var out, errs bytes.Buffer
			if got := run(t.Context(), []string{"completion", shell}, nil, &out, &errs); got != exitDone {
				t.Fatalf("exit status %d: %s", got, &errs)
			}
			if !strings.Contains(out.String(), "angzarr") || out.Len() < 1000 {
				t.Fatalf("a script of %d bytes", out.Len())
			}
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("NOT TESTED: whether %s reads it, which is not installed", shell)
			}
			check := exec.CommandContext(t.Context(), shell, "-n")
			check.Stdin = &out
			if said, err := check.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
	var out, errs bytes.Buffer
	if got := run(t.Context(), []string{"__complete", "lag", "--output", ""}, nil, &out, &errs); got != exitDone {
		t.Fatalf("exit status %d: %s", got, &errs)
	}
	if !strings.HasPrefix(out.String(), "table\njson\nyaml\n") {
		t.Errorf("-o is completed by %q", &out)
	}
}
