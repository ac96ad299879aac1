package main

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"

	"github.com/angzarr/angzarr-kafka/log"
)

// market starts the demo's process: the examples, the coordinators and a Kafka.
// $ANGZARR_SERVER is its front door from then on.
func market(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: market")
	}
	examples, services := demoExamples(), make(map[string]any)
	for i := range examples {
		ts.Check(examples[i].listen(services))
	}
	c, err := developmentConfig("127.0.0.1:0", "127.0.0.1:0", ts.MkAbs("data"), services)
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	all, ctx := errgroup.WithContext(ctx)
	ts.Defer(func() { stop(); all.Wait() }) //nolint:errcheck // what is wrong the transcript shows
	started := make(chan *process, 1)
	all.Go(func() error { return serveExamples(ctx, examples) })
	all.Go(func() error {
		quiet := slog.New(slog.DiscardHandler)
		kafka := log.EmbeddedOptions{Dir: ts.MkAbs("data"), Addr: "127.0.0.1:0", Logger: quiet}
		return serveEmbedded(ctx, c, kafka, quiet, func(p *process) { started <- p })
	})
	select {
	case p := <-started:
		ts.Setenv("ANGZARR_SERVER", p.door.Addr().String())
	case <-ctx.Done():
		ts.Fatalf("the market did not open: %v", all.Wait())
	}
}

// until runs a command again and again, until it prints what matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND ...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ts.Exec(args[1], args[2:]...)
		if said := ts.ReadFile("stdout"); want.MatchString(said) {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			ts.Fatalf("it never printed %s (%v):\n%s%s", args[0], err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
}

// plain writes what the last command printed to the file "said", with times and
// offsets that differ each time left out.
func plain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: plain")
	}
	said := ts.ReadFile("stdout")
	for pattern, instead := range map[string]string{
		`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z`: "TIME",
		`(angzarr\.\w+\.\w+)/\d+/\d+`:          "$1/P/O",
		`"correlationId":"[^"]+"`:              `"correlationId":"ID"`,
	} {
		said = regexp.MustCompile(pattern).ReplaceAllString(said, instead)
	}
	ts.Check(os.WriteFile(ts.MkAbs("said"), []byte(said), 0o600))
}

// grab sets a variable to the first group of what the last command printed.
func grab(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: grab VARIABLE REGEXP")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("%s is not in\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}
