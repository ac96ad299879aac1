package partitioning

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Identity is who a worker is, from its start to its end.
type Identity struct {
	// Address is where other processes hand commands over, "" if they can't.
	Address string
	// Incarnation is made at start, a UUID. A worker that starts again at the
	// same address is another one.
	Incarnation string
}

// NewIdentity makes a worker's identity.
func NewIdentity(address string) Identity {
	return Identity{Address: address, Incarnation: uuid.NewString()}
}

// clientPrefix begins every worker's client id, by which others know it.
const clientPrefix = "angzarr/"

func (id Identity) clientID() string {
	return clientPrefix + id.Address + "/" + id.Incarnation
}

// identityOf reads a member's client id; ok is false if no worker made it.
func identityOf(clientID string) (id Identity, ok bool) {
	rest, found := strings.CutPrefix(clientID, clientPrefix)
	i := strings.LastIndexByte(rest, '/')
	if !found || i < 0 {
		return Identity{}, false
	}
	return Identity{Address: rest[:i], Incarnation: rest[i+1:]}, true
}

// transactionalID names a worker's n-th producer.
func (id Identity) transactionalID(group string, n int) string {
	return group + "/" + id.Incarnation + "/" + strconv.Itoa(n)
}

// incarnationOf reads the incarnation from a transactional id of the group.
func incarnationOf(group, transactionalID string) (incarnation string, ok bool) {
	rest, found := strings.CutPrefix(transactionalID, group+"/")
	if !found {
		return "", false
	}
	incarnation, _, found = strings.Cut(rest, "/")
	return incarnation, found
}
