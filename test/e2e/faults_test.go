package e2e

import (
	"os"
	"slices"
	"testing"
)

// fault is something that a test breaks, the alerts that it must raise, and its repair; nil where
// it ends by itself.
type fault struct {
	cause, mend func()
	alerts      []Alert
}

// oneAfterTheOther causes each fault when nothing fires any more of the one before: its alerts, and
// no others, fire, and end when it is mended. Earlier is what has fired since New.
func (h *Harness) oneAfterTheOther(earlier []Alert, faults ...fault) {
	h.t.Helper()
	h.ExactlyFiring()
	all := slices.Clone(earlier)
	for _, f := range faults {
		f.cause()
		for _, alert := range f.alerts {
			h.WaitFiring(alert.Name, alert.Labels)
		}
		h.ExactlyFiring(f.alerts...)
		if f.mend != nil {
			f.mend()
		}
		for _, alert := range f.alerts {
			h.WaitResolved(alert.Name, alert.Labels)
		}
		h.ExactlyFiring()
		all = append(all, f.alerts...)
	}
	h.ExactlyFired(all...)
}

// rename moves a file or folder.
func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// writeFile makes a file, or replaces what is in it.
func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
