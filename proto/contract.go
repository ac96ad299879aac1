// Package proto has the contract as text, for who begins a service with it.
// What was generated from it is in proto/angzarr.
package proto

import _ "embed"

// Contract is angzarr.proto.
//
//go:embed angzarr/angzarr.proto
var Contract []byte
