package container

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

const (
	// mostNames bounds the series of container_exits_total; later names count as other.
	mostNames = 500
	// longestGap is how far events are read back after the exporter was down.
	longestGap = time.Hour
	// window is the time that Docker's answer takes.
	window = 2 * time.Second
)

// memory is what counting needs to go on after a restart.
type memory struct {
	// Cursor is the time of the newest event that was counted, in Unix nanoseconds.
	Cursor int64
	Exits  metric.Tally
	Names  *metric.Bounded
}

func (e *engine) recall() error {
	if e.memory != nil {
		return nil
	}
	m := &memory{Names: metric.NewBounded(mostNames)}
	found, err := e.store.Load(m)
	if err != nil {
		return err
	}
	if !found {
		m = &memory{Names: metric.NewBounded(mostNames), Cursor: e.now().UnixNano()}
	}
	e.memory = m
	return nil
}

// event is a line of /events. Podman and Docker give the exit code as text.
type event struct {
	Action   string
	TimeNano int64 `json:"timeNano"`
	Actor    struct {
		Attributes struct {
			Name     string `json:"name"`
			ExitCode string `json:"exitCode"`
		}
	}
}

// follow counts the ends that happened since the last run. What is emitted has been saved, so an
// end is counted once, whenever the exporter is killed.
func (e *engine) follow(ctx context.Context, should []string, list []listed) error {
	next := memory{Cursor: e.memory.Cursor, Exits: e.memory.Exits.Clone(), Names: e.memory.Names.Clone()}
	for _, n := range should {
		next.appear(n)
	}
	for _, c := range list {
		next.appear(c.name())
	}
	now := e.now()
	since := max(next.Cursor, now.Add(-longestGap).UnixNano())
	// Podman calls an end died in its filter and die in its answer. It is asked not to follow;
	// Docker follows until the end of the window, which lies ahead because Podman 4 stops reading
	// its file, wherever it is, when the window has ended.
	query := url.Values{
		"since":   {fmt.Sprint(since / int64(time.Second))},
		"until":   {fmt.Sprint(now.Add(window).Unix())},
		"stream":  {"false"},
		"filters": {`{"type":["container"],"event":["die","died"]}`},
	}
	inner, cancel := collector.Margin(ctx, patience)
	defer cancel()
	readErr := e.client.Stream(inner, "/v1.40/events?"+query.Encode(), func(d *json.Decoder) error {
		return next.count(d, since)
	})
	if readErr != nil {
		return readErr
	}
	if err := e.store.Save(&next); err != nil {
		e.logger.Debug("counts are not kept", "err", err)
	}
	e.memory = &next
	return nil
}

// appear gives a container's series their 0, from which increase() counts.
func (m *memory) appear(name string) {
	label := m.Names.Admit(name)
	m.Exits.Add(0, label, resultSuccess)
	m.Exits.Add(0, label, resultFailure)
}

// count reads events in the order of time and counts those after since.
//
//	{"Type":"container","Action":"die","Actor":{"ID":"594f","Attributes":{"exitCode":"1","name":"loop"}},"time":1795626715,"timeNano":1795626715142943295}
func (m *memory) count(d *json.Decoder, since int64) error {
	for {
		var ev event
		if err := d.Decode(&ev); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if ev.Action != "die" || ev.TimeNano <= since || ev.Actor.Attributes.Name == "" {
			continue
		}
		m.Cursor = max(m.Cursor, ev.TimeNano)
		m.appear(ev.Actor.Attributes.Name)
		result := resultFailure
		if ev.Actor.Attributes.ExitCode == "0" {
			result = resultSuccess
		}
		m.Exits.Add(1, m.Names.Admit(ev.Actor.Attributes.Name), result)
	}
}
