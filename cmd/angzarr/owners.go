package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/partitioning"
)

const ownersHelp = `Print which process owns which partitions of which group, as the groups have it.

A process is known by the address at which others reach it (peers.advertise), and
by the first characters of its incarnation, which is another one after each start.`

const ownersExample = `  angzarr owners
  angzarr owners --config angzarr.yaml -o json`

func newOwnersCommand() *cobra.Command {
	flags := &clusterFlags{}
	cmd := &cobra.Command{
		Use:     "owners",
		Short:   "Print which process owns which partitions",
		Long:    ownersHelp,
		Example: ownersExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			standings, err := flags.standings(cmd)
			if err != nil {
				return err
			}
			holdings := holdingsOf(standings)
			if flags.output == outputJSON {
				return printHoldingsJSON(cmd, holdings)
			}
			return printHoldings(cmd, holdings)
		},
	}
	flags.add(cmd)
	return cmd
}

// holding is what a process owns of a topic. The names in JSON are a promise.
type holding struct {
	Group       string  `json:"group"`
	Topic       string  `json:"topic"`
	Address     string  `json:"address,omitempty"`
	Incarnation string  `json:"incarnation,omitempty"` // "" if nobody owns these
	Partitions  []int32 `json:"partitions"`
}

func holdingsOf(standings []partitioning.Standing) (holdings []*holding) {
	type key struct {
		group, topic string
		owner        partitioning.Identity
	}
	of := make(map[key]*holding)
	for _, s := range standings {
		k := key{s.Group, s.Topic, s.Owner}
		h := of[k]
		if h == nil {
			h = &holding{Group: s.Group, Topic: s.Topic, Address: s.Owner.Address, Incarnation: s.Owner.Incarnation}
			of[k] = h
			holdings = append(holdings, h)
		}
		h.Partitions = append(h.Partitions, s.Partition)
	}
	return holdings
}

func printHoldingsJSON(cmd *cobra.Command, holdings []*holding) error {
	out := json.NewEncoder(cmd.OutOrStdout())
	for _, h := range holdings {
		if err := out.Encode(h); err != nil {
			return err
		}
	}
	return nil
}

func printHoldings(cmd *cobra.Command, holdings []*holding) error {
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
	fmt.Fprint(table, "GROUP\tPROCESS\tADDRESS\tPARTITIONS\n")
	for _, h := range holdings {
		process, address := "nobody", "-"
		if h.Incarnation != "" {
			process = h.Incarnation[:min(8, len(h.Incarnation))]
		}
		if h.Address != "" {
			address = h.Address
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", h.Group, process, address, ranges(h.Partitions))
	}
	return table.Flush()
}

// ranges writes numbers that ascend as people do: 0-3, 7.
func ranges(numbers []int32) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		part := strconv.Itoa(int(numbers[i]))
		if j > i {
			part += "-" + strconv.Itoa(int(numbers[j]))
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
