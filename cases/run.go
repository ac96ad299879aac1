package cases

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/schema"
)

const (
	// atOnce is how many cases are asked at the same time.
	atOnce = 16
	// patience is how long business logic may take for one.
	patience = 10 * time.Second
)

// Prepare makes messages of the payloads. The error is [Problems]: payloads that
// don't fit their types, and types that are not known.
func (s *Suite) Prepare(ctx context.Context, types *schema.Types) error {
	var problems Problems
	seen := make(map[string]bool)
	for _, c := range s.Cases {
		for _, p := range c.payloads() {
			var err error
			if p.packed, err = types.Encode(ctx, p.typeName, p.json); err == nil {
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			problem := Problem{s.File, p.lineOf(pathIn(err, p.typeName)), err.Error()}
			if !seen[problem.String()] { // it may be an alias
				seen[problem.String()] = true
				problems = append(problems, problem)
			}
		}
	}
	return problems.err()
}

// pathIn is the path that an error about a payload begins with, if it does.
func pathIn(err error, typeName string) string {
	var unknown *schema.UnknownTypeError
	rest, ok := strings.CutPrefix(err.Error(), typeName[strings.LastIndexByte(typeName, '/')+1:]+": ")
	if !ok || errors.As(err, &unknown) {
		return ""
	}
	path, _, ok := strings.Cut(rest, ": ")
	if !ok || strings.ContainsRune(path, ' ') {
		return ""
	}
	return path
}

func (c *Case) payloads() (all []*payload) {
	for _, p := range []*payload{c.snapshot, c.thenSnapshot} {
		if p != nil {
			all = append(all, p)
		}
	}
	all = append(append(all, c.given...), c.when...)
	return append(all, c.then...)
}

// Run asks business logic for each case that is wanted, several at a time, and
// tells of each result as it comes, from one goroutine at a time. The results are in
// the order of the file. The suite must be prepared.
func (s *Suite) Run(ctx context.Context, conn grpc.ClientConnInterface, types *schema.Types, wanted func(*Case) bool, tell func()) ([]Result, error) {
	var run []*Case
	for _, c := range s.Cases {
		if wanted(c) {
			run = append(run, c)
		}
	}
	results := make([]Result, len(run))
	logic := angzarr.NewBusinessLogicClient(conn)
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(atOnce)
	for i, c := range run {
		asking.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			results[i] = c.run(ctx, logic, types)
			tell()
			return ctx.Err()
		})
	}
	return results, asking.Wait()
}

func (c *Case) run(ctx context.Context, logic angzarr.BusinessLogicClient, types *schema.Types) Result {
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request := c.request()
	begun := time.Now()
	answer, err := logic.Handle(asked, request)
	r := Result{Case: c, Took: time.Since(begun)}
	switch why := status.Convert(err); {
	case c.refused != nil:
		r.refusal(c, answer, why, err == nil, shower{ctx, types})
	case err != nil:
		r.Failed = fmt.Sprintf("it was refused: %s: %s", codeText(why.Code()), why.Message())
		r.Lines = difference(shower{ctx, types}.payloads(c.then), []string{"refused: " + codeText(why.Code()) + ": " + why.Message()})
	default:
		r.accepted(c, request, answer, shower{ctx, types})
	}
	return r
}

// request is what a coordinator asks.
func (c *Case) request() *angzarr.ContextualCommand {
	cover := &angzarr.Cover{Domain: c.domain, Root: &angzarr.UUID{Value: c.root[:]}}
	book := &angzarr.EventBook{Cover: cover}
	last := uint32(0)
	if c.snapshot != nil {
		last = c.covers
		book.Snapshot = &angzarr.Snapshot{Sequence: last, State: c.snapshot.packed}
	}
	for _, p := range c.given {
		last++
		book.Pages = append(book.Pages, &angzarr.EventPage{Sequence: &angzarr.EventPage_Num{Num: last}, Event: p.packed})
	}
	commands := &angzarr.CommandBook{Cover: cover, CommandId: "case", CorrelationId: "case"}
	for _, p := range c.when {
		commands.Pages = append(commands.Pages, &angzarr.CommandPage{Command: p.packed})
	}
	return &angzarr.ContextualCommand{Events: book, Command: commands}
}

// refusal judges what should have been refused.
func (r *Result) refusal(c *Case, answer *angzarr.EventBook, why *status.Status, accepted bool, show shower) {
	want := "refused: " + codeText(c.refused.code)
	if c.refused.message != "" {
		want += ": … " + c.refused.message + " …"
	}
	got := "refused: " + codeText(why.Code()) + ": " + why.Message()
	switch {
	case accepted:
		r.Failed = "it was accepted"
		r.Lines = difference([]string{want}, show.pages(answer.GetPages()))
		return
	case why.Code() != c.refused.code:
		r.Failed = "it was refused with another code"
	case !strings.Contains(why.Message(), c.refused.message):
		r.Failed = "it was refused with other words"
	default:
		return
	}
	r.Lines = difference([]string{want}, []string{got})
}

// accepted judges events.
func (r *Result) accepted(c *Case, request *angzarr.ContextualCommand, answer *angzarr.EventBook, show shower) {
	last := c.covers + uint32(len(c.given))
	if st := business.CheckAnswer(request.Command.Cover, answer, last); st != nil {
		r.Failed = "a coordinator refuses such an answer: " + st.Message()
		return
	}
	same := len(answer.GetPages()) == len(c.then)
	for i := 0; same && i < len(c.then); i++ {
		same = show.equal(c.then[i].packed, answer.GetPages()[i].GetEvent())
	}
	if !same {
		r.Failed = "other events followed"
		if len(answer.GetPages()) != len(c.then) {
			r.Failed = fmt.Sprintf("%d events followed, not %d", len(answer.GetPages()), len(c.then))
		}
		r.Lines = difference(show.payloads(c.then), show.pages(answer.GetPages()))
		return
	}
	if c.thenSnapshot == nil {
		return
	}
	if state := answer.GetSnapshot().GetState(); state == nil {
		r.Failed = "there is no snapshot"
		r.Lines = difference(show.message(c.thenSnapshot.packed), nil)
	} else if !show.equal(c.thenSnapshot.packed, state) {
		r.Failed = "it is another snapshot"
		r.Lines = difference(show.message(c.thenSnapshot.packed), show.message(state))
	}
}

// shower compares messages, and shows them.
type shower struct {
	ctx   context.Context // of the case that it shows
	types *schema.Types
}

// equal compares messages of a type that is known; others byte for byte.
func (s shower) equal(want, got *anypb.Any) bool {
	if schema.TypeName(want) != schema.TypeName(got) {
		return false
	}
	if string(want.GetValue()) == string(got.GetValue()) {
		return true
	}
	return s.types.Equal(s.ctx, want, got)
}

func (s shower) payloads(all []*payload) (lines []string) {
	for _, p := range all {
		lines = append(lines, s.message(p.packed)...)
	}
	return lines
}

func (s shower) pages(pages []*angzarr.EventPage) (lines []string) {
	for _, p := range pages {
		lines = append(lines, s.message(p.GetEvent())...)
	}
	return lines
}

// message shows a message on lines.
func (s shower) message(m *anypb.Any) []string {
	text := schema.TypeName(m) + " " + s.types.Render(s.ctx, m, "  ")
	return strings.Split(text, "\n")
}
