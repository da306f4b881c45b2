package collector

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
)

func TestTransitions(t *testing.T) {
	var log bytes.Buffer
	handler := slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	n := Transitions{Logger: slog.New(handler)}
	n.Note("a", nil, "")                       // works from the start: nothing to say
	n.Note("a", errors.New("port 1"), "reset") // begins
	n.Note("a", errors.New("port 2"), "reset") // goes on
	n.Note("a", errors.New("x"), "timeout")    // another reason
	n.Note("b", errors.New("y"), "")           // another thing
	n.Note("b", errors.New("y"), "")
	n.Note("b", errors.New("z"), "")
	n.Note("a", nil, "")
	n.Note("a", nil, "")
	n.Note("a", errors.New("x"), "timeout") // again
	const want = `level=WARN msg=fails what=a reason=reset err="port 1"
level=WARN msg=fails what=a reason=timeout err=x
level=WARN msg=fails what=b err=y
level=WARN msg=fails what=b err=z
level=INFO msg="works again" what=a
level=WARN msg=fails what=a reason=timeout err=x
`
	if log.String() != want {
		t.Errorf("%s\nwant\n%s", log.String(), want)
	}
}
