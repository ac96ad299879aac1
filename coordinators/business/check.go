package business

import (
	"strconv"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// CheckCommands says what is wrong with a CommandBook, nil if nothing is.
func CheckCommands(b *angzarr.CommandBook) *status.Status {
	if st := checkCover(b.GetCover()); st != nil {
		return st
	}
	if st := checkIDs(b.CommandId, b.CorrelationId); st != nil {
		return st
	}
	if len(b.Pages) == 0 {
		return invalid("pages", "a command book needs at least one page")
	}
	for i, p := range b.Pages {
		if !typed(p.GetCommand()) {
			return invalid("pages["+strconv.Itoa(i)+"].command", "is missing, or has no type URL")
		}
	}
	return nil
}

// maxID bounds command and correlation ids, which every page carries.
const maxID = 512

func checkIDs(commandID, correlationID string) *status.Status {
	switch {
	case len(commandID) > maxID:
		return invalid("command_id", "has "+strconv.Itoa(len(commandID))+" bytes, more than "+strconv.Itoa(maxID))
	case len(correlationID) > maxID:
		return invalid("correlation_id", "has "+strconv.Itoa(len(correlationID))+" bytes, more than "+strconv.Itoa(maxID))
	}
	return nil
}

// typed says that a payload names its message's type.
func typed(payload *anypb.Any) bool {
	url := payload.GetTypeUrl()
	return url != "" && url[len(url)-1] != '/'
}

// CheckEvents says what is wrong with an EventBook that is to be recorded,
// whatever its aggregate's history is.
func CheckEvents(b *angzarr.EventBook) *status.Status {
	if st := checkCover(b.GetCover()); st != nil {
		return st
	}
	if st := checkIDs(b.CommandId, b.CorrelationId); st != nil {
		return st
	}
	if len(b.Pages) == 0 {
		return invalid("pages", "an event book to record needs at least one page")
	}
	if b.Snapshot != nil {
		return invalid("snapshot", "is business logic's to make: record the pages alone")
	}
	return checkPages(b.Pages)
}

// checkPages checks what can be checked of pages without their aggregate: an
// event each, and numbers that follow each other where they are given.
func checkPages(pages []*angzarr.EventPage) *status.Status {
	var before uint32
	numbered := 0
	for i, p := range pages {
		field := "pages[" + strconv.Itoa(i) + "]"
		if !typed(p.GetEvent()) {
			return invalid(field+".event", "is missing, or has no type URL")
		}
		if p.CreatedAt != nil && !p.CreatedAt.IsValid() {
			return invalid(field+".createdAt", "is no valid time")
		}
		num, ok := p.GetSequence().(*angzarr.EventPage_Num)
		if !ok {
			continue
		}
		numbered++
		if num.Num == 0 {
			return invalid(field+".num", "pages are numbered from 1; leave the number out to be given the next one")
		}
		if before > 0 && num.Num != before+1 {
			return invalid(field+".num", "is "+strconv.FormatUint(uint64(num.Num), 10)+
				", but the page before it is "+strconv.FormatUint(uint64(before), 10)+": numbers must follow each other")
		}
		before = num.Num
	}
	if numbered > 0 && numbered < len(pages) {
		return invalid("pages", "either all pages have numbers, or none has")
	}
	return nil
}

func checkCover(c *angzarr.Cover) *status.Status {
	switch {
	case c == nil:
		return invalid("cover", "is missing: it names the aggregate")
	case c.Domain == "":
		return invalid("cover.domain", "is missing")
	case c.Root == nil:
		return invalid("cover.root", "is missing: a UUID of 16 bytes")
	}
	if _, err := log.RootOf(c.Root.Value); err != nil {
		return invalid("cover.root", err.Error())
	}
	return nil
}
