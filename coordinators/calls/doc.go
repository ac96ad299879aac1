// Package calls holds what coordinators know of calling a service: how many calls
// may be under way, how long one may take, and when it is tried again.
package calls
