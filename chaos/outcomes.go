package chaos

import (
	"google.golang.org/grpc/codes"
)

// outcomes: each says what the log says.
func (j *judge) outcomes() {
	for _, o := range j.evidence.Outcomes {
		j.outcome(o)
	}
}

// oneEach: each record of the commands topic has exactly one outcome.
func (j *judge) oneEach() {
	count := make(map[string]int)
	for _, o := range j.evidence.Outcomes {
		count[o.ID]++
	}
	for id, records := range j.evidence.Commands {
		say := j.wrong
		if count[id] < records {
			say = j.missing
		}
		if count[id] != records {
			say(j.rootOf(id), id, "command %s is in the commands topic %d times, and has %d outcomes", id, records, count[id])
		}
	}
	for id := range count {
		if j.evidence.Commands[id] == 0 {
			j.wrong(j.rootOf(id), id, "command %s has an outcome, and is not in the commands topic", id)
		}
	}
	for id, tries := range j.commands {
		produced := countProduced(tries)
		if there := j.evidence.Commands[id]; there < produced {
			j.wrong(tries[0].Root, id, "command %s was produced %d times, and is in the commands topic %d times", id, produced, there)
		}
	}
}

// outcome: one that says OK names the command's pages; one that doesn't says
// what was true.
func (j *judge) outcome(o outcome) {
	root, pages := j.rootOf(o.ID), j.pages[o.ID]
	if o.Code == codes.OK {
		if len(pages) == 0 {
			j.wrong(root, o.ID, "command %s: its outcome names pages %d to %d, the log has none", o.ID, o.First, o.Last)
		} else if first, last := pages[0].Number, pages[len(pages)-1].Number; o.First != first || o.Last != last {
			j.wrong(root, o.ID, "command %s: its outcome names pages %d to %d, the log has %d to %d", o.ID, o.First, o.Last, first, last)
		}
		return
	}
	if called := len(j.commands[o.ID]) > countProduced(j.commands[o.ID]); !called && o.Code != codes.FailedPrecondition && o.Code != codes.Aborted {
		// Of a call's copies, whose callers have deadlines, more may be said.
		j.wrong(root, o.ID, "command %s: its outcome is %s: %s", o.ID, o.Code, o.Said)
	}
}

func countProduced(tries []*try) (n int) {
	for _, t := range tries {
		if t.Result == produced {
			n++
		}
	}
	return n
}

func (j *judge) rootOf(id string) (root [16]byte) {
	if tries := j.commands[id]; len(tries) > 0 {
		return tries[0].Root
	}
	return root
}
