package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/cases"
	"github.com/angzarr/angzarr-kafka/schema"
)

const testHelp = `Try business logic that runs at an address, in any language, without a broker: given
these events, when this command comes, then these events follow, or this refusal.

A file of cases is YAML:

  domain: inventory
  cases:
    - name: stock goes up
      given:
        - inventory.ProductCreated: {sku: WIDGET, quantity: 10}
      when: {inventory.AdjustStock: {delta: 5}}
      then:
        - inventory.StockAdjusted: {delta: 5, stock: {sku: WIDGET, on_hand: 15}}
    - name: stock does not fall below nothing
      when: {inventory.AdjustStock: {delta: -1}}
      refused: {code: NOT_FOUND, message: no such product}

Payloads are in protobuf's JSON mapping; what is left out has its default value. A
list of commands under "when" is one unit. "then: []" says that nothing follows.
"snapshot" stands for the pages before "given" ("covers", 1 if it is left out), and
"then_snapshot" is the one that must come back. Under "shared" is room for anchors.

Types are learned from the service's gRPC reflection, --descriptor-set or --proto.
The exit status is 1 if a case fails, 2 if a file is wrong, 3 if nobody answers.`

const testExample = `  angzarr test cases.yaml --logic localhost:50051
  angzarr test examples/*/cases.yaml --logic localhost:50051 --run 'stock' -v
  angzarr test cases.yaml --logic localhost:50051 --junit report.xml`

// trial is one run of test.
type trial struct {
	typeFlags
	logic, run, junit, output string
	verbose                   bool
}

func newTestCommand() *cobra.Command {
	t := &trial{}
	cmd := &cobra.Command{
		Use:     "test FILE... --logic HOST:PORT",
		Short:   "Try business logic: given events, when a command, then events or a refusal",
		Long:    testHelp,
		Example: testExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("missing: FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return t.test(cmd, args) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	t.add(cmd)
	addOutput(cmd, &t.output)
	flags := cmd.Flags()
	flags.StringVar(&t.logic, "logic", "", "host:port of the business logic")
	flags.StringVar(&t.run, "run", "", "only cases whose name this regular expression matches")
	flags.StringVar(&t.junit, "junit", "", "file for the results as JUnit's XML")
	flags.BoolVarP(&t.verbose, "verbose", "v", false, "print cases that pass, too")
	return cmd
}

func (t *trial) test(cmd *cobra.Command, files []string) error {
	matching, err := regexp.Compile(t.run)
	switch {
	case err != nil:
		return usageError{fmt.Errorf("--run: %w", err)}
	case t.logic == "":
		return usageError{errors.New("--logic is missing: want host:port of the business logic, such as --logic localhost:50051")}
	}
	suites, err := loadSuites(files)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	given, err := t.types(ctx)
	if err != nil {
		return err
	}
	conn, err := connect(ctx, t.logic, businessLogic)
	if err != nil {
		return err
	}
	defer conn.Close()
	types := schema.Merge(given, schema.FromReflection(conn, t.logic), schema.Linked())
	var wrong []error
	for _, s := range suites {
		wrong = append(wrong, s.Prepare(ctx, types))
	}
	if err := errors.Join(wrong...); err != nil {
		return usageError{err}
	}
	begun := time.Now()
	results, err := t.ask(cmd, suites, conn, types, func(c *cases.Case) bool { return matching.MatchString(c.Name) })
	if err != nil {
		return err
	}
	return t.tell(cmd, results, time.Since(begun))
}

// loadSuites reads all files, or says all that is wrong with them.
func loadSuites(files []string) (suites []*cases.Suite, err error) {
	var wrong []error
	for _, file := range files {
		s, err := cases.Load(file)
		wrong = append(wrong, err)
		suites = append(suites, s)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, usageError{err}
	}
	return suites, nil
}

func (t *trial) ask(cmd *cobra.Command, suites []*cases.Suite, conn *grpc.ClientConn, types *schema.Types, wanted func(*cases.Case) bool) (results []cases.Result, err error) {
	total := 0
	for _, s := range suites {
		total += len(s.Cases)
	}
	bar := newProgress(cmd.ErrOrStderr(), "cases", int64(total))
	defer bar.end()
	var mu sync.Mutex
	done := int64(0)
	for _, s := range suites {
		some, err := s.Run(cmd.Context(), conn, types, wanted, func() {
			mu.Lock()
			defer mu.Unlock()
			done++
			bar.at(done)
		})
		if err != nil {
			return nil, err
		}
		results = append(results, some...)
	}
	return results, nil
}

// caseJSON is a result for programs. These names are a promise.
type caseJSON struct {
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Name    string   `json:"name"`
	Passed  bool     `json:"passed"`
	Seconds float64  `json:"seconds"`
	Failed  string   `json:"failed,omitempty"`
	Lines   []string `json:"difference,omitempty"`
}

func (t *trial) tell(cmd *cobra.Command, results []cases.Result, took time.Duration) error {
	if t.junit != "" {
		if err := writeJUnit(t.junit, results); err != nil {
			return err
		}
	}
	p, colours := printer{out: cmd.OutOrStdout()}, inkFor(cmd.OutOrStdout())
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetEscapeHTML(false)
	failed := 0
	for _, r := range results {
		if r.Failed != "" {
			failed++
		}
		if t.output == outputJSON {
			if err := encoder.Encode(caseJSON{r.Case.File, r.Case.Line, r.Case.Name, r.Failed == "", r.Took.Seconds(), r.Failed, r.Lines}); err != nil {
				return err
			}
			continue
		}
		p.caseResult(colours, r, t.verbose)
	}
	if t.output != outputJSON {
		rate := float64(len(results)) / max(took.Seconds(), 1e-6)
		p.printf("%d cases, %d passed, %d failed, in %v (%s a second)\n", len(results), len(results)-failed, failed, took.Round(time.Millisecond), grouped(int64(rate)))
	}
	switch {
	case len(results) == 0:
		return usageError{fmt.Errorf("--run %s: no case has such a name", t.run)}
	case failed > 0:
		return errors.Join(errReported, p.err)
	}
	return p.err
}

func (p *printer) caseResult(colours ink, r cases.Result, verbose bool) {
	if r.Failed == "" {
		if verbose {
			p.printf("%s  %s\n", colours.green("pass"), printable(r.Case.Name))
		}
		return
	}
	p.printf("%s  %s (%s:%d)\n", colours.red("FAIL"), printable(r.Case.Name), r.Case.File, r.Case.Line)
	p.printf("      %s\n", printable(r.Failed))
	for _, line := range r.Lines {
		text := printable(line)
		switch {
		case strings.HasPrefix(line, "-"):
			text = colours.red(text)
		case strings.HasPrefix(line, "+"):
			text = colours.green(text)
		}
		p.printf("      %s\n", text)
	}
}

func writeJUnit(file string, results []cases.Result) error {
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	return errors.Join(cases.WriteJUnit(out, results), out.Close())
}
