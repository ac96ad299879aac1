package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/coordinators/rebuild"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const projectorsHelp = `See how far projectors are, hold them, and have them made anew from the start of the
log. What is said of a projector holds for all processes that serve it, and stays
said through their ends.

The front door answers these commands from its own host only.`

func newProjectorsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "projectors",
		Short: "List, rebuild, pause and resume projectors",
		Long:  projectorsHelp,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("missing: list, rebuild, cancel, pause or resume")}
		},
	}
	cmd.AddCommand(newProjectorsListCommand(), newRebuildCommand(), newPauseCommand(),
		newSteerCommand("resume NAME", "End a pause, of the projector and of its rebuild", pb.SteerProjectorRequest_ORDER_RESUME),
		newSteerCommand("cancel NAME", "Give up a rebuild that is made beside", pb.SteerProjectorRequest_ORDER_CANCEL))
	return cmd
}

const projectorsListExample = `  angzarr projectors list
  angzarr projectors list inventory-summary
  angzarr projectors list -o json | jq 'select(.lag > 1000)'`

func newProjectorsListCommand() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:     "list [NAME]",
		Aliases: []string{"status"},
		Short:   "Print how far projectors and their rebuilds are",
		Long: `Print how far projectors and their rebuilds are.

LAG counts offsets that are not finished yet; markers of transactions are among
them, so that it is never too low. PROCESSES are those that serve it.`,
		Example: projectorsListExample,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.listProjectors(cmd, strings.Join(args, ""))
		},
	}
	c.addFlags(cmd)
	return cmd
}

// projectorJSON is how far a projector is, for programs. These names are a promise.
type projectorJSON struct {
	Projector string       `json:"projector"`
	Version   uint32       `json:"version"`
	Paused    bool         `json:"paused"`
	Processes uint32       `json:"processes"`
	Lag       int64        `json:"lag"`
	Rebuild   *rebuildJSON `json:"rebuild,omitempty"`
}

type rebuildJSON struct {
	Version   uint32    `json:"version"`
	InPlace   bool      `json:"in_place"`
	Paused    bool      `json:"paused"`
	Phase     string    `json:"phase"` // resetting, building, finishing, switching
	Begun     time.Time `json:"begun"`
	NoReset   bool      `json:"no_reset,omitempty"`
	Left      int64     `json:"left"`
	Total     int64     `json:"total"`
	PerSecond float64   `json:"per_second"`
	Remaining float64   `json:"remaining_seconds,omitempty"` // left out where it is not known
}

func projectorOf(p *pb.ProjectorStanding) projectorJSON {
	s := p.State
	j := projectorJSON{Projector: s.GetProjector(), Version: s.GetVersion(), Paused: s.GetPaused(), Processes: p.Processes, Lag: p.Lag}
	if r := s.GetRebuild(); r != nil {
		j.Rebuild = &rebuildJSON{
			Version: r.Version, InPlace: r.InPlace, Paused: r.Paused || s.Paused, Begun: r.Begun.AsTime(), NoReset: r.NoReset,
			Phase: strings.ToLower(strings.TrimPrefix(r.Phase.String(), "PHASE_")),
			Left:  p.Left, Total: p.Total, PerSecond: p.PerSecond,
			Remaining: rebuild.Remaining(p.Left, p.PerSecond).Seconds(),
		}
	}
	return j
}

// text says how far a rebuild is, for people.
func (r *rebuildJSON) text() string {
	if r == nil {
		return "-"
	}
	how := ""
	if r.InPlace {
		how = " in place"
	}
	if r.NoReset {
		how += ", without a reset"
	}
	done := int64(100)
	if r.Total > 0 {
		done = (r.Total - r.Left) * 100 / r.Total
	}
	at := fmt.Sprintf("%d/s", int64(r.PerSecond))
	switch {
	case r.Paused:
		at = "paused"
	case r.Remaining > 0:
		at += ", " + time.Duration(r.Remaining*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return fmt.Sprintf("version %d%s: %s, %d %%, %s", r.Version, how, r.Phase, done, at)
}

func (c *client) listProjectors(cmd *cobra.Command, name string) error {
	door, err := c.open(cmd.Context())
	if err != nil {
		return err
	}
	defer door.close()
	answer, err := pb.NewProjectorsClient(door.conn).List(cmd.Context(), &pb.ListProjectorsRequest{Projector: name})
	if err != nil {
		return refused(cmd, door, err)
	}
	if c.output == outputJSON {
		out := json.NewEncoder(cmd.OutOrStdout())
		for _, p := range answer.Projectors {
			if err := out.Encode(projectorOf(p)); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
	fmt.Fprint(table, "PROJECTOR\tVERSION\tSTATE\tPROCESSES\tLAG\tREBUILD\n")
	for _, p := range answer.Projectors {
		j := projectorOf(p)
		state := "running"
		switch {
		case j.Paused:
			state = "paused"
		case j.Processes == 0:
			state = "off"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%d\t%s\n", j.Projector, j.Version, state, j.Processes, j.Lag, j.Rebuild.text())
	}
	return table.Flush()
}

const rebuildHelp = `Have a projector called for all its events again, from the start of the log.

