package log

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// commitFirstOffsets commits 0 for the partitions of a topic that have no
// committed offset of the group and never held a record; for a new group it
// commits the start of all that have none. Workers have no reset
// policy, so that a lost offset is an error and never a silent replay; without
// this they could not start at all.
//
// Between looking and committing another process may have started a worker,
// applied commands and stopped: then the group goes back to 0. That is
// milliseconds, and a command that is read again that soon is known by its id.
func commitFirstOffsets(ctx context.Context, admin *kadm.Client, group, topic string, isNew bool) error {
	var committed kadm.OffsetResponses
	var ends kadm.ListedOffsets
	list := admin.ListEndOffsets
	if isNew {
		list = admin.ListStartOffsets
	}
	// A new cluster has no coordinators until someone has asked for one.
	err := untilSettled(ctx, func() (err error) {
		if committed, err = admin.FetchOffsets(ctx, group); errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("group %s: fetch offsets: %w", group, err)
	}
	err = untilSettled(ctx, func() (err error) {
		if ends, err = list(ctx, topic); err == nil {
			err = ends.Error()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("topic %s: list offsets: %w", topic, err)
	}
	first, err := firstOffsets(topic, committed, ends, isNew)
	if err != nil {
		return fmt.Errorf("group %s: fetch offsets: %w", group, err)
	}
	if len(first) == 0 {
		return nil
	}
	err = untilSettled(ctx, func() error { return admin.CommitAllOffsets(ctx, group, first) })
	if isActive(err) {
		return nil // its members have offsets, or say by themselves that they haven't
	}
	if err != nil {
		return fmt.Errorf("group %s: commit first offsets: %w", group, err)
	}
	return nil
}

// firstOffsets are the offsets to write. A partition that ends at 0 never held
// a record; one that starts and ends later has been emptied, and who read it,
// and how far, is not for this to guess. Of a new group the starts are given.
func firstOffsets(topic string, committed kadm.OffsetResponses, ends kadm.ListedOffsets, isNew bool) (kadm.Offsets, error) {
	first := make(kadm.Offsets)
	for _, end := range ends[topic] {
		known, ok := committed.Lookup(topic, end.Partition)
		if ok && known.Err != nil {
			return nil, known.Err
		}
		if (end.Offset == 0 || isNew) && (!ok || known.At < 0) {
			first.AddOffset(topic, end.Partition, end.Offset, -1)
		}
	}
	return first, nil
}

// isActive tells a group that has members: a commit from outside is refused.
func isActive(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) ||
		errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.RebalanceInProgress)
}
