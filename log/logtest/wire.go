package logtest

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fate is what becomes of a request.
type Fate int

// The fates of requests on a [Wire].
const (
	Passes        Fate = iota
	LosesItself        // the broker never sees it, and the connection breaks
	LosesAnswer        // the broker acts on it, then the connection breaks
	CrashesBefore      // the broker never sees it, and the wire breaks for good
	CrashesAfter       // the broker acts on it, then the wire breaks for good
)

// Rule decides on a request. It may block, which holds the request and all
// behind it on its connection.
type Rule func(kmsg.Request) Fate

// Wire lies between a process's clients and the broker, the embedded one or a
// real one. It can hold requests, lose them or their answers, and break for good.
type Wire struct {
	listener net.Listener
	upstream string

	mu     sync.Mutex
	rules  []Rule
	forged map[int16]func(kmsg.Response)
	conns  map[net.Conn]bool
	broken bool
}

// NewWire lays one to a broker, which lasts until the test ends.
func NewWire(t testing.TB, upstream string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{listener: l, upstream: upstream, forged: make(map[int16]func(kmsg.Response)), conns: make(map[net.Conn]bool)}
	t.Cleanup(w.Cut)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(client)
		}
	}()
	return w
}

// Addr is the broker's address for who is to use the wire.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// On adds a rule for requests of a key; the first rule that lets a request not
// pass decides.
func (w *Wire) On(key kmsg.Key, r Rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = append(w.rules, func(req kmsg.Request) Fate {
		if req.Key() != key.Int16() {
			return Passes
		}
		return r(req)
	})
}

// Hold has requests of a key wait until they are released, at the latest when the
// test ends.
func (w *Wire) Hold(t testing.TB, key kmsg.Key) (held <-chan struct{}, release func()) {
	holds, released := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(holds) })
	w.On(key, func(kmsg.Request) Fate {
		first()
		<-released
		return Passes
	})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	return holds, release
}

// Forge has answers to requests of a key changed, other than those that say
// where brokers are.
func (w *Wire) Forge(key kmsg.Key, change func(kmsg.Response)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forged[key.Int16()] = change
}

// Cut breaks the wire for good, as a crash does: nothing that was not sent
// before is sent any more.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	w.listener.Close()
	for c := range w.conns {
		c.Close()
	}
}

// IsCut says whether it was cut.
func (w *Wire) IsCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

func (w *Wire) track(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		c.Close()
		return false
	}
	w.conns[c] = true
	return true
}

func (w *Wire) fateOf(req kmsg.Request) Fate {
	w.mu.Lock()
	rules := w.rules
	w.mu.Unlock()
	for _, r := range rules {
		if f := r(req); f != Passes {
			return f
		}
	}
	return Passes
}

// request is one that was passed on and is not answered yet.
type request struct {
	key, version int16
	fate         Fate
}

func (w *Wire) serve(client net.Conn) {
	defer client.Close()
	broker, err := net.Dial("tcp", w.upstream)
	if err != nil {
		return
	}
	defer broker.Close()
	if !w.track(client) || !w.track(broker) {
		return
	}
	asked := make(chan request, 1000)
	go func() {
		defer client.Close()
		defer broker.Close()
		for r := range asked {
			answer, err := readFrame(broker)
			if r.fate == CrashesAfter {
				w.Cut()
			}
			if err != nil || r.fate == LosesAnswer || r.fate == CrashesAfter {
				return
			}
			if _, err := client.Write(frame(w.answered(r, answer))); err != nil {
				return
			}
		}
	}()
	defer close(asked)
	for {
		raw, err := readFrame(client)
		if err != nil {
			return
		}
		req := parse(raw)
		r := request{req.Key(), req.GetVersion(), w.fateOf(req)}
		if r.fate == CrashesBefore {
			w.Cut()
		}
		if r.fate == LosesItself || r.fate == CrashesBefore {
			return
		}
		asked <- r
		if _, err := broker.Write(frame(raw)); err != nil {
			return
		}
	}
}

// answered gives what the client gets to see of an answer. It keeps clients on
// the wire: brokers tell them their own addresses.
func (w *Wire) answered(r request, answer []byte) []byte {
	w.mu.Lock()
	change := w.forged[r.key]
	w.mu.Unlock()
	resp := kmsg.ResponseForKey(r.key)
	resp.SetVersion(r.version)
	head := 4 // correlation id, then tags
	if resp.IsFlexible() {
		head++
	}
	host, text, _ := net.SplitHostPort(w.Addr())
	n, _ := strconv.ParseInt(text, 10, 32)
	port := int32(n)
	switch resp := resp.(type) {
	case *kmsg.MetadataResponse:
		change = func(kmsg.Response) {
			for i := range resp.Brokers {
				resp.Brokers[i].Host, resp.Brokers[i].Port = host, port
			}
		}
	case *kmsg.FindCoordinatorResponse:
		change = func(kmsg.Response) {
			resp.Host, resp.Port = host, port
			for i := range resp.Coordinators {
				resp.Coordinators[i].Host, resp.Coordinators[i].Port = host, port
			}
		}
	}
	if change == nil || resp.ReadFrom(answer[head:]) != nil {
		return answer
	}
	change(resp)
	return resp.AppendTo(answer[:head:head])
}

func readFrame(from io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(from, raw)
	return raw, err
}

func frame(raw []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...)
}

// parse reads a request behind its header: key, version, correlation id, client
// id, tags.
func parse(raw []byte) kmsg.Request {
	b := kbin.Reader{Src: raw}
	req := kmsg.RequestForKey(b.Int16())
	req.SetVersion(b.Int16())
	b.Int32()
	b.NullableString()
	if req.IsFlexible() {
		kmsg.SkipTags(&b)
	}
	if err := req.ReadFrom(b.Src); err != nil {
		panic("wire: " + err.Error())
	}
	return req
}
