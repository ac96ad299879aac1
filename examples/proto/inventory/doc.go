// Package inventory is the commands, events and state of the inventory example
// in Go, generated from its proto.
package inventory
