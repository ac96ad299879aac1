package frontdoor

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// again is an error after which another try may do better.
type again struct {
	error
	own bool // a worker's own words, for the caller to hear
	now bool // there is another way, which nothing has to happen for
}

func (a again) Unwrap() error { return a.error }

// heard takes in what a worker said. One that can't tell what became of the
// command is asked again, or its successor is.
func (p *parcel) heard(err error) error {
	if status.Code(err) == codes.Unavailable {
		p.doubt = true
		return again{error: err, own: true}
	}
	return err
}

// final is an owner's answer as the caller may believe it. A refusal is given
// after every try before it was decided, and is true for them all; but what was
// given up, or not let in, says nothing of them.
func (p *parcel) final(err error) error {
	switch status.Code(err) {
	case codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		if p.doubt {
			return p.inDoubt(err)
		}
	}
	return err
}

// gaveUp says what is known of a command that got no answer in time.
func (p *parcel) gaveUp(ended error, last again) error {
	switch {
	case p.doubt && last.own:
		return last.error
	case p.doubt:
		return p.inDoubt(last.error)
	case errors.Is(ended, context.Canceled):
		return status.Error(codes.Canceled, "the caller gave up; the command was not applied")
	}
	return status.Errorf(codes.DeadlineExceeded,
		"no owner of %s/%d could be reached in time; the command was not applied (last: %s)",
		p.cover.Domain, p.partition, says(last.error))
}

func (p *parcel) inDoubt(last error) error {
	return status.Errorf(codes.Unavailable,
		"the command's outcome is not known yet; it is safe to repeat it with command_id %q (last: %s)", p.id, says(last))
}

// says is an error's text, without gRPC's wrapping.
func says(err error) string {
	if st, ok := status.FromError(err); ok {
		return st.Message()
	}
	return err.Error()
}

func hasReason(st *status.Status, reason string) bool {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Reason == reason {
			return true
		}
	}
	return false
}

// answerInTime ends a little before the caller's deadline, so that the caller
// hears what is known instead of its own library's word.
func answerInTime(ctx context.Context) (context.Context, context.CancelFunc) {
	at, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, at.Add(-min(60*time.Millisecond, max(0, time.Until(at)/10))))
}
