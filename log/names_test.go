package log

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		CommandsTopic("order"):    "angzarr.order.commands",
		EventsTopic("order"):      "angzarr.order.events",
		OutcomesTopic("order"):    "angzarr.order.outcomes",
		DeadLettersTopic("order"): "angzarr.order.dead-letters",
		RepliesTopic:              "angzarr.replies",
		Group("order"):            "angzarr.order",
	} {
		if got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
}

func TestDomainOf(t *testing.T) {
	for topic, want := range map[string]string{
		"angzarr.order.commands":       "order",
		"angzarr.a-b_9.commands":       "a-b_9",
		"angzarr.order.events":         "",
		"angzarr.replies":              "",
		"angzarr..commands":            "",
		"angzarr.commands":             "",
		"angzarr.a.b.commands":         "",
		"angzarr.projections.commands": "",
		"other.order.commands":         "",
	} {
		got, ok := DomainOf(topic)
		if got != want || ok != (want != "") {
			t.Errorf("domain of %s: %q, %v, want %q", topic, got, ok, want)
		}
	}
}

func TestValidDomain(t *testing.T) {
	for _, good := range []string{"a", "7", "order", "order-2_x", strings.Repeat("a", 200)} {
		if err := ValidDomain(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, says := range map[string]string{
		"":                       "is empty",
		"Order":                  `'O' at position 1`,
		"-order":                 `'-' at position 1`,
		"a.b":                    `'.' at position 2`,
		"käse":                   `'ä' at position 2`,
		"projections":            "is taken",
		strings.Repeat("a", 201): "has 201 characters",
	} {
		if err := ValidDomain(bad); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error with %q", bad, err, says)
		}
	}
}
