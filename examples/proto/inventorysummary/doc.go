// Package inventorysummary is the projection of the inventory-summary example
// in Go, generated from its proto.
package inventorysummary
