package alertmanager

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// pairs are the graver alerts and what they silence. The last label tells objects apart.
var pairs = []struct{ graver, lesser, object string }{
	{"CriticalServiceDown", "SystemdServiceFailed", "name"},
	{"CriticalServiceDown", "SystemdUnitFailed", "name"},
	{"DiskSpaceCritical", "DiskSpaceLow", "device"},
	{"ZFSPoolCapacityCritical", "ZFSPoolCapacityHigh", "pool"},
	{"BackupArtifactTruncated", "BackupArtifactShrunk", "backup"},
	{"CertificateExpired", "CertificateExpiringSoon", "path"},
	{"CertificateLastDay", "CertificateExpiringSoon", "path"},
	{"CertificateExpired", "CertificateExpiringSoon", "endpoint"},
	{"CertificateExpired", "CertificateExpiringSoon", "position"},
}

// TestInhibition gives a real Alertmanager, for each pair, the graver alert of one object, and the
// lesser one of the same object, of another object, of another host and without the labels.
func TestInhibition(t *testing.T) {
	t.Parallel()
	r := start(t)
	all := alerts(t)
	want := map[string]string{}
	var sent []alert
	send := func(what, state, name string, labels, change map[string]string) {
		a := firing(name, labels, change, map[string]string{"case": what})
		for label, value := range change {
			if value == "" {
				delete(a.Labels, label)
			}
		}
		sent = append(sent, a)
		want[what] = state
	}
	for _, pair := range pairs {
		graver, lesser := all[pair.graver], all[pair.lesser]
		if graver == nil || lesser == nil {
			t.Fatalf("%v: no such alert", pair)
		}
		target := sampleWith(t, lesser, pair.object)
		source := maps.Clone(sampleWith(t, graver, pair.object))
		// One object: what both have is the same.
		for label := range source {
			if value, both := target[label]; both && label != "severity" {
				source[label] = value
			}
		}
		what := pair.graver + " " + pair.lesser + " " + pair.object
		// Hosts of their own, so that the pairs do not meet.
		host := map[string]string{"instance": what}
		with := func(label, value string) map[string]string {
			change := maps.Clone(host)
			change[label] = value
			return change
		}
		send(what+": graver", "active", pair.graver, source, host)
		send(what+": same object", "suppressed", pair.lesser, target, host)
		send(what+": another object", "active", pair.lesser, target, with(pair.object, "another"))
		send(what+": another host", "active", pair.lesser, target, with("instance", what+" 2"))
		send(what+": without the label", "active", pair.lesser, target, with(pair.object, ""))
		send(what+": graver without the label", "active", pair.graver, source, with(pair.object, ""))
		send(what+": another condition", "active", pair.lesser, target, with("condition", "another"))
	}
	r.send(sent...)
	// An alert may be told as active before the inhibitor knows the graver one.
	testenv.Eventually(t, 30*time.Second, func() error {
		var errs []error
		got := r.states(len(want))
		for _, what := range slices.Sorted(maps.Keys(want)) {
			if got[what] != want[what] {
				errs = append(errs, fmt.Errorf("%s: %q, want %q", what, got[what], want[what]))
			}
		}
		return errors.Join(errs...)
	})
}

// sampleWith returns the labels of an alert that has a certain one, which it must have.
func sampleWith(t *testing.T, a *shipped, label string) map[string]string {
	t.Helper()
	for _, labels := range a.samples {
		if labels[label] != "" && labels["instance"] != "" {
			return labels
		}
	}
	t.Fatalf("%s never has the label %s", a.name, label)
	return nil
}
