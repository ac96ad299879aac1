// Package loop runs what a coordinator knows on one goroutine: everything else
// hands it functions, so that nothing of it needs a mutex.
package loop
