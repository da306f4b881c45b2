package dnsquery

import (
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

// progress is how reading goes.
type progress struct {
	asked    bool      // the log was asked for since this life of Run began
	up       bool      // the last request for the log was answered
	caughtUp time.Time // when all was read last; zero: not yet
	backlog  int64     // -1: not known
	newest   time.Time // of the rows at the server; zero: not known
}

// view is what may be shown: it is saved, and nobody changes it.
type view struct {
	counts   *counts
	cursor   time.Time
	clients  float64
	domains  float64
	top      []counted
	progress progress
	admitted []string // clients with a counter of their own
}

// publish shows a state that is saved.
func (d *dnsquery) publish(st *position, p progress) {
	now := d.env.Now()
	v := &view{counts: st.Counts.clone(), cursor: st.Position.Newest, top: st.Counts.Top.first(now), progress: p}
	v.clients, v.domains = st.Counts.Distinct.estimate(now)
	v.admitted = st.Counts.admitted()
	d.view.Store(v)
}

func (v *view) emit(out *metric.Batch, n *names) {
	v.counts.emit(out)
	if v.progress.asked {
		out.Bool(apiUp, v.progress.up)
	}
	out.Time(cursorTime, v.cursor)
	out.Time(caughtUp, v.progress.caughtUp)
	for _, client := range v.admitted {
		if name := n.of(client); name != "" {
			out.Info(clientInfo, client, metric.LabelValue(name))
		}
	}
	if !v.progress.up || !v.progress.asked {
		return // what follows is of now
	}
	if v.progress.backlog >= 0 {
		out.Gauge(backlog, float64(v.progress.backlog))
	}
	if !v.progress.newest.IsZero() && !v.cursor.IsZero() {
		out.Gauge(cursorLag, max(0, v.progress.newest.Sub(v.cursor).Seconds()))
	}
	out.Gauge(distinctClients, v.clients, "1h")
	out.Gauge(distinctDomains, v.domains, "1h")
	for _, c := range v.top {
		out.Gauge(topDomains, float64(c.n), c.name)
	}
}
