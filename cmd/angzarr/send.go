package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newSendCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "send DOMAIN ROOT TYPE JSON",
		Short: "Send a command to an aggregate and print the pages it led to",
		RunE:  func(*cobra.Command, []string) error { return errors.New("send: not there yet") },
	}
}
