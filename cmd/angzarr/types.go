package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/schema"
)

// typeFlags say where payload types come from, beside a server's reflection.
type typeFlags struct {
	descriptorSets []string
	protos         []string
	protoPaths     []string
}

func (f *typeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.descriptorSets, "descriptor-set", nil, "file of payload types, asked before the server (repeatable)")
	flags.StringArrayVar(&f.protos, "proto", nil, ".proto file of payload types, the same (repeatable)")
	flags.StringArrayVar(&f.protoPaths, "proto-path", nil, "folder in which imports of these are looked for (repeatable)")
	_ = cmd.MarkFlagFilename("proto", "proto")
	_ = cmd.MarkFlagDirname("proto-path")
}

// types reads the files. The error is one of usage.
func (f *typeFlags) types(ctx context.Context) (*schema.Types, error) {
	sets, err := schema.FromDescriptorSets(f.descriptorSets...)
	if err != nil {
		return nil, usageError{err}
	}
	protos, err := schema.FromProtoFiles(ctx, f.protoPaths, f.protos...)
	if err != nil {
		return nil, usageError{err}
	}
	return schema.Merge(sets, protos), nil
}
