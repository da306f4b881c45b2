package collector

import "log/slog"

// Transitions logs what changes, not what goes on: that something begins to fail, fails for
// another reason, or works again. The zero value with a Logger is ready; it is not for
// concurrent use.
type Transitions struct {
	Logger *slog.Logger

	failing map[string]string // what fails -> why
}

// Note takes how it is with a thing. The reason tells one failure from another; without one the
// text of the error does.
func (t *Transitions) Note(what string, err error, reason string) {
	why := reason
	if err != nil && why == "" {
		why = err.Error()
	}
	if why == t.failing[what] {
		return
	}
	if t.failing == nil {
		t.failing = map[string]string{}
	}
	t.failing[what] = why
	switch {
	case why == "":
		t.Logger.Info("works again", "what", what)
	case reason == "":
		t.Logger.Warn("fails", "what", what, "err", err)
	default:
		t.Logger.Warn("fails", "what", what, "reason", reason, "err", err)
	}
}
