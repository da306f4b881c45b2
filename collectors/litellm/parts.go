package litellm

import (
	"context"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/budget"
	"vulcan.lan/vulcan_exporter/collectors/litellm/gateway"
	"vulcan.lan/vulcan_exporter/collectors/litellm/ledger"
	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// databasePart is one part of what is read from the database. read gives what to show of it;
// together with an error where only something less could be read.
type databasePart struct {
	name string
	read func(context.Context, *pgx.Conn) (func(*metric.Batch), error)
}

func (l *litellm) parts(s schema.Schema) []databasePart {
	return []databasePart{
		{partLedger, func(ctx context.Context, conn *pgx.Conn) (func(*metric.Batch), error) {
			return l.readLedger(ctx, conn, s)
		}},
		{partDifference, func(ctx context.Context, conn *pgx.Conn) (func(*metric.Batch), error) {
			if !s.Exists(schema.Daily) {
				return nil, errFallback // nothing to compare
			}
			return l.state.Ledger.EmitDifference, l.state.Ledger.Compare(ctx, conn, s)
		}},
		{partRequests, func(ctx context.Context, conn *pgx.Conn) (func(*metric.Batch), error) {
			return nil, l.state.Requests.Refresh(ctx, conn, s, l.state.Names, l.cfg.Overlap.Std())
		}},
		{partFreshness, func(ctx context.Context, conn *pgx.Conn) (func(*metric.Batch), error) {
			err := l.state.Requests.Freshness(ctx, conn, s)
			return only(err, l.state.Requests.EmitFreshness), err
		}},
		{partBudgets, func(ctx context.Context, conn *pgx.Conn) (func(*metric.Batch), error) {
			all, err := budget.Read(ctx, conn, s)
			return only(err, func(out *metric.Batch) { budget.Emit(out, all, s.Now, l.cfg.MaxLabelValues) }), err
		}},
		{partChecks, func(ctx context.Context, conn *pgx.Conn) (func(*metric.Batch), error) {
			checks, err := gateway.ReadChecks(ctx, conn, s)
			return only(err, func(out *metric.Batch) { gateway.EmitChecks(out, checks, l.cfg.MaxLabelValues) }), err
		}},
	}
}

// only gives what to show unless it could not be read.
func only(err error, show func(*metric.Batch)) func(*metric.Batch) {
	if err != nil {
		return nil
	}
	return show
}

// readLedger reads the daily table or, where there is none, a window of the log.
func (l *litellm) readLedger(ctx context.Context, conn *pgx.Conn, s schema.Schema) (func(*metric.Batch), error) {
	if s.Exists(schema.Daily) {
		err := l.state.Ledger.Refresh(ctx, conn, s, l.state.Names, ledger.Options{
			ByKey: l.cfg.ByKey, ByTeam: l.cfg.ByTeam, Limit: l.cfg.MaxLabelValues,
		})
		return only(err, l.state.Ledger.Emit), err
	}
	window, err := ledger.ReadWindow(ctx, conn, s, l.state.Names)
	if err != nil {
		return nil, err
	}
	return window.Emit, errFallback
}