A new version is made beside the one that is shown, which goes on. Its projections
go to a topic of their own, angzarr.projections.NAME.vN. When it has caught up, both
stop for as long as it takes to have angzarr.projections.NAME hold what it has made:
who reads that topic gets what differs, and a tombstone for what is no more. The
projector's calls say by the metadata angzarr-projector-version for which version
they are.

In place, the projector is told to forget what it has (ProjectorVersions.Reset, if it
offers that), and called for all its events again. Who reads the topic sees the
projections of each aggregate from its first pages on.`

func newRebuildCommand() *cobra.Command {
	c, inPlace, wait := &client{}, false, false
	cmd := &cobra.Command{
		Use:   "rebuild NAME",
		Short: "Make a projector anew from the start of the log",
		Long:  rebuildHelp,
		Example: `  angzarr projectors rebuild inventory-summary
  angzarr projectors rebuild inventory-summary --in-place --wait`,
		Args: wants("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			order := pb.SteerProjectorRequest_ORDER_REBUILD
			if inPlace {
				order = pb.SteerProjectorRequest_ORDER_REBUILD_IN_PLACE
			}
			return c.steer(cmd, args[0], order, wait)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&inPlace, "in-place", false, "in the place of the version that is shown, after a reset")
	cmd.Flags().BoolVar(&wait, "wait", false, "print how far it is until it is done")
	return cmd
}

func newPauseCommand() *cobra.Command {
	c, only := &client{}, false
	cmd := &cobra.Command{
		Use:   "pause NAME",
		Short: "Have nothing of a projector called until it is resumed",
		Example: `  angzarr projectors pause inventory-summary
  angzarr projectors pause inventory-summary --rebuild`,
		Args: wants("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			order := pb.SteerProjectorRequest_ORDER_PAUSE
			if only {
				order = pb.SteerProjectorRequest_ORDER_PAUSE_REBUILD
			}
			return c.steer(cmd, args[0], order, false)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&only, "rebuild", false, "its rebuild alone; what is shown goes on")
	return cmd
}

// newSteerCommand makes a command that has no flags of its own.
func newSteerCommand(use, short string, order pb.SteerProjectorRequest_Order) *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: wants("NAME"),
		Example: "  angzarr projectors " + strings.Replace(use, "NAME", "inventory-summary", 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.steer(cmd, args[0], order, false) },
	}
	c.addFlags(cmd)
	return cmd
}

func (c *client) steer(cmd *cobra.Command, name string, order pb.SteerProjectorRequest_Order, wait bool) error {
	door, err := c.open(cmd.Context())
	if err != nil {
		return err
	}
	defer door.close()
	projectors := pb.NewProjectorsClient(door.conn)
	answer, err := projectors.Steer(cmd.Context(), &pb.SteerProjectorRequest{Projector: name, Order: order})
	if err != nil {
		return refused(cmd, door, err)
	}
	if err := c.printSteered(cmd, &pb.ProjectorStanding{State: answer.State}); err != nil || !wait {
		return err
	}
	return c.waitForRebuild(cmd.Context(), cmd, door, projectors, name)
}

// printSteered says what is to become of a projector now.
func (c *client) printSteered(cmd *cobra.Command, p *pb.ProjectorStanding) error {
	j := projectorOf(p)
	if c.output == outputJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(j)
	}
	what := "is called for new events"
	switch r := j.Rebuild; {
	case j.Paused:
		what = "is paused"
	case r != nil && r.Paused:
		what = fmt.Sprintf("goes on; version %d of it, which is being made, is paused", r.Version)
	case r != nil && r.InPlace:
		what = fmt.Sprintf("is made anew in place, as version %d", r.Version)
	case r != nil:
		what = fmt.Sprintf("goes on, and version %d of it is being made", r.Version)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s.\n", j.Projector, what)
	return err
}

// waitForRebuild prints how far a rebuild is until it is over.
func (c *client) waitForRebuild(ctx context.Context, cmd *cobra.Command, door *frontDoor, projectors pb.ProjectorsClient, name string) error {
	again := time.NewTicker(2 * time.Second)
	defer again.Stop()
	for {
		answer, err := projectors.List(ctx, &pb.ListProjectorsRequest{Projector: name})
		if err != nil {
			return refused(cmd, door, err)
		}
		j := projectorOf(answer.Projectors[0])
		switch {
		case c.output == outputJSON:
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(j); err != nil {
				return err
			}
		case j.Rebuild != nil:
			fmt.Fprintln(cmd.OutOrStdout(), j.Rebuild.text())
		default:
			fmt.Fprintf(cmd.OutOrStdout(), "version %d is the one that is shown.\n", j.Version)
		}
		if j.Rebuild == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refused prints why a front door refused something.
func refused(cmd *cobra.Command, door *frontDoor, err error) error {
	p := printer{ctx: cmd.Context(), types: door.types}
	return p.failed(cmd, err)
}
