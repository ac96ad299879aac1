// Package order is the commands and events of the order example in Go,
// generated from its proto.
package order
