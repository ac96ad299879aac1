// Package angzarr is the contract in Go, generated from its protos:
//
//	angzarr.proto   what callers, business logic, projectors and sagas speak
//	peers.proto     what processes of one deployment speak with each other
//
// In angzarr.proto names and numbers below 100 never change; what was added to
// the contract has numbers from 100 up.
package angzarr
