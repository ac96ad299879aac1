package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/schema"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// sendingMany says what is sent of a file.
type sendingMany struct {
	file    string
	from    int
	callers int
}

func (s *sending) addManyFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.many.file, "file", "", "send many: a JSON object a line; - is standard input")
	flags.IntVar(&s.many.from, "from", 1, "of --file, the first line to send")
	flags.IntVar(&s.many.callers, "callers", 16, "of --file, how many are sent at the same time; a root's go one after another")
	_ = cmd.MarkFlagFilename("file", "jsonl", "json")
}

// sentLine is a line of the file.
type sentLine struct {
	Root        string          `json:"root"`
	Type        string          `json:"type"`
	Command     json.RawMessage `json:"command"`
	ID          string          `json:"id"`
	Correlation string          `json:"correlation_id"`
	Expect      uint32          `json:"expect"`

	line int
}

// sentLines are those of a file that has been checked.
type sentLines struct {
	all  []sentLine
	last int // the number of the last line
}

// sendMany sends a file of commands.
func (s *sending) sendMany(cmd *cobra.Command, domain string) error {
	s.domain = domain
	if s.many.callers < 1 || s.many.from < 1 {
		return usageError{errors.New("--callers and --from: want 1 or more")}
	}
	for _, flag := range []string{"id", "expect", "correlation-id"} {
		if cmd.Flags().Changed(flag) {
			return usageError{fmt.Errorf("--%s is of one command; in a file each line has its own", flag)}
		}
	}
	content, err := s.many.read(cmd.InOrStdin())
	if err != nil {
		return err
	}
	all, err := parseOrders(content, s.many.from)
	if err != nil {
		return usageError{err}
	}
	send, types, done, err := s.sender(cmd)
	if err != nil {
		return err
	}
	defer done()
	for _, o := range all.all {
		if _, err := s.bookOf(cmd.Context(), types, o); err != nil {
			return usageError{fmt.Errorf("line %d: %w", o.line, err)}
		}
	}
	return s.dispatch(cmd, all, types, send)
}

func (m *sendingMany) read(stdin io.Reader) ([]byte, error) {
	if m.file == "-" {
		return io.ReadAll(stdin)
	}
	content, err := os.ReadFile(m.file)
	if err != nil {
		return nil, usageError{fmt.Errorf("--file: %w", err)}
	}
	return content, nil
}

// parseOrders reads the lines from one on. Those without an id get one that the
// same file always gives them.
func parseOrders(content []byte, from int) (sentLines, error) {
	sum := sha256.Sum256(content)
	var found sentLines
	for i, line := range bytes.Split(content, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		found.last = i + 1
		o := sentLine{line: i + 1}
		fields := json.NewDecoder(bytes.NewReader(line))
		fields.DisallowUnknownFields()
		if err := fields.Decode(&o); err != nil {
			return found, fmt.Errorf("line %d: want an object with root, type, command, and perhaps id, expect, correlation_id: %w", o.line, err)
		}
		if _, err := fields.Token(); !errors.Is(err, io.EOF) {
			return found, fmt.Errorf("line %d: want one object a line", o.line)
		}
		if o.ID == "" {
			o.ID = fmt.Sprintf("file:%s/%d", hex.EncodeToString(sum[:8]), o.line)
		}
		if o.line >= from {
			found.all = append(found.all, o)
		}
	}
	if len(found.all) == 0 {
		return found, errors.New("there is nothing to send in the file")
	}
	return found, nil
}

// bookOf makes a line's command.
func (s *sending) bookOf(ctx context.Context, types *schema.Types, o sentLine) (*pb.CommandBook, error) {
	root, err := parseRoot(o.Root)
	if err != nil {
		return nil, err
	}
	text := o.Command
	if len(text) == 0 {
		text = []byte("{}")
	}
	command, err := types.Encode(ctx, o.Type, text)
	if err != nil {
		return nil, err
	}
	return &pb.CommandBook{
		Cover:     &pb.Cover{Domain: s.domain, Root: root},
		Pages:     []*pb.CommandPage{{Sequence: o.Expect, Command: command}},
		CommandId: o.ID, CorrelationId: o.Correlation,
	}, nil
}

