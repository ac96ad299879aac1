// Command order serves the order example's business logic over gRPC,
// with health and reflection, until SIGTERM or SIGINT.
package main

import (
	"github.com/angzarr/angzarr-kafka/examples/order"
	"github.com/angzarr/angzarr-kafka/examples/serving"
)

func main() { serving.Main("order", "127.0.0.1:50054", order.Register) }
