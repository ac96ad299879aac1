package cases

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/order"
	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/schema"
)

// serve starts business logic, and gives the connection to it and its types.
func serve(t testing.TB, register func(*grpc.Server)) (*grpc.ClientConn, *schema.Types) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, schema.FromReflection(conn, "the logic")
}

func all(*Case) bool { return true }

func runAll(t testing.TB, s *Suite, conn *grpc.ClientConn, types *schema.Types) []Result {
	t.Helper()
	if err := s.Prepare(context.Background(), types); err != nil {
		t.Fatal(err)
	}
	results, err := s.Run(context.Background(), conn, types, all, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// The examples' logic does what their cases say, with types that are learned from
// it alone.
func TestExamples(t *testing.T) {
	for name, register := range map[string]func(*grpc.Server){"inventory": inventory.Register, "order": order.Register} {
		t.Run(name, func(t *testing.T) {
			s, err := Load(filepath.Join("..", "examples", name, "cases.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			conn, types := serve(t, register)
			results := runAll(t, s, conn, types)
			if len(results) < 30 {
				t.Errorf("only %d cases", len(results))
			}
			for _, r := range results {
				if r.Failed != "" {
					t.Errorf("%s:%d: %s: %s\n%s", r.Case.File, r.Case.Line, r.Case.Name, r.Failed, strings.Join(r.Lines, "\n"))
				}
			}
		})
	}
}

// What is wrong with a file is told all at once, with its lines.
func TestProblems(t *testing.T) {
	const right = "domain: d\ncases:\n- name: n\n  when: {a.B: {}}\n  then: []\n"
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", "f:1: the file is empty: want domain and cases"},
		{"no YAML", "domain: {", "f:1: want YAML: "},
		{"a list", "- a", "f:1: want a file of cases, with domain, root, shared, cases"},
		{"no domain", "cases:\n- name: n\n  when: a.B\n  then: []\n", "f:1: domain is missing"},
		{"no cases", "domain: d", "f:1: cases: want a list of cases"},
		{"empty cases", "domain: d\ncases: []", "f:1: cases: want a list of cases"},
		{"a misspelt key", "domian: d\ncases: []", "f:1: domian: there is no such key; did you mean domain?"},
		{"a key that is like no other", right + "  xyz: 1", "f:6: xyz: there is no such key; a case has name, root, snapshot"},
		{"a key twice", "domain: d\ndomain: e\ncases: []", "f:2: domain: it is there twice"},
		{"a misspelt key of a case", "domain: d\ncases:\n- name: n\n  wen: {a.B: {}}\n  then: []", "f:4: wen: there is no such key; did you mean when?"},
		{"no command", "domain: d\ncases:\n- name: n\n  then: []", "f:3: when is missing"},
		{"no outcome", "domain: d\ncases:\n- name: n\n  when: a.B", "f:3: then is missing"},
		{"two outcomes", right + "  refused: ABORTED", "f:3: then and refused"},
		{"no name", "domain: d\ncases:\n- when: a.B\n  then: []", "f:3: name is missing"},
		{"a name twice", right + "- name: n\n  when: a.B\n  then: []", "f:6: name: the case in line 3 has it already"},
		{"no code", "domain: d\ncases:\n- name: n\n  when: a.B\n  refused: ABORT", `f:5: refused: there is no code "ABORT"; did you mean ABORTED?`},
		{"OK is no refusal", "domain: d\ncases:\n- name: n\n  when: a.B\n  refused: OK", `f:5: refused: there is no code "OK"`},
		{"a misspelt key of a refusal", "domain: d\ncases:\n- name: n\n  when: a.B\n  refused: {code: ABORTED, mesage: x}", "f:5: mesage: there is no such key; did you mean message?"},
		{"two types at once", "domain: d\ncases:\n- name: n\n  when: {a.B: {}, a.C: {}}\n  then: []", "f:4: when: want one type and what it holds"},
		{"events that are no list", "domain: d\ncases:\n- name: n\n  when: a.B\n  then: {a.B: {}}", "f:5: then: want a list"},
		{"no root", "domain: d\nroot: 1\ncases:\n- name: n\n  when: a.B\n  then: []", `f:2: root: "1" is no UUID`},
		{"covers without a snapshot", right + "  covers: 3", "f:6: covers: it is the number"},
		{"covers nothing", right + "  snapshot: a.S\n  covers: 0", "f:7: covers: want the number"},
		{"a key of a payload twice", "domain: d\ncases:\n- name: n\n  when: {a.B: {x: 1, x: 2}}\n  then: []", "f:4: a.B: line 4: x is there twice"},
		{"two things", "domain: d\ncases:\n- nam: n\n- name: m\n  whn: a.B", "f:3: nam: there is no such key; did you mean name?\nf:5: whn: there is no such key; did you mean when?"},
		{"aliases of aliases", "domain: d\nshared:\n- &a [1,2,3,4,5,6,7,8,9]\n- &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n- &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n- &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n- &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n- &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n- &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\ncases:\n- name: n\n  when: {a.B: {x: *g}}\n  then: []", "f:12: a.B: aliases make too much of the file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parse("f", []byte(tc.text))
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	if _, err := parse("f", []byte(right)); err != nil {
		t.Errorf("what is right: %v", err)
	}
}

// Payloads are made of YAML as people mean it.
func TestPayloads(t *testing.T) {
	for _, tc := range []struct{ yaml, want string }{
		{"{a: 1, b: -2, c: 0x10, d: 1.5, e: 18446744073709551615}", `{"a":1,"b":-2,"c":16,"d":1.5,"e":18446744073709551615}`},
		{"{a: yes, b: true, c: null, d: '1', e: 2026-01-31T12:00:00Z}", `{"a":"yes","b":true,"c":null,"d":"1","e":"2026-01-31T12:00:00Z"}`},
		{"{a: [1, {b: c}], 1: x}", `{"a":[1,{"b":"c"}],"1":"x"}`},
		{"{a: .inf, b: -.inf, c: .nan}", `{"a":"Infinity","b":"-Infinity","c":"NaN"}`},
		{"{<<: {a: 1, b: 2}, b: 3}", `{"b":3,"a":1}`},
		{"{<<: [{a: 1}, {a: 2, c: 4}], b: 3}", `{"b":3,"a":1,"c":4}`},
		{"", `{}`},
	} {
		s, err := parse("f", []byte("domain: d\ncases:\n- name: n\n  when: {a.B: "+tc.yaml+"}\n  then: []"))
		if err != nil {
			t.Errorf("%s: %v", tc.yaml, err)
			continue
		}
		if got := string(s.Cases[0].when[0].json); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.yaml, got, tc.want)
		}
	}
}

// wild answers what no coordinator would take, or what differs from what it must.
type wild struct {
	angzarr.UnimplementedBusinessLogicServer
	answer func(*angzarr.ContextualCommand) *angzarr.EventBook
}

func (w wild) Handle(_ context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	return w.answer(c), nil
}

func TestAnswers(t *testing.T) {
	created := &stock.ProductCreated{Sku: "A", Quantity: 3}
	packed := func(m *stock.ProductCreated) *anypb.Any {
		p, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	state, err := anypb.New(&stock.Product{Sku: "A", Reservations: map[string]uint32{"a": 1, "b": 2, "c": 3}})
	if err != nil {
		t.Fatal(err)
	}
	const file = `
domain: inventory
cases:
- name: n
  given: [inventory.ProductCreated]
  when: inventory.CreateProduct
  then: [{inventory.ProductCreated: {sku: A, quantity: 3}}]
  then_snapshot: {inventory.Product: {sku: A, reservations: {c: 3, b: 2, a: 1}}}
`
	for _, tc := range []struct {
		name   string
		answer *angzarr.EventBook
		want   string
	}{
		{"right", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: packed(created)}}, Snapshot: &angzarr.Snapshot{State: state}}, ""},
		{"right, with its number", &angzarr.EventBook{
			Pages: []*angzarr.EventPage{{Sequence: &angzarr.EventPage_Num{Num: 2}, Event: packed(created)}}, Snapshot: &angzarr.Snapshot{State: state}}, ""},
		{"another number", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Sequence: &angzarr.EventPage_Num{Num: 3}, Event: packed(created)}}},
			"a coordinator refuses such an answer: pages[0].num: is 3, but the next page is 2"},
		{"another aggregate", &angzarr.EventBook{Cover: &angzarr.Cover{Domain: "order"}}, "a coordinator refuses such an answer: cover: "},
		{"no event", &angzarr.EventBook{Pages: []*angzarr.EventPage{{}}}, "a coordinator refuses such an answer: pages[0].event: "},
		{"none", &angzarr.EventBook{}, "0 events followed, not 1"},
		{"too many", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: packed(created)}, {Event: packed(created)}}}, "2 events followed, not 1"},
		{"another one", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: packed(&stock.ProductCreated{Sku: "B"})}}}, "other events followed"},
		{"another type", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: state}}}, "other events followed"},
		{"no snapshot", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: packed(created)}}}, "there is no snapshot"},
		{"another snapshot", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: packed(created)}}, Snapshot: &angzarr.Snapshot{State: packed(created)}}, "it is another snapshot"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := parse("f", []byte(file))
			if err != nil {
				t.Fatal(err)
			}
			conn, _ := serve(t, func(server *grpc.Server) {
				angzarr.RegisterBusinessLogicServer(server, wild{answer: func(*angzarr.ContextualCommand) *angzarr.EventBook { return tc.answer }})
			})
			got := runAll(t, s, conn, schema.Linked())[0].Failed
			if tc.want == "" && got != "" || !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// What business logic is asked is what a coordinator asks.
