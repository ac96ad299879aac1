package rebuild

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Service is Projectors. It may be asked in any process: who steers a projector
// answers through the log.
type Service struct {
	angzarr.UnimplementedProjectorsServer
	cluster log.Cluster
	admin   *log.Admin
	writer  *log.Writer
	roster  *partitioning.Roster
	// patience is how long an order waits for its answer, and measured for how long
	// it is seen how fast a rebuild is.
	patience, measured time.Duration
}

// NewService makes it.
func NewService(cluster log.Cluster, admin *log.Admin, writer *log.Writer) *Service {
	return &Service{
		cluster: cluster, admin: admin, writer: writer,
		roster: partitioning.NewRoster(admin.Client()), patience: 10 * time.Second, measured: time.Second,
	}
}

// known are the projectors that have ever begun.
type known struct {
	states map[string]*State
	groups map[string][]string // of any version
}

func (s *Service) known(ctx context.Context) (known, *status.Status) {
	k := known{states: make(map[string]*State), groups: make(map[string][]string)}
	groups, err := s.roster.Groups(ctx, log.SteeringGroup(""))
	if err == nil {
		err = s.read(ctx, k.states)
	}
	if err != nil {
		return k, status.Newf(codes.Unavailable, "it can't be read what projectors there are: %v", err)
	}
	for _, group := range groups {
		if name, _, _, ok := log.ProjectorOf(group); ok {
			k.groups[name] = append(k.groups[name], group)
			if k.states[name] == nil {
				k.states[name] = New(name)
			}
		}
	}
	return k, nil
}

// read reads what was said of projectors.
func (s *Service) read(ctx context.Context, states map[string]*State) error {
	ends, err := s.admin.HighWatermarks(ctx, log.ProjectorsTopic)
	if errors.Is(err, log.ErrNoTopic) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.cluster.Scan(ctx, log.ProjectorsTopic, map[int32]log.Span{0: {To: ends[0]}}, func(r *log.Record) error {
		if said, err := log.ReadSteering(r); err == nil && said.State != nil {
			states[said.Projector] = said.State
		}
		return nil
	})
}

// find gives the projectors that are there if it is one of them.
func (s *Service) find(ctx context.Context, name string) (known, *status.Status) {
	k, st := s.known(ctx)
	if st == nil && k.states[name] == nil {
		all := strings.Join(slices.Sorted(maps.Keys(k.states)), ", ")
		if all == "" {
			all = "none"
		}
		st = status.Newf(codes.NotFound, "projector: there is no %q; there is: %s", name, all)
	}
	return k, st
}

// List gives projectors and how far they are.
func (s *Service) List(ctx context.Context, r *angzarr.ListProjectorsRequest) (*angzarr.ListProjectorsResponse, error) {
	var k known
	var st *status.Status
	if r.Projector == "" {
		k, st = s.known(ctx)
	} else {
		k, st = s.find(ctx, r.Projector)
	}
	if st != nil {
		return nil, st.Err()
	}
	answer := &angzarr.ListProjectorsResponse{}
	for _, name := range slices.Sorted(maps.Keys(k.states)) {
		if r.Projector != "" && r.Projector != name {
			continue
		}
		standing, err := s.standing(ctx, k.states[name], k.groups[name])
		if err != nil {
			return nil, status.Errorf(codes.Unavailable, "projector %s: %v", name, err)
		}
		answer.Projectors = append(answer.Projectors, standing)
	}
	return answer, nil
}

func (s *Service) standing(ctx context.Context, state *State, groups []string) (*angzarr.ProjectorStanding, error) {
	standing := &angzarr.ProjectorStanding{State: state}
	var domains []string
	for _, group := range groups {
		if _, domain, _, _ := log.ProjectorOf(group); !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	shown, err := look(ctx, s.admin, state.Projector, state.Version, domains)
	if err != nil {
		return nil, err
	}
	standing.Lag = shown.left
	members, err := s.roster.Members(ctx, log.SteeringGroup(state.Projector))
	if err != nil {
		return nil, err
	}
	standing.Processes = uint32(len(members))
	if state.Rebuild == nil {
		return standing, nil
	}
	var speed pace
	for i := range 2 {
		if i > 0 {
			calls.Wait(ctx, s.measured)
		}
		p, err := look(ctx, s.admin, state.Projector, state.Rebuild.Version, domains)
		if err != nil {
			return nil, err
		}
		speed.see(time.Now(), p.total-p.left)
		standing.Left, standing.Total = p.left, p.total
	}
	standing.PerSecond = speed.rate()
	return standing, nil
}

// Steer writes the order to the log, and waits for its answer there.
func (s *Service) Steer(ctx context.Context, r *angzarr.SteerProjectorRequest) (*angzarr.SteerProjectorResponse, error) {
	if _, named := angzarr.SteerProjectorRequest_Order_name[int32(r.Order)]; r.Order == 0 || !named {
		return nil, status.Errorf(codes.InvalidArgument, "order: %d is none that is known", r.Order)
	}
	if _, st := s.find(ctx, r.Projector); st != nil {
		return nil, st.Err()
	}
	order := &Order{Projector: r.Projector, Order: r.Order, Id: uuid.NewString(), Asked: timestamppb.Now()}
	answer, err := s.ask(ctx, order)
	switch {
	case err != nil:
		return nil, status.Errorf(codes.Unavailable, "the order may be obeyed yet: %v", err)
	case answer == nil:
		return nil, s.withdraw(context.WithoutCancel(ctx), order)
	case answer.Code != 0:
		return nil, status.Errorf(codes.Code(answer.Code), "projector %s: %s", r.Projector, answer.Message)
	}
	return answer, nil
}

// ask gives the order, and its answer if it comes in time.
func (s *Service) ask(ctx context.Context, order *Order) (answer *angzarr.SteerProjectorResponse, err error) {
	ends, err := s.admin.HighWatermarks(ctx, log.ProjectorsTopic)
	if err != nil {
		return nil, err
	}
	record := log.ProjectorOrder(order)
	if err := s.writer.Write(ctx, &record); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	err = s.cluster.Tail(ctx, log.ProjectorsTopic, ends, func(stretch log.Stretch) {
		for i := range stretch.Records {
			if said, err := log.ReadSteering(&stretch.Records[i]); err == nil && said.ID == order.Id && said.Answer != nil {
				answer = said.Answer
				cancel()
			}
		}
	})
	if answer != nil || ctx.Err() != nil {
		err = nil
	}
	return answer, err
}

// withdraw takes an order back that nobody has answered.
func (s *Service) withdraw(ctx context.Context, order *Order) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	gone := log.ProjectorAnswer(order, &angzarr.SteerProjectorResponse{Code: int32(codes.Canceled), Message: "nobody answered it"})
	why := fmt.Sprintf("projector %s: nobody who serves it has answered within %v: start a process that does", order.Projector, s.patience)
	if err := s.writer.Write(ctx, &gone); err != nil {
		why += fmt.Sprintf("; the order may be obeyed yet (%v)", err)
	}
	return status.Error(codes.Unavailable, why)
}
