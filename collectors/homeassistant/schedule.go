package homeassistant

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

const maxStorage = 64 << 20

type schedule struct {
	attempted, completed time.Time     // zero: never
	interval             time.Duration // 0: nothing is scheduled
}

func (h *home) readSchedule(_ context.Context, out *metric.Batch) error {
	r, err := os.Open(filepath.Join(h.cfg.ConfigDir, ".storage", "backup"))
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	s, err := parseSchedule(io.LimitReader(r, maxStorage))
	if err != nil {
		return err
	}
	out.Time(attempted, s.attempted)
	out.Time(completed, s.completed)
	if s.interval > 0 {
		out.Gauge(expected, s.interval.Seconds())
	}
	return nil
}

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

const day = 24 * time.Hour

// parseSchedule reads .storage/backup.
//
//	{"version":1,"data":{"config":{"last_attempted_automatic_backup":"2026-10-31T04:45:00+01:00",
//	 "last_completed_automatic_backup":null,"schedule":{"days":["mon"],"recurrence":"custom_days"}}}}
func parseSchedule(r io.Reader) (schedule, error) {
	var file struct {
		Data *struct {
			Config struct {
				Attempted *time.Time `json:"last_attempted_automatic_backup"`
				Completed *time.Time `json:"last_completed_automatic_backup"`
				Schedule  struct {
					Recurrence string
					State      string // of the first version
					Days       []string
				}
			}
		}
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return schedule{}, fmt.Errorf(".storage/backup: %w", err)
	}
	if file.Data == nil {
		return schedule{}, fmt.Errorf(".storage/backup has no data")
	}
	c := file.Data.Config
	var s schedule
	if c.Attempted != nil {
		s.attempted = *c.Attempted
	}
	if c.Completed != nil {
		s.completed = *c.Completed
	}
	recurrence := c.Schedule.Recurrence
	if recurrence == "" {
		recurrence = c.Schedule.State
	}
	switch {
	case recurrence == "daily":
		s.interval = day
	case recurrence == "custom_days":
		s.interval = longestGap(c.Schedule.Days)
	case slices.Contains(weekdays, recurrence):
		s.interval = 7 * day
	}
	return s, nil
}

// longestGap is the longest time between two of the days of a week; 0 without any.
func longestGap(days []string) time.Duration {
	longest, gap := 0, 0
	for i := range 2 * len(weekdays) { // twice: the gap over the end of a week
		gap++
		if slices.Contains(days, weekdays[i%len(weekdays)]) {
			if i >= len(weekdays) {
				longest = max(longest, gap)
			}
			gap = 0
		}
	}
	return time.Duration(longest) * day
}
