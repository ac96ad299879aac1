package partitioning_test

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

// fate is what becomes of a request.
type fate int

const (
	passes      fate = iota
	losesItself      // the broker never sees it, and the connection breaks
	losesAnswer      // the broker acts on it, then the connection breaks
	isLast           // the broker acts on it, then the wire is cut
)

// rule decides on a request. It may block, which holds the request and all
// behind it on its connection.
type rule func(kmsg.Request) fate

// wire lies between a worker's clients and the broker, the embedded one or a
// real one. It can hold requests, lose them or their answers, and break for good.
type wire struct {
	t        testing.TB
	listener net.Listener
	upstream string

	mu     sync.Mutex
	rules  []rule
	forged map[int16]func(kmsg.Response)
	conns  map[net.Conn]bool
	broken bool
}

func newWire(t testing.TB, upstream string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, listener: l, upstream: upstream, conns: make(map[net.Conn]bool), forged: make(map[int16]func(kmsg.Response))}
	t.Cleanup(w.cut)
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

func (w *wire) addr() string { return w.listener.Addr().String() }

// on adds a rule for requests of a key; the first rule that lets a request not
// pass decides.
func (w *wire) on(key kmsg.Key, r rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = append(w.rules, func(req kmsg.Request) fate {
		if req.Key() != key.Int16() {
			return passes
		}
		return r(req)
	})
}

// holding has requests of a key wait until they are released, at the latest when
// the test ends.
func holding(w *wire, key kmsg.Key) (held <-chan struct{}, release func()) {
	holds, released := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(holds) })
	w.on(key, func(kmsg.Request) fate {
		first()
		<-released
		return passes
	})
	release = sync.OnceFunc(func() { close(released) })
	w.t.Cleanup(release)
	return holds, release
}

// cut breaks the wire for good, as a crash does: nothing that was not sent
// before is sent any more.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	w.listener.Close()
	for c := range w.conns {
		c.Close()
	}
}

func (w *wire) track(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		c.Close()
		return false
	}
	w.conns[c] = true
	return true
}

func (w *wire) fateOf(req kmsg.Request) fate {
	w.mu.Lock()
	rules := w.rules
	w.mu.Unlock()
	for _, r := range rules {
		if f := r(req); f != passes {
			return f
		}
	}
	return passes
}

// request is one that was passed on and is not answered yet.
type request struct {
	key, version int16
	fate         fate
}

func (w *wire) serve(client net.Conn) {
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
			if r.fate == isLast {
				w.cut()
			}
			if err != nil || r.fate == losesAnswer {
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
		if r.fate == losesItself {
			return
		}
		asked <- r
		if _, err := broker.Write(frame(raw)); err != nil {
			return
		}
	}
}

// forge has answers to requests of a key changed.
func (w *wire) forge(key kmsg.Key, change func(kmsg.Response)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forged[key.Int16()] = change
}

// answered gives what the client gets to see of an answer. It keeps clients on
// the wire: brokers tell them their own addresses.
func (w *wire) answered(r request, answer []byte) []byte {
	w.mu.Lock()
	change := w.forged[r.key]
	w.mu.Unlock()
	resp := kmsg.ResponseForKey(r.key)
	resp.SetVersion(r.version)
	head := 4 // correlation id, then tags
	if resp.IsFlexible() {
		head++
	}
	host, text, _ := net.SplitHostPort(w.addr())
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