// sender gives what sends one command, and where types come from.
func (s *sending) sender(cmd *cobra.Command) (send func(context.Context, *pb.CommandBook) (answeredJSON, error), types *schema.Types, done func(), err error) {
	ctx := cmd.Context()
	if !s.topic {
		door, err := s.open(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		callers := pb.NewBusinessCoordinatorClient(door.conn)
		return func(ctx context.Context, book *pb.CommandBook) (a answeredJSON, err error) {
			ctx, cancel := context.WithTimeout(ctx, s.timeout)
			defer cancel()
			answer, err := callers.Handle(ctx, book)
			for _, b := range answer.GetBooks() {
				if pages := b.GetPages(); len(pages) > 0 && rootText(b.GetCover().GetRoot()) == rootText(book.Cover.Root) {
					a.FirstPage, a.LastPage = pages[0].GetNum(), pages[len(pages)-1].GetNum()
				}
			}
			return a, err
		}, door.types, door.close, nil
	}
	types, closeTypes, err := s.typesWithout(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	topic, err := s.openTopic(ctx, s.domain)
	if err != nil {
		closeTypes()
		return nil, nil, nil, err
	}
	return func(ctx context.Context, book *pb.CommandBook) (a answeredJSON, err error) {
		record := business.CommandRecord(book, topic.partitions, log.Cause{})
		if err := topic.writer.Write(ctx, &record); err != nil {
			return a, status.Error(codes.Unavailable, err.Error())
		}
		a.At = record.Source().String()
		return a, nil
	}, types, func() { topic.close(); closeTypes() }, nil
}

// answeredJSON is what became of a line, for programs. These names are a promise.
type answeredJSON struct {
	Line      int    `json:"line"`
	CommandID string `json:"command_id"`
	Root      string `json:"root"`
	Code      string `json:"code"` // OK, or that of its refusal
	Message   string `json:"message,omitempty"`
	FirstPage uint32 `json:"first_page,omitempty"`
	LastPage  uint32 `json:"last_page,omitempty"`
	At        string `json:"at,omitempty"` // with --topic: where it stands, and is not handled yet
}

// tally is how far a file is.
type tally struct {
	mu       sync.Mutex
	p        printer
	json     bool
	bar      *progress
	answered map[int]bool
	refused  int
}

// take tells of one line.
func (t *tally) take(a answeredJSON) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered[a.Line] = true
	t.bar.at(int64(len(t.answered)))
	if a.Code != codeName(codes.OK) {
		t.refused++
	}
	switch {
	case t.json:
		t.p.json(a)
	case a.Code != codeName(codes.OK):
		t.bar.end()
		t.p.printf("line %d: %s %s: %s\n", a.Line, a.Root, a.Code, oneLine(a.Message))
	}
}

// dispatch sends the lines, a root's by one caller.
func (s *sending) dispatch(cmd *cobra.Command, all sentLines, types *schema.Types, send func(context.Context, *pb.CommandBook) (answeredJSON, error)) error {
	t := &tally{
		p: printer{out: cmd.OutOrStdout()}, json: s.output == outputJSON,
		bar: newProgress(cmd.ErrOrStderr(), "commands", int64(len(all.all))), answered: make(map[int]bool),
	}
	callers := make([]chan sentLine, s.many.callers)
	group, ctx := errgroup.WithContext(cmd.Context())
	for i := range callers {
		callers[i] = make(chan sentLine, 1)
		group.Go(func() error {
			for o := range callers[i] {
				if err := s.sendOne(ctx, o, types, send, t); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer func() {
			for _, c := range callers {
				close(c)
			}
		}()
		for _, o := range all.all {
			hash := fnv.New32a()
			hash.Write([]byte(o.Root))
			select {
			case callers[hash.Sum32()%uint32(len(callers))] <- o:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	err := group.Wait()
	t.bar.end()
	return s.tellMany(cmd, all, t, err)
}

func (s *sending) sendOne(ctx context.Context, o sentLine, types *schema.Types, send func(context.Context, *pb.CommandBook) (answeredJSON, error), t *tally) error {
	book, err := s.bookOf(ctx, types, o)
	if err != nil {
		return fmt.Errorf("line %d: %w", o.line, err) // it fitted before: another schema
	}
	a, err := send(ctx, book)
	why := status.Convert(err)
	var unknown unknownError
	if errors.As(reported(why), &unknown) {
		return fmt.Errorf("line %d: %s: %s", o.line, codeName(why.Code()), why.Message())
	}
	a.Line, a.CommandID, a.Root, a.Code, a.Message = o.line, o.ID, o.Root, codeName(why.Code()), why.Message()
	t.take(a)
	return nil
}

// tellMany says what is done, and how to go on with the rest.
func (s *sending) tellMany(cmd *cobra.Command, all sentLines, t *tally, err error) error {
	complain := printer{out: cmd.ErrOrStderr()}
	word := "answered"
	if s.topic {
		word = "written"
	}
	complain.printf("%s of %s commands %s, %d refused\n", grouped(int64(len(t.answered))), grouped(int64(len(all.all))), word, t.refused)
	if err != nil {
		next := all.last
		for _, o := range all.all {
			if !t.answered[o.line] {
				next = o.line
				break
			}
		}
		complain.printf("It was broken off: %v\nTo go on, send the same file with --from %d: what was applied since is not applied again.\n", err, next)
		return errors.Join(unknownError{errReported}, complain.err, t.p.err)
	}
	if t.refused > 0 {
		return errors.Join(errReported, complain.err, t.p.err)
	}
	return errors.Join(complain.err, t.p.err)
}
