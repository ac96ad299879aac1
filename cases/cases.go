// Package cases tries business logic without a broker: given these events, when
// this command comes, then these events follow, or this refusal. What is tried is a
// gRPC service in any language; the cases are YAML with JSON payloads:
//
//	file ──► Load ──► Suite ──► Prepare ──► Run ──► Result ──► text, JUnit
//	         lines              JSON → Any   calls   differences
//
// Invariants:
//   - What is wrong with a file is told all at once, with the line, and then
//     nothing is run.
//   - An answer that a coordinator would refuse fails its case.
//   - Events are compared as messages: in whichever order a language writes fields
//     and maps.
package cases

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"
)

// Suite are the cases of one file.
type Suite struct {
	File   string
	Domain string
	Cases  []*Case
}

// Case is one of them.
type Case struct {
	Name string
	File string
	Line int

	domain string
	root   [16]byte

	snapshot     *payload // nil: none
	covers       uint32   // the snapshot's last page
	given, when  []*payload
	then         []*payload
	thenSnapshot *payload // nil: any, or none
	refused      *refusal // nil: it is accepted
}

// refusal is what a refusal must be.
type refusal struct {
	code    codes.Code
	message string // a part of what it must say
}

// payload is a message of a case.
type payload struct {
	typeName string
	json     []byte
	line     int
	node     *yaml.Node // what the JSON was made of; nil if nothing was given
	packed   *anypb.Any // once it is prepared
}

// Result is what came of a case.
type Result struct {
	Case *Case
	Took time.Duration
	// Failed says what is wrong, in a line; "" if nothing is.
	Failed string
	// Lines show it: those that begin with "-" were wanted, those with "+" came.
	Lines []string
}

// Problem is what is wrong with a file.
type Problem struct {
	File string
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// Problems are an error of a line each, in the order of the file.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// err is nil if there are none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int { return a.Line - b.Line })
	return p
}
