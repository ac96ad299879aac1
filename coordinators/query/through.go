package query

import (
	"context"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// stretch is a partition of a topic, of any generation if that is the zero one.
type stretch struct {
	topic      string
	generation log.Generation
	partition  int32
}

// reading is one look that is under way.
type reading struct {
	log.Stretch
	err error
}

// through calls fn with the records of a span of which the keys are wanted. While fn
// has some, the next ones are read. It waits for transactions that are open before
// the span's end. ErrStop of fn ends it without an error.
func (s *Service) through(ctx context.Context, at stretch, span log.Span, wanted func(key []byte) bool, fn func(*log.Record) error) error {
	if span.From >= span.To {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	next := make(chan reading, 1)
	look := func(from int64, size int, wait time.Duration) {
		pause(ctx, wait)
		read, err := s.admin.Fetch(ctx, at.topic, at.generation, at.partition, from, size, wanted)
		next <- reading{read, err}
	}
	size, waited := smallest, 0
	go look(span.From, size, 0)
	under := true // a look is under way
	defer func() {
		cancel()
		if under {
			<-next
		}
	}()
	for from := span.From; ; {
		read := <-next
		under = false
		if read.err != nil {
			return read.err
		}
		wait := time.Duration(0)
		if read.Next == from {
			wait = min(50*time.Millisecond, time.Millisecond<<min(waited, 6))
			waited++
		} else {
			size, waited = min(largest, 2*size), 0
		}
		if from = read.Next; from < span.To {
			under = true
			go look(from, size, wait)
		}
		for i := range read.Records {
			if read.Records[i].Offset >= span.To {
				return nil
			}
			if err := fn(&read.Records[i]); err != nil {
				if err == log.ErrStop {
					return nil
				}
				return err
			}
		}
		if !under {
			return nil
		}
	}
}
