package log

import (
	"fmt"
	"strings"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// HeaderAnswer is set on the tombstone of an order: the encoded
// SteerProjectorResponse.
const HeaderAnswer = "angzarr-answer"

// ProjectorState is the record of a projector's state.
func ProjectorState(s *angzarr.ProjectorState) Record {
	return Record{Topic: ProjectorsTopic, Key: []byte(s.Projector), Value: marshal(s)}
}

// ProjectorOrder is the record of an order.
func ProjectorOrder(o *angzarr.SteerProjectorRequest) Record {
	return Record{Topic: ProjectorsTopic, Key: orderKey(o), Value: marshal(o)}
}

// ProjectorAnswer is the tombstone of an order that says what became of it.
func ProjectorAnswer(o *angzarr.SteerProjectorRequest, answer *angzarr.SteerProjectorResponse) Record {
	return Record{Topic: ProjectorsTopic, Key: orderKey(o), Headers: []Header{{Key: HeaderAnswer, Value: marshal(answer)}}}
}

// Disenrolled is the tombstone of what [Enrolled] says, of a group that is gone for
// good.
func Disenrolled(group string) Record { return Record{Topic: GroupsTopic, Key: []byte(group)} }

func orderKey(o *angzarr.SteerProjectorRequest) []byte {
	return []byte(o.Projector + "/" + o.Id)
}

func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic("log: " + err.Error()) // made by us
	}
	return b
}

// Steering is what a record of [ProjectorsTopic] says of a projector. The key is its
// name, and that of an order has /<id> behind it.
type Steering struct {
	Projector string
	// State is the projector's.
	State *angzarr.ProjectorState
	// ID is an order's, and Order the order, nil if it is answered; then Answer
	// is what was said, if anything was.
	ID     string
	Order  *angzarr.SteerProjectorRequest
	Answer *angzarr.SteerProjectorResponse
}

// ReadSteering reads a record of [ProjectorsTopic].
func ReadSteering(r *Record) (s Steering, err error) {
	s.Projector, s.ID, _ = strings.Cut(string(r.Key), "/")
	switch {
	case s.ID == "" && r.Value != nil:
		s.State = &angzarr.ProjectorState{}
		err = proto.Unmarshal(r.Value, s.State)
	case s.ID != "" && r.Value != nil:
		s.Order = &angzarr.SteerProjectorRequest{}
		err = proto.Unmarshal(r.Value, s.Order)
	case s.ID != "":
		if answer := r.Header(HeaderAnswer); answer != nil {
			s.Answer = &angzarr.SteerProjectorResponse{}
			err = proto.Unmarshal(answer, s.Answer)
		}
	}
	if err != nil {
		return Steering{}, fmt.Errorf("%s/%d/%d: key %q: %w", r.Topic, r.Partition, r.Offset, r.Key, err)
	}
	return s, nil
}
