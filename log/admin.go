package log

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Admin asks brokers about topics and groups, and creates what is missing.
type Admin struct {
	client *kgo.Client

	mu     sync.Mutex
	places map[string]place
}

// NewAdmin makes one; Close must follow. Nothing is connected yet.
func (c Cluster) NewAdmin(clientID string) (*Admin, error) {
	client, err := kgo.NewClient(c.Options(clientID)...)
	if err != nil {
		return nil, fmt.Errorf("admin client: %w", err)
	}
	return &Admin{client: client}, nil
}

// Client is for packages that speak Kafka themselves.
func (a *Admin) Client() *kgo.Client { return a.client }

// EnsureDomain is [EnsureDomain].
func (a *Admin) EnsureDomain(ctx context.Context, domain string, s TopicSettings) (Domain, error) {
	return EnsureDomain(ctx, a.client, domain, s)
}

// EnsureReplies is [EnsureReplies].
func (a *Admin) EnsureReplies(ctx context.Context, s TopicSettings) (int32, error) {
	return EnsureReplies(ctx, a.client, s)
}

// Domains is [Domains].
func (a *Admin) Domains(ctx context.Context) (map[string]int32, error) {
	return Domains(ctx, a.client)
}

// Facts is [CheckBroker].
func (a *Admin) Facts(ctx context.Context) (BrokerFacts, error) {
	return CheckBroker(ctx, a.client)
}

// HighWatermarks is [HighWatermarks].
func (a *Admin) HighWatermarks(ctx context.Context, topic string) (map[int32]int64, error) {
	return HighWatermarks(ctx, a.client, topic)
}

// StableOffsets is [StableOffsets].
func (a *Admin) StableOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	return StableOffsets(ctx, a.client, topic)
}

// Close closes the connections.
func (a *Admin) Close() { a.client.Close() }
