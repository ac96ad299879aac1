package partitioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Membership is a worker's place in a group. A worker that leaves and joins anew
// has another one.
type Membership struct {
	Identity
	Group string
	// Member is the name that the group has given it.
	Member string
}

// Roster says who is a member of a group, and takes members out: of a worker's
// death others may know long before its session ends.
type Roster struct{ client *kgo.Client }

// NewRoster asks through the client, which stays the caller's.
func NewRoster(client *kgo.Client) *Roster { return &Roster{client} }

// Members gives the workers in the groups, in whatever state these are; a group
// that is not there has none. With an error of some groups come the members of
// the others.
func (r *Roster) Members(ctx context.Context, groups ...string) ([]Membership, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return members(ctx, kadm.NewClient(r.client), groups)
}

func members(ctx context.Context, adm *kadm.Client, groups []string) (all []Membership, err error) {
	if len(groups) == 0 {
		return nil, nil // the client would describe all there are
	}
	described, err := adm.DescribeGroups(ctx, groups...)
	for _, g := range described {
		if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
			err = cmp.Or(err, g.Err)
		}
		for _, m := range g.Members {
			if id, ours := identityOf(m.ClientID); ours {
				all = append(all, Membership{id, g.Group, m.MemberID})
			}
		}
	}
	if err != nil {
		return all, fmt.Errorf("describe groups %v: %w", groups, err)
	}
	return all, nil
}

// Groups gives the groups whose names begin with the prefix, in order.
func (r *Roster) Groups(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	listed, err := kadm.NewClient(r.client).ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	return slices.DeleteFunc(listed.Groups(), func(name string) bool { return !strings.HasPrefix(name, prefix) }), nil
}

// evictTimeout bounds an eviction.
const evictTimeout = 5 * time.Second

// Evict takes members whose process is dead out of a group, and ends what they
// left open, so that nobody waits for the end of a session or a transaction. It
// gives those that were still members: others may evict them at the same time.
//
// If one of them lives after all, nothing is harmed: its commits are refused by
// the generation, and it joins anew.
func (r *Roster) Evict(ctx context.Context, group string, dead []Membership, why string) (evicted []Membership, err error) {
	ctx, cancel := context.WithTimeout(ctx, evictTimeout)
	defer cancel()
	for _, m := range dead {
		switch err := leave(ctx, r.client, group, m.Member, why); {
		case err == nil:
			evicted = append(evicted, m)
		case !errors.Is(err, kerr.UnknownMemberID) && !errors.Is(err, kerr.GroupIDNotFound):
			return evicted, fmt.Errorf("evict %s from group %s: %w", m.Member, group, err)
		}
	}
	if len(evicted) == 0 {
		return nil, nil
	}
	if _, err := endOrphans(ctx, r.client, group); err != nil {
		return evicted, err
	}
	return evicted, nil
}

// leave takes a member out of its group, whoever it is.
func leave(ctx context.Context, cl *kgo.Client, group, member, why string) error {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = group, member
	req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: member, Reason: &why})
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, m := range resp.Members {
		err = cmp.Or(err, kerr.ErrorForCode(m.ErrorCode))
	}
	return cmp.Or(kerr.ErrorForCode(resp.ErrorCode), err)
}
