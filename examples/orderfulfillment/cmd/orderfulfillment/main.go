// Command orderfulfillment serves the order-fulfillment saga over gRPC,
// with health and reflection, until SIGTERM or SIGINT.
package main

import (
	"github.com/angzarr/angzarr-kafka/examples/orderfulfillment"
	"github.com/angzarr/angzarr-kafka/examples/serving"
)

func main() { serving.Main("order-fulfillment", "127.0.0.1:50053", orderfulfillment.Register) }
