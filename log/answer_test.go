package log_test

import (
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

func TestAnswerTo(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	a := log.AnswerTo{Partition: 7, Tag: "a-tag", Sagas: 2, Until: now.Add(time.Second)}
	if got, ok := log.ParseAnswerTo(a.String()); !ok || got.Partition != 7 || got.Tag != "a-tag" || got.Sagas != 2 || !got.Until.Equal(a.Until) {
		t.Errorf("%s is read as %v", a, got)
	}
	for _, text := range []string{"", "/", "1/x/1", "-1/x/1/1", "1//1/1", "1/x/-1/1", "1/x/1/y", "1/x/1/1/1", "1/" + strings.Repeat("x", 200) + "/1/1"} {
		if got, ok := log.ParseAnswerTo(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	if _, ok := log.Waiting(a.String(), now); !ok {
		t.Error("nobody waits")
	}
	if _, ok := log.Waiting(a.String(), now.Add(time.Second)); ok {
		t.Error("somebody waits for ever")
	}
	to := a.String()
	for _, left := range []uint32{1, 0} {
		to = log.BehindSaga(to, now)
		if got, ok := log.ParseAnswerTo(to); !ok || got.Sagas != left || got.Tag != "a-tag" {
			t.Errorf("behind a saga it is %q", to)
		}
	}
	if to = log.BehindSaga(to, now); to != "" {
		t.Errorf("behind the last saga it is %q", to)
	}
	if to = log.BehindSaga(a.String(), now.Add(time.Minute)); to != "" {
		t.Errorf("when nobody waits it is %q", to)
	}
}

func TestServiceOf(t *testing.T) {
	for group, want := range map[string]string{
		log.ProjectorGroup("summary", "order"): "projector.summary of order",
		log.SagaGroup("fulfilment", "order"):   "saga.fulfilment of order",

		log.ProjectorVersionGroup("summary", "order", 3): "projector.summary of order",
		"angzarr.projector.summary.v.order":              "",
		log.Group("order"):                               "",
		"angzarr.projector.summary":                      "",
		"angzarr.projector..order":                       "",
		"angzarr.projector.a.b.c":                        "",
		"angzarr.other.summary.order":                    "",
		"projector.summary.order":                        "",
	} {
		s, ok := log.ServiceOf(group)
		got := ""
		if ok {
			got = s.String() + " of " + s.Domain
		}
		if got != want {
			t.Errorf("%s is %q, want %q", group, got, want)
		}
	}
	r := log.Reader{Group: "g", Synchronous: true}.Enrolled(time.Now())
	if got, there := log.DecodeReader(&r); !there || !got.Synchronous || got.Group != "g" {
		t.Errorf("read as %v", got)
	}
	r = log.Reader{Group: "g"}.Enrolled(time.Now())
	if got, there := log.DecodeReader(&r); !there || got.Synchronous {
		t.Errorf("read as %v", got)
	}
	if _, there := log.DecodeReader(&log.Record{Key: []byte("g")}); there {
		t.Error("a tombstone is a reader")
	}
}