func TestRequest(t *testing.T) {
	s, err := parse("f", []byte(`
domain: inventory
root: 550e8400-e29b-41d4-a716-446655440000
cases:
- name: n
  snapshot: {inventory.Product: {sku: A}}
  covers: 40
  given: [inventory.StockAdjusted, inventory.StockAdjusted]
  when: [inventory.AdjustStock, inventory.CreateProduct]
  then: []
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(t.Context(), schema.Linked()); err != nil {
		t.Fatal(err)
	}
	r := s.Cases[0].request()
	if got := fmt.Sprintf("%x %d %d %d %d", r.Events.Cover.Root.Value, r.Events.Snapshot.Sequence, r.Events.Pages[0].GetNum(), r.Events.Pages[1].GetNum(), len(r.Command.Pages)); got != "550e8400e29b41d4a716446655440000 40 41 42 2" {
		t.Error(got)
	}
}

func TestDifference(t *testing.T) {
	for _, tc := range []struct{ want, got, diff string }{
		{"a b c", "a b c", "  a|  b|  c"},
		{"a b c", "a x c", "  a|- b|+ x|  c"},
		{"a b", "", "- a|- b"},
		{"", "a b", "+ a|+ b"},
		{"a b c d", "b c d e", "- a|  b|  c|  d|+ e"},
	} {
		if got := strings.Join(difference(strings.Fields(tc.want), strings.Fields(tc.got)), "|"); got != tc.diff {
			t.Errorf("%s and %s: %s, want %s", tc.want, tc.got, got, tc.diff)
		}
	}
}

func TestJUnit(t *testing.T) {
	var out bytes.Buffer
	a, b := &Case{Name: "n <1>", File: "a.yaml", Line: 3, domain: "d"}, &Case{Name: "n", File: "b.yaml", domain: "d"}
	err := WriteJUnit(&out, []Result{{Case: a, Took: 1500000}, {Case: a, Failed: "it \"failed\"", Lines: []string{"- x", "+ y"}}, {Case: b}})
	if err != nil {
		t.Fatal(err)
	}
	var read junitSuites
	if err := xml.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatalf("%v:\n%s", err, &out)
	}
	if len(read.Suites) != 2 || read.Suites[0].Tests != 2 || read.Suites[0].Failures != 1 || read.Suites[1].Failures != 0 {
		t.Errorf("%+v", read.Suites)
	}
	first := read.Suites[0].Cases
	if first[0].Name != "n <1>" || first[0].Failure != nil || first[0].Time != "0.001500" || first[1].Failure.Text != "- x\n+ y" {
		t.Errorf("%+v", first)
	}
}

// many writes a file of n cases.
func many(t testing.TB, n int) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("domain: inventory\ncases:\n")
	for i := range n {
		fmt.Fprintf(&text, `- name: case %d
  given:
  - inventory.ProductCreated: {sku: WIDGET, name: Widget, quantity: 10}
  - inventory.StockAdjusted: {delta: %d}
  when: {inventory.AdjustStock: {delta: 5, reason: delivery}}
  then:
  - inventory.StockAdjusted: {delta: 5, reason: delivery, stock: {sku: WIDGET, on_hand: %d}}
`, i, i, 15+i)
	}
	file := filepath.Join(t.TempDir(), "many.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// BenchmarkCases runs a file from reading it to its last answer.
func BenchmarkCases(b *testing.B) {
	const n = 2000
	file := many(b, n)
	conn, types := serve(b, inventory.Register)
	for b.Loop() {
		s, err := Load(file)
		if err != nil {
			b.Fatal(err)
		}
		results := runAll(b, s, conn, types)
		if i := slices.IndexFunc(results, func(r Result) bool { return r.Failed != "" }); i >= 0 || len(results) != n {
			b.Fatal(len(results), i)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "cases/s")
}
