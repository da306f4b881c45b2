package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// failedTest is a test that has failed.
type failedTest struct{ testing.TB }

func (failedTest) Failed() bool { return true }

// TestProof: a line for each alert of a test that passed, and none of one that failed.
func TestProof(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("VULCAN_PROOF_DIR", dir)
	h := &Harness{t: t, options: Options{
		Rules: []string{"service_alerts", "exporter"}, Fakes: map[string]string{"Timer": "the timer"},
	}}
	h.fired = addOnce(addOnce(addOnce(nil, "TimerOverdue"), "CriticalServiceDown"), "TimerOverdue")
	h.resolved = addOnce(nil, "CriticalServiceDown")
	h.recordProof()
	h.t = failedTest{t}
	h.recordProof()

	file, err := os.Open(filepath.Join(dir, "e2e.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var got []proof
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var p proof
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if len(p.Rules) != 2 || len(p.Rules["exporter"]) != 64 {
			t.Errorf("rules: %v", p.Rules)
		}
		p.Rules = nil
		got = append(got, p)
	}
	want := []proof{
		{Alert: "TimerOverdue", Test: "TestProof", Fake: "the timer"},
		{Alert: "CriticalServiceDown", Test: "TestProof", Resolved: true},
	}
	if len(got) != len(want) || got[0].Alert != want[0].Alert || got[0].Fake != want[0].Fake || got[0].Resolved ||
		got[1].Alert != want[1].Alert || got[1].Test != want[1].Test || got[1].Fake != "" || !got[1].Resolved {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
