package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// recordTo is the environment variable that names the folder to write the answers to, for the
// pictures of test/dashview.
const recordTo = "VULCAN_DASHVIEW"

// record is what the panels of one dashboard are drawn from.
type record struct {
	Start   int64                   `json:"start"`
	End     int64                   `json:"end"`
	Answers map[int][]recordedQuery `json:"answers"`
}

type recordedQuery struct {
	Step   float64 `json:"step"`
	Result any     `json:"result"`
}

type records struct {
	end time.Time
	of  map[string]*record
}

func (r *records) dashboard(d Dashboard) *record {
	if r.of[d.File] == nil {
		r.of[d.File] = &record{Start: r.end.Add(-d.span()).Unix(), End: r.end.Unix(), Answers: map[int][]recordedQuery{}}
	}
	return r.of[d.File]
}

func (r *records) addLogs(d Dashboard, p Panel, results []json.RawMessage) {
	one := r.dashboard(d)
	one.Answers[p.ID] = append(one.Answers[p.ID], recordedQuery{900, results})
}

func (r *records) add(d Dashboard, p Panel, a answer) {
	one := r.dashboard(d)
	var results []map[string]any
	for _, result := range a.Data.Result {
		entry := map[string]any{"metric": result.Metric}
		if result.Values != nil {
			entry["values"] = result.Values
		} else {
			entry["value"] = result.Value
		}
		results = append(results, entry)
	}
	one.Answers[p.ID] = append(one.Answers[p.ID], recordedQuery{step(d.span()).Seconds(), results})
}

// write writes a file for each dashboard, whose name has the suffix.
func (r *records) write(t *testing.T, suffix string) {
	dir := os.Getenv(recordTo)
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, one := range r.of {
		content, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file+suffix), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
