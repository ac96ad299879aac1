package bench

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// records are the events as the runtime would write them, byte for byte in
// size: the same keys, values and headers. With them go the offsets to commit.
func (w *bareWorker) records(batch []arrived, books []*pb.EventBook) ([]*kgo.Record, map[int32]int64) {
	now := time.Now()
	records := make([]*kgo.Record, 0, len(batch))
	offsets := map[int32]int64{}
	for i, command := range batch {
		for _, page := range books[i].GetPages() {
			w.numbers++
			records = append(records, w.record(command, page, now))
		}
		offsets[command.partition] = max(command.offset, w.positions[command.partition])
	}
	return records, offsets
}

func (w *bareWorker) record(command arrived, page *pb.EventPage, now time.Time) *kgo.Record {
	domain := command.book.GetCover().GetDomain()
	id := root(command.book.GetCover().GetRoot().GetValue()).String()
	number := strconv.FormatUint(uint64(w.numbers), 10)
	event := page.GetEvent()
	_, name, _ := strings.Cut(event.GetTypeUrl(), "/")

	headers := []kgo.RecordHeader{
		{Key: "content-type", Value: []byte("application/protobuf")},
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(id + "/" + number)},
		{Key: "ce_type", Value: []byte(name)},
		{Key: "ce_source", Value: []byte("angzarr/" + domain)},
		{Key: "ce_subject", Value: []byte(id)},
		{Key: "ce_time", Value: now.UTC().AppendFormat(nil, time.RFC3339Nano)},
	}
	if command.offset < 0 {
		commandID := []byte(uuid.Must(uuid.NewV7()).String())
		headers = append(headers, kgo.RecordHeader{Key: "angzarr-command-id", Value: commandID})
	} else {
		source := []byte(w.txn.topic + "/" + strconv.Itoa(int(command.partition)) + "/" + strconv.FormatInt(command.offset-1, 10))
		headers = append(headers,
			kgo.RecordHeader{Key: "angzarr-command-id", Value: source},
			kgo.RecordHeader{Key: "angzarr-source", Value: source})
	}
	return &kgo.Record{
		Key:       binary.BigEndian.AppendUint32(command.book.GetCover().GetRoot().GetValue()[:16:16], w.numbers),
		Value:     event.GetValue(),
		Headers:   headers,
		Partition: command.partition,
	}
}
