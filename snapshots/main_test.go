package snapshots

import (
	"testing"

	"github.com/angzarr/angzarr-kafka/log/logtest"
)

func TestMain(m *testing.M) { logtest.Overlap(m) }
