package container

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/httpjson"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// listed is an element of /containers/json.
type listed struct {
	ID    string `json:"Id"`
	Names []string
	Image string
	State string
}

// name is the container's own name: Docker lists names that links give it as well, /other/alias.
func (l listed) name() string {
	for _, n := range l.Names {
		if n = strings.TrimPrefix(n, "/"); n != "" && !strings.Contains(n, "/") {
			return metric.LabelValue(n)
		}
	}
	return l.ID[:min(12, len(l.ID))]
}

// unique orders by name and drops what has the name of another: cut names may be equal.
func unique(all []listed) []listed {
	slices.SortStableFunc(all, func(a, b listed) int { return cmp.Compare(a.name(), b.name()) })
	return slices.CompactFunc(all, func(a, b listed) bool { return a.name() == b.name() })
}

// inspected is the part of /containers/ID/json that is used.
type inspected struct {
	RestartCount *float64
	State        struct {
		Running, Paused       bool
		Pid                   int
		CgroupPath            string
		ExitCode              *float64
		StartedAt, FinishedAt time.Time // year 1 where it never happened
		Health                struct{ Status string }
	}
}

const atOnce = 4

// details emits what only the inspection of each container tells.
func (e *engine) details(ctx context.Context, list []listed, out *metric.Batch) {
	inner, cancel := collector.Margin(ctx, patience)
	defer cancel()
	var (
		mu    sync.Mutex // of out and bad
		bad   int
		group errgroup.Group
	)
	group.SetLimit(atOnce)
	for _, c := range list {
		group.Go(func() error {
			var in inspected
			err := e.client.Get(inner, "/v1.40/containers/"+url.PathEscape(c.ID)+"/json", &in)
			mu.Lock()
			defer mu.Unlock()
			var status httpjson.StatusError
			switch {
			case errors.As(err, &status) && status.Code == http.StatusNotFound: // removed since it was listed
			case err != nil:
				bad++
			default:
				in.emit(c.name(), out)
				if in.State.Running {
					e.usage(c.ID, in, out, c.name())
				}
			}
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	out.Gauge(unreadable, float64(bad))
}

func (in inspected) emit(name string, out *metric.Batch) {
	s := in.State
	// Of a container that does not run Docker says unhealthy and Podman what was last.
	if h := s.Health.Status; h != "" && h != "none" && s.Running && !s.Paused {
		out.State(health, h, name)
	}
	if happened(s.StartedAt) {
		out.Time(started, s.StartedAt, name)
	}
	if happened(s.FinishedAt) {
		out.Time(finished, s.FinishedAt, name)
		if s.ExitCode != nil && !s.Running && !s.Paused {
			out.Gauge(exitCode, *s.ExitCode, name)
		}
	}
	if in.RestartCount != nil && *in.RestartCount >= 0 {
		out.Counter(restarts, *in.RestartCount, name)
	}
}

// happened tells a moment from the ones that stand for never.
func happened(t time.Time) bool { return t.Unix() > 0 }
