// Command inventorysummary serves the inventory-summary projector over gRPC,
// with health and reflection, until SIGTERM or SIGINT.
package main

import (
	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/serving"
)

func main() { serving.Main("inventory-summary", "127.0.0.1:50052", inventorysummary.Register) }
