// Command inventory serves the inventory example's business logic over gRPC,
// with health and reflection, until SIGTERM or SIGINT.
package main

import (
	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/serving"
)

func main() { serving.Main("inventory", "127.0.0.1:50051", inventory.Register) }
