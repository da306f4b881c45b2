package collector

import (
	"context"
	"time"
)

// Margin gives a context that ends a fraction of the remaining time before the given one, so that
// a run which got no answer in time can still say so.
func Margin(ctx context.Context, fraction float64) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-time.Duration(fraction*float64(time.Until(deadline)))))
}
