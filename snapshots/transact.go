package snapshots

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// errHalf says that Redis has taken a part of a batch, which it never should.
var errHalf = errors.New("a batch was taken in part only")

// rewrite writes a batch of a rebuild, if the mark still is the one that it begins
// at: WATCH sees to it that nobody moves it between that question and the batch, and
// MULTI that no dump has a part of it. An error says nothing about what was
// written; it may be asked for the same again.
func (s *Shelf) rewrite(ctx context.Context, k keys, was string, next mark, of shelfID, b *batch) (lost int, err error) {
	moved, to := false, next.encode()
	err = s.run(ctx, func(ctx context.Context) error {
		err := s.client.Watch(ctx, func(tx *redis.Tx) error {
			is, err := tx.Get(ctx, k.mark()).Result()
			gone := err == redis.Nil || redis.HasErrorPrefix(err, "WRONGTYPE") // what somebody else put there
			if moved = gone || err == nil && is != to && is != was; moved || err != nil || is == to {
				return err
			}
			lost, err = transact(ctx, tx, k, was, next, of, b)
			return err
		}, k.mark())
		if moved = moved || err == redis.TxFailedErr || lost < 0; moved {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("write to the shelf: %w", err)
	case moved:
		return 0, errMoved
	}
	return lost, nil
}

// transact has the script move the mark, and do what needs it; then come the plain
// commands. The script travels with them: one that Redis has forgotten would fail
// alone.
func transact(ctx context.Context, tx *redis.Tx, k keys, was string, next mark, of shelfID, b *batch) (lost int, err error) {
	var moves *redis.Cmd
	done, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
		names, args := scriptArgs(k, was, next, of, b.asked)
		moves = p.Eval(ctx, writeSource, names, args...)
		for _, args := range b.commands() {
			p.Do(ctx, args...)
		}
		if len(b.deletes) > 0 {
			p.Del(ctx, b.deletes...)
		}
		return nil
	})
	if err == nil {
		if lost, err = moves.Int(); err == nil && lost >= 0 { // below 0 the mark is another one
			lost += b.lost
		}
		return lost, err
	}
	some, refused := false, error(nil)
	for _, c := range done {
		var said redis.Error
		if c.Err() == nil {
			some = true
		} else if errors.As(c.Err(), &said) {
			refused = c.Err()
		}
	}
	if some && refused != nil {
		return 0, fmt.Errorf("%w: %w", errHalf, refused)
	}
	return 0, err
}
