package systemd

import (
	"slices"
	"testing"
	"time"
)

func TestFailures(t *testing.T) {
	f := newFixture(t, Interest{})
	started := time.Now()

	_, _ = f.TrySystemctl("start", "short.service") // 100 ms, and gone from memory at once
	run := f.ran("short.service", 1)
	if run.Success || run.Result != "exit-code" || run.ExitCode != 7 || run.InvocationID == "" || run.Start.Before(started) || !run.Exit.After(run.Start) {
		t.Errorf("short.service: %+v", run)
	}
	_, _ = f.TrySystemctl("start", "short.service")
	f.ran("short.service", 2)
	f.settle()
	if u := f.until("short.service", func(u *Unit) bool { return !u.InMemory }); u.Failures != 2 || u.Runs != 2 || !slices.Equal(u.Results, []string{"exit-code"}) {
		t.Errorf("two failures of short.service: %+v", *u)
	}
	// Loaded again by what refers to it, it has no run for systemd.
	f.Systemctl("start", "keeper.service")
	f.settle()
	u := f.until("short.service", func(u *Unit) bool { return u.InMemory && u.LoadState == "loaded" })
	if last, ok := u.LastRun(); !ok || last.Result != "exit-code" || last.InvocationID != f.runsOf("short.service")[1].InvocationID || u.Result != "exit-code" || u.Failures != 2 || u.Runs != 2 {
		t.Errorf("short.service loaded again: %+v", *u)
	}
	_, _ = f.TrySystemctl("start", "short.service")
	f.ran("short.service", 3)
	if u := f.settle().Unit("short.service"); u.Failures != 3 || u.Runs != 3 {
		t.Errorf("a third failure of short.service: %+v", *u)
	}

	f.Systemctl("start", "killed.service")
	f.until("killed.service", (*Unit).Active)
	f.Systemctl("kill", "--signal=KILL", "killed.service")
	if run := f.ran("killed.service", 1); run.Result != "signal" || run.ExitCode != -1 || run.Signal != 9 {
		t.Errorf("killed.service: %+v", run)
	}
	_, _ = f.TrySystemctl("start", "slow.service")
	if run := f.ran("slow.service", 1); run.Result != "timeout" || run.Success {
		t.Errorf("slow.service: %+v", run)
	}
	_, _ = f.TrySystemctl("start", "skipped.service")
	if run := f.ran("skipped.service", 1); run.Result != "exec-condition" || run.Success {
		t.Errorf("skipped.service: %+v", run)
	}
	_, _ = f.TrySystemctl("start", "dependent.service")
	if run := f.ran("dependent.service", 1); run.Result != "dependency" || run.Success || run.InvocationID != "" {
		t.Errorf("dependent.service: %+v", run)
	}
	if run := f.ran("prefailed.service", 1); run.Result != "exit-code" || run.ExitCode != -1 || run.Start.Before(started.Truncate(time.Second)) || run.Exit.Before(run.Start) {
		t.Errorf("prefailed.service: %+v", run)
	}
	f.Systemctl("start", "remains.service")
	if run := f.ran("remains.service", 1); !run.Success {
		t.Errorf("remains.service: %+v", run)
	}
	_, _ = f.TrySystemctl("stop", "remains.service")
	if run := f.ran("remains.service", 2); run.Success {
		t.Errorf("remains.service after its failed stop: %+v", run)
	}
	f.settle()
	s := f.snapshot()
	for name, want := range map[string]uint64{"killed.service": 1, "slow.service": 1, "prefailed.service": 1, "remains.service": 1, "job.service": 0, "broken.service": 0} {
		if u := s.Unit(name); u.Failures != want {
			t.Errorf("%s: %d failures, want %d: %+v", name, u.Failures, want, *u)
		}
	}
}

func TestRestarts(t *testing.T) {
	f := newFixture(t, Interest{})
	f.Systemctl("start", "--no-block", "flapping.service", "limited.service", "polite.service")
	f.until("limited.service", func(u *Unit) bool { return u.ActiveState == "failed" })
	f.settle()
	u := f.snapshot().Unit("limited.service")
	if u.Failures != 3 {
		t.Errorf("limited.service: %d failures, want 3: %+v", u.Failures, *u)
	}
	f.until("flapping.service", func(u *Unit) bool { return u.Service.Restarts >= 5 && u.Failures >= 5 })
	f.Systemctl("stop", "flapping.service")
	f.until("flapping.service", func(u *Unit) bool { return u.ActiveState == "inactive" || u.ActiveState == "" })
	u = f.settle().Unit("flapping.service")
	runs := f.runsOf("flapping.service")
	failures := uint64(0)
	for _, run := range runs {
		if !run.Success {
			failures++
		}
	}
	if u.Failures != failures || uint64(len(runs)) != u.Runs {
		t.Errorf("flapping.service: %d failures in %d runs counted, %d in %d reported", u.Failures, u.Runs, failures, len(runs))
	}
	u = f.until("polite.service", func(u *Unit) bool { return u.Runs >= 5 })
	if u.Failures != 0 || len(u.Results) != 0 {
		t.Errorf("polite.service ends well and is restarted: %+v", *u)
	}
}

func TestExecStartPre(t *testing.T) {
	f := newFixture(t, Interest{})
	f.Systemctl("start", "--no-block", "prepared.service")
	u := f.until("prepared.service", func(u *Unit) bool { return u.SubState == "start-pre" })
	if u.ActiveState != "activating" || !u.Service.ExecMainStart.IsZero() || !u.Service.ExecMainExit.IsZero() || u.InactiveExit.IsZero() {
		t.Errorf("during ExecStartPre: %+v", *u)
	}
	if runs := f.runsOf("prepared.service"); len(runs) > 0 {
		t.Errorf("a run that still goes on is reported: %+v", runs)
	}
}
