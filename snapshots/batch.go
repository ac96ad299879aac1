package snapshots

import (
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
)

// batch is written at once, or not at all. No key is in it twice.
type batch struct {
	keys    keys
	sets    []item
	appends []item
	deletes []string
	asked   []*edit // what needs a look at what is stored
	lost    int     // books that are given up without one

	bytes []byte // keys and values of items, one behind the other
	texts []argument
	args  []any
}

// item says where a key and its value stand in the batch's bytes.
type item struct{ key, value, end int }

// begin empties the batch.
func (b *batch) begin(k keys) {
	*b = batch{
		keys: k, sets: b.sets[:0], appends: b.appends[:0], deletes: b.deletes[:0], asked: b.asked[:0],
		bytes: b.bytes[:0], texts: b.texts, args: b.args,
	}
}

func (b *batch) set(kind byte, root log.Root, value ...[]byte) {
	b.sets = append(b.sets, b.item(kind, root, value))
}

func (b *batch) append(kind byte, root log.Root, value ...[]byte) {
	b.appends = append(b.appends, b.item(kind, root, value))
}

func (b *batch) item(kind byte, root log.Root, parts [][]byte) item {
	it := item{key: len(b.bytes)}
	b.bytes = b.keys.append(b.bytes, kind, root)
	it.value = len(b.bytes)
	for _, part := range parts {
		b.bytes = append(b.bytes, part...)
	}
	it.end = len(b.bytes)
	return it
}

// commands gives the arguments of all commands, MSET for everything that is set:
// then Redis sends one answer instead of one for each. They are good until the batch
// is emptied.
func (b *batch) commands() (all [][]any) {
	const mset, appends = 1, 3 // arguments beside keys and values; all of one
	if n := 2 * (len(b.sets) + len(b.appends)); cap(b.texts) < n {
		b.texts = make([]argument, 0, n+n/4)
	}
	b.texts, b.args = b.texts[:0], slices.Grow(b.args[:0], mset+2*len(b.sets)+appends*len(b.appends))
	add := func(i item) {
		n := len(b.texts)
		b.texts = append(b.texts, b.bytes[i.key:i.value], b.bytes[i.value:i.end])
		b.args = append(b.args, &b.texts[n], &b.texts[n+1])
	}
	if len(b.sets) > 0 {
		b.args = append(b.args, "mset")
		for _, i := range b.sets {
			add(i)
		}
		all = append(all, slices.Clip(b.args))
	}
	for _, i := range b.appends {
		n := len(b.args)
		b.args = append(b.args, "append")
		add(i)
		all = append(all, slices.Clip(b.args[n:]))
	}
	return all
}

// argument is one of a command. A pointer to one is one too, for which nothing
// is allocated: there are millions of them.
type argument []byte

// MarshalBinary is for the client.
func (a *argument) MarshalBinary() ([]byte, error) { return *a, nil }
