package doctor

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// examinePeers tries to reach the processes at the addresses that they tell each
// other.
func examinePeers(ctx context.Context, admin *log.Admin, creds credentials.TransportCredentials) (all []Finding) {
	roster := partitioning.NewRoster(admin.Client())
	groups, err := partitioning.Groups(ctx, admin.Client(), log.GroupPrefix)
	if err != nil {
		return []Finding{unasked("processes", err)}
	}
	members, err := roster.Members(ctx, groups...)
	if err != nil {
		return []Finding{unasked("processes", err)}
	}
	incarnations := make(map[string][]string)
	for _, m := range members {
		if m.Address != "" && !slices.Contains(incarnations[m.Address], m.Incarnation) {
			incarnations[m.Address] = append(incarnations[m.Address], m.Incarnation)
		}
	}
	var addresses []string
	for address := range incarnations {
		addresses = append(addresses, address)
	}
	slices.Sort(addresses)
	for _, address := range addresses {
		all = append(all, judgePeer(address, incarnations[address], knock(ctx, address, creds)))
	}
	return all
}

// visit is what came of a visit to a process.
type visit struct {
	took         time.Duration
	incarnations []string // nil if it was not asked
	err          error
}

// knock connects, and asks who is there where it is known how.
func knock(ctx context.Context, address string, creds credentials.TransportCredentials) visit {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return visit{err: err}
	}
	v := visit{took: time.Since(begun)}
	conn.Close()
	if creds == nil {
		return v
	}
	door, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds))
	if err != nil {
		return visit{err: err}
	}
	defer door.Close()
	stream, err := angzarr.NewPeersClient(door).Greet(ctx, &angzarr.GreetRequest{})
	var answer *angzarr.GreetResponse
	if err == nil {
		answer, err = stream.Recv()
	}
	if err != nil {
		return visit{err: fmt.Errorf("%s", status.Convert(err).Message())}
	}
	v.incarnations = answer.GetIncarnations()
	return v
}

func judgePeer(address string, members []string, v visit) Finding {
	about := "process at " + address
	switch {
	case v.err != nil:
		return Finding{Wrong, about, fmt.Sprintf("is a member of groups, and can't be reached from here: %v", v.err),
			"where others can't reach it either, commands go through the topics, and its death is noticed late: set peers.advertise, open the port, check peers.tls"}
	case v.incarnations != nil && !slices.ContainsFunc(members, func(m string) bool { return slices.Contains(v.incarnations, m) }):
		return Finding{Advice, about, "another process than the member answers", "if it stays so after a few seconds: give each process an address of its own (peers.advertise)"}
	case v.incarnations != nil:
		return Finding{Fine, about, fmt.Sprintf("answers within %v", v.took.Round(100*time.Microsecond)), ""}
	}
	return Finding{Fine, about, fmt.Sprintf("can be reached, within %v", v.took.Round(100*time.Microsecond)), ""}
}
