package main

import (
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// parseRoot reads a root from the command line. Only the usual text form is
// taken: a root that was cut or pasted wrong must not become another aggregate.
func parseRoot(text string) (*pb.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != len(id.String()) {
		return nil, usageError{fmt.Errorf("root %q is no UUID: want 8-4-4-4-12 hexadecimal digits, as in 550e8400-e29b-41d4-a716-446655440000", text)}
	}
	return &pb.UUID{Value: id[:]}, nil
}

// newRoot makes a root. Its order in time (version 7) keeps new aggregates
// together where roots are listed.
func newRoot() (*pb.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make a root: %w", err)
	}
	return &pb.UUID{Value: id[:]}, nil
}

// rootText is a root from the wire as people know it.
func rootText(root *pb.UUID) string {
	id, err := uuid.FromBytes(root.GetValue())
	if err != nil {
		return "not a UUID: " + hex.EncodeToString(root.GetValue())
	}
	return id.String()
}
