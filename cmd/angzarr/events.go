package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newEventsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "events DOMAIN ROOT",
		Short: "Print an aggregate's events",
		RunE:  func(*cobra.Command, []string) error { return errors.New("events: not there yet") },
	}
}
