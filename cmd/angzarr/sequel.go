package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/angzarr/angzarr-kafka/coordinators/sequel"
	"github.com/angzarr/angzarr-kafka/schema"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// committed says of a synchronous answer that did not come that the command is
// committed all the same.
func committed(why *status.Status) bool {
	for _, detail := range why.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetReason() == sequel.ReasonCommitted {
			return true
		}
	}
	return false
}

// textSequel prints what a command's pages have led to.
func (p *printer) textSequel(answer *pb.SynchronousProcessingResponse) {
	for _, projection := range answer.GetProjections() {
		p.printf("projection %s of %s at page %d\n", printable(projection.GetProjector()), coverText(projection.GetCover()), projection.GetSequence())
		p.printf("  %s\n", p.payload(projection.GetProjection()))
	}
	for _, o := range answer.GetOutcomes() {
		if o.GetCode() == 0 {
			continue // its pages are among the books
		}
		what := "refused"
		if o.GetDeadLetter() {
			what = "dead letter"
		}
		p.printf("%s: command %s to %s\n  %s: %s\n", what, printable(o.GetCommandId()), coverText(o.GetCover()), code.Code(o.GetCode()), printable(o.GetMessage()))
	}
	for _, u := range answer.GetUndone() {
		p.printf("%s: %s\n", undoneText[u.GetReason()], whatText(u))
		if u.GetMessage() != "" {
			p.printf("  %s\n", printable(u.GetMessage()))
		}
	}
}

var undoneText = map[pb.Undone_Reason]string{
	pb.Undone_REASON_WAITS:       "still to come",
	pb.Undone_REASON_DEPTH:       "not waited for, behind more sagas than synchronous_depth",
	pb.Undone_REASON_DEAD_LETTER: "dead letter",
	pb.Undone_REASON_LEFT_OUT:    "done, and too large for the answer",
	pb.Undone_REASON_ERASED:      "erased meanwhile",
}

func coverText(cover *pb.Cover) string {
	return printable(cover.GetDomain()) + " " + rootText(cover.GetRoot())
}

func whatText(u *pb.Undone) string {
	if u.GetCommandId() != "" {
		return "command " + printable(u.GetCommandId()) + " to " + coverText(u.GetCover())
	}
	return fmt.Sprintf("%s of pages %d to %d of %s", printable(u.GetService()), u.GetFirstPage(), u.GetLastPage(), coverText(u.GetCover()))
}

// sequelJSON is the same for programs. These names are a promise.
type sequelJSON struct {
	Projections []projectionJSON `json:"projections,omitempty"`
	Outcomes    []outcomeJSON    `json:"outcomes,omitempty"`
	Undone      []undoneJSON     `json:"undone,omitempty"`
}

type projectionJSON struct {
	Projector string          `json:"projector"`
	Domain    string          `json:"domain"`
	Root      string          `json:"root"`
	Sequence  uint32          `json:"sequence"`
	Type      string          `json:"type"`
	Payload   json.RawMessage `json:"projection,omitempty"`
	Raw       []byte          `json:"raw,omitempty"`
}

type outcomeJSON struct {
	CommandID  string `json:"command_id"`
	Domain     string `json:"domain"`
	Root       string `json:"root"`
	Code       string `json:"code"`
	Message    string `json:"message,omitempty"`
	FirstPage  uint32 `json:"first_page,omitempty"`
	LastPage   uint32 `json:"last_page,omitempty"`
	DeadLetter bool   `json:"dead_letter,omitempty"`
}

type undoneJSON struct {
	Reason    string `json:"reason"`
	Service   string `json:"service,omitempty"`
	Domain    string `json:"domain"`
	Root      string `json:"root"`
	FirstPage uint32 `json:"first_page,omitempty"`
	LastPage  uint32 `json:"last_page,omitempty"`
	CommandID string `json:"command_id,omitempty"`
	Message   string `json:"message,omitempty"`
}

func (p *printer) sequel(answer *pb.SynchronousProcessingResponse) (shown sequelJSON) {
	for _, projection := range answer.GetProjections() {
		j := projectionJSON{
			Projector: projection.GetProjector(), Domain: projection.GetCover().GetDomain(), Root: rootText(projection.GetCover().GetRoot()),
			Sequence: projection.GetSequence(), Type: schema.TypeName(projection.GetProjection()),
		}
		j.Payload, j.Raw = p.either(projection.GetProjection())
		shown.Projections = append(shown.Projections, j)
	}
	for _, o := range answer.GetOutcomes() {
		shown.Outcomes = append(shown.Outcomes, outcomeJSON{
			CommandID: o.GetCommandId(), Domain: o.GetCover().GetDomain(), Root: rootText(o.GetCover().GetRoot()),
			Code: code.Code(o.GetCode()).String(), Message: o.GetMessage(),
			FirstPage: o.GetFirstPage(), LastPage: o.GetLastPage(), DeadLetter: o.GetDeadLetter(),
		})
	}
	for _, u := range answer.GetUndone() {
		shown.Undone = append(shown.Undone, undoneJSON{
			Reason: strings.TrimPrefix(u.GetReason().String(), "REASON_"), Service: u.GetService(), Domain: u.GetCover().GetDomain(), Root: rootText(u.GetCover().GetRoot()),
			FirstPage: u.GetFirstPage(), LastPage: u.GetLastPage(), CommandID: u.GetCommandId(), Message: u.GetMessage(),
		})
	}
	return shown
}
