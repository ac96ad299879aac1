// Command angzarr is the whole of Angzarr on Kafka in one binary: the sidecar,
// the development process, and what people ask them from a terminal.
//
// Each subcommand has a file of its own, with one function that makes it:
//
//	main → run → newRootCommand → newSendCommand, newEventsCommand, …
//
// Exit status, which docs/commands.md tells people:
//
//	0    done
//	1    it failed, was refused, or what was checked is not right
//	2    the command line is wrong, and nothing was done
//	3    nobody answered, or nobody knows the outcome: again later may help
//	130  interrupted
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnknown     = 3
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without its process: tests call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return execute(ctx, newRootCommand(), args, stdin, stdout, stderr)
}

func execute(ctx context.Context, root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root.SetArgs(append([]string{}, args...)) // nil would mean this process's own
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	// Whatever cobra finds wrong before a command begins is usage.
	begun := false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := prepareOutput(cmd); err != nil {
			return err
		}
		begun = true
		return nil
	}

	cmd, err := root.ExecuteContextC(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case !begun || errors.As(err, &usage):
		fmt.Fprintf(stderr, "angzarr: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
		return exitUsage
	case errors.Is(err, errReported):
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "angzarr: interrupted")
	default:
		fmt.Fprintf(stderr, "angzarr: %v\n", err)
	}
	var unknown unknownError
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &unknown):
		return exitUnknown
	}
	return exitFailed
}

const rootHelp = `CQRS and event sourcing on Kafka, for business logic in any language.

Exit status: 0 done; 1 it failed, was refused, or what was checked is not right; 2 the
command line or a file is wrong, and nothing was done; 3 nobody answered, or nobody
knows the outcome, so that again later may help; 130 interrupted.`

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "angzarr",
		Short:         "CQRS and event sourcing on Kafka, for business logic in any language",
		Long:          rootHelp,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newSendCommand(),
		newEventsCommand(),
		newBookCommand(),
		newRootsCommand(),
		newOwnersCommand(),
		newLagCommand(),
		newProjectorsCommand(),
		newTopicsCommand(),
		newDoctorCommand(),
		newVerifyCommand(),
		newTestCommand(),
		newDeadLettersCommand(),
		newEraseCommand(),
		newBenchCommand(),
		newServeCommand(),
		newHealthCommand(),
		newDevCommand(),
		newDemoCommand(&demo{}),
		newInitCommand(),
	)
	return root
}

// usageError is an error in what the caller typed, found by a command itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// unknownError says that it could not be found out: again later may help.
type unknownError struct{ error }

func (e unknownError) Unwrap() error { return e.error }

// errReported ends a command whose failure is already on stderr.
var errReported = errors.New("already reported")

// release is the version where the build gives one, as those of images do, which
// have no clone: -ldflags "-X main.release=v1.2.3".
var release string

// version is release, else the module's version as the toolchain stamped it: a
// tag, or a pseudo-version with the commit where the binary was built from a clone.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
