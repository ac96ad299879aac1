package business

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// errorDomain is the domain of every ErrorInfo that this project gives out.
const errorDomain = "angzarr"

// Reasons of ErrorInfo.
const (
	ReasonSequenceMismatch = "SEQUENCE_MISMATCH"
	ReasonBookTooLarge     = "BOOK_TOO_LARGE"
	ReasonErased           = "ERASED"
	ReasonNotOwner         = "NOT_OWNER"
)

// maxDetails bounds a status's details: Python's client fails on trailers of
// more than 8 KiB, and details travel in base64.
const maxDetails = 4 << 10

// start gives at most n bytes of a text, all of them valid.
func start(text string, n int) string {
	if len(text) > n {
		text = text[:n] + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

func invalid(field, why string) *status.Status {
	return status.Newf(codes.InvalidArgument, "%s: %s", field, why)
}

// withReason makes a status with an ErrorInfo. It panics on a programming error
// only: a detail that can't be marshalled.
func withReason(code codes.Code, reason string, metadata map[string]string, message string, more ...protoadapt.MessageV1) *status.Status {
	info := &errdetails.ErrorInfo{Domain: errorDomain, Reason: reason, Metadata: metadata}
	st, err := status.New(code, message).WithDetails(append([]protoadapt.MessageV1{info}, more...)...)
	if err != nil {
		panic("business: " + err.Error())
	}
	return st
}

// sequenceMismatch answers a command that expected other pages. The open book
// comes with it if it is small.
func sequenceMismatch(domain string, root log.Root, expected uint32, book *snapshots.Book) *status.Status {
	next := book.Last() + 1
	metadata := map[string]string{
		"expected": strconv.FormatUint(uint64(expected), 10),
		"actual":   strconv.FormatUint(uint64(next), 10),
	}
	message := fmt.Sprintf("pages[0].sequence: the command expects that its first event becomes page %d of %s/%s, but that would be page %d now",
		expected, domain, root, next)
	return withBook(metadata, message, domain, root, book)
}

// withBook adds the open book to a mismatch, as long as all details stay small.
func withBook(metadata map[string]string, message, domain string, root log.Root, book *snapshots.Book) *status.Status {
	if book.Size() < maxDetails-1024 {
		current := &angzarr.EventBook{}
		if err := proto.Unmarshal(book.AppendTo(nil), current); err == nil {
			current.Cover = coverOf(domain, root)
			return withReason(codes.Aborted, ReasonSequenceMismatch, metadata, message, protoadapt.MessageV1Of(current))
		}
	}
	metadata["book"] = "omitted"
	return withReason(codes.Aborted, ReasonSequenceMismatch, metadata, message)
}

func erased(domain string, root log.Root) *status.Status {
	return withReason(codes.FailedPrecondition, ReasonErased, nil,
		fmt.Sprintf("%s/%s was erased, for good: a new aggregate needs a new root", domain, root))
}

func bookTooLarge(domain string, root log.Root, size, limit int) *status.Status {
	return withReason(codes.FailedPrecondition, ReasonBookTooLarge,
		map[string]string{"size": strconv.Itoa(size), "limit": strconv.Itoa(limit)},
		fmt.Sprintf("the open book of %s/%s has %d bytes, more than limits.open_book allows (%d): business logic that returns a snapshot now and then keeps it short",
			domain, root, size, limit))
}

func tooLarge(what string, size int, limit string, allowed int) *status.Status {
	return status.Newf(codes.ResourceExhausted, "%s has %d bytes, more than %s allows (%d)", what, size, limit, allowed)
}

func tooLargeForTopic(size int) *status.Status {
	return status.Newf(codes.ResourceExhausted,
		"what the command leads to has %d bytes, and holds a record that is larger than its topic allows (max.message.bytes)", size)
}

func inDoubt(commandID string) *status.Status {
	return status.Newf(codes.Unavailable,
		"the command's outcome is not known yet; it is safe to repeat it with command_id %q", commandID)
}

func coverOf(domain string, root log.Root) *angzarr.Cover {
	c := &struct { // one piece of memory instead of three
		cover angzarr.Cover
		id    angzarr.UUID
		root  log.Root
	}{root: root}
	c.id.Value = c.root[:]
	c.cover.Domain, c.cover.Root = domain, &c.id
	return &c.cover
}
