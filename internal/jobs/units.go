package jobs

import (
	"regexp"
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/systemd"
)

// ValidateUnits reports what is wrong with the name or glob of services.
func ValidateUnits(units, path, example string, report func(path, format string, args ...any)) {
	switch {
	case !strings.HasSuffix(units, ".service"):
		report(path, "expected a service or a glob of services such as %s, found %q", example, units)
	case !systemd.ValidPattern(units):
		report(path, "expected a glob, found %q", units)
	}
}

func matching(s *systemd.Snapshot, units string) []*systemd.Unit {
	if systemd.IsPattern(units) {
		return slices.DeleteFunc(s.Match(units), func(u *systemd.Unit) bool { return u.LoadState == "not-found" })
	}
	if u := s.Unit(units); u != nil {
		return []*systemd.Unit{u}
	}
	return nil
}

func timersByService(s *systemd.Snapshot) map[string]*systemd.Unit {
	timers := map[string]*systemd.Unit{}
	for _, u := range s.Units() {
		if u.Type() != "timer" {
			continue
		}
		service := u.Timer.Unit
		if service == "" { // a timer that is not loaded tells none
			service = strings.TrimSuffix(u.Name, ".timer") + ".service"
		}
		if have := timers[service]; have == nil || !have.Active() {
			timers[service] = u
		}
	}
	return timers
}

// Running tells whether a run goes on, its ExecStartPre included.
func Running(u *systemd.Unit) bool {
	switch u.ActiveState {
	case "activating", "deactivating", "reloading", "refreshing":
		return !strings.HasPrefix(u.SubState, "auto-restart")
	case "active":
		return u.SubState != "exited" // RemainAfterExit=
	}
	return false
}

// stem is the part of a unit's name that a glob's first * stands for, or the
// name without its suffix.
func stem(pattern, name string) string {
	whole := strings.TrimSuffix(name, ".service")
	before, after, ok := strings.Cut(strings.TrimSuffix(pattern, ".service"), "*")
	if !ok || systemd.IsPattern(before+after) {
		return whole
	}
	exact := regexp.MustCompile("^" + regexp.QuoteMeta(before) + "(.+)" + regexp.QuoteMeta(after) + "$")
	if m := exact.FindStringSubmatch(whole); m != nil {
		return m[1]
	}
	return whole
}
