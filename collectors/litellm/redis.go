package litellm

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/redisclient"
)

// queues are the lists of general_settings.use_redis_transaction_buffer, by label.
var queues = []struct{ label, list string }{
	{"spend", "litellm_spend_update_buffer"},
	{"daily", "litellm_daily_spend_update_buffer"},
	{"daily_team", "litellm_daily_team_spend_update_buffer"},
	{"daily_org", "litellm_daily_org_spend_update_buffer"},
	{"daily_end_user", "litellm_daily_end_user_spend_update_buffer"},
	{"daily_agent", "litellm_daily_agent_spend_update_buffer"},
	{"daily_tag", "litellm_daily_tag_spend_update_buffer"},
}

func queueNames() []string {
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = q.label
	}
	return names
}

// buffer is LiteLLM's Redis.
type buffer struct{ client *redisclient.Client }

// collect emits the lengths of the queues. A server that is down is data.
func (b *buffer) collect(ctx context.Context, out *metric.Batch) error {
	var ping time.Duration
	lengths := make([]int64, len(queues))
	err := b.client.Use(func(c *redis.Client) error {
		if err := c.Ping(ctx).Err(); err != nil { // it may have had to connect
			return err
		}
		begun := time.Now()
		if err := c.Ping(ctx).Err(); err != nil {
			return err
		}
		ping = time.Since(begun)
		for i, q := range queues {
			n, err := c.LLen(ctx, q.list).Result()
			if err != nil {
				return err
			}
			lengths[i] = n
		}
		return nil
	})
	denied := redisclient.Denied(err)
	out.Bool(redisUp, err == nil || denied)
	reason := ""
	if err != nil && !denied {
		reason = redisclient.Reason(err)
	}
	for _, r := range redisclient.Reasons() {
		out.Bool(redisError, r == reason, r)
	}
	if ping > 0 {
		out.Gauge(redisPing, ping.Seconds())
	}
	if err != nil {
		return err
	}
	for i, q := range queues {
		out.Gauge(queueLength, float64(lengths[i]), q.label)
	}
	return nil
}
