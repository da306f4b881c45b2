package loki

import (
	"net/http"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	old := "entry for stream '{}' has timestamp too old: 2026-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-01-02T03:04:05Z"
	v := judge(http.StatusBadRequest, http.Header{"Retry-After": {"7"}}, old)
	if v.kind != refused || v.reason != DropTooOld || !v.oldest.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || v.wait != 7*time.Second {
		t.Errorf("%+v", v)
	}
	if v := judge(http.StatusBadRequest, nil, "entry out of order"); v.kind != refused || v.reason != DropOutOfOrder || v.wait != 0 {
		t.Errorf("%+v", v)
	}
	if v := judge(http.StatusBadRequest, nil, "timestamp too old, oldest acceptable timestamp is: never"); v.kind != refused || !v.oldest.IsZero() {
		t.Errorf("%+v", v)
	}
	for status := 200; status < 600; status++ { // every status has a meaning of the closed sets
		for _, text := range []string{"", old} {
			v := judge(status, nil, text)
			named := FailReasons()
			if v.kind == refused || v.kind == suspect {
				named = DropReasons()
			}
			found := v.kind == accepted && v.reason == ""
			for _, reason := range named {
				found = found || reason == v.reason
			}
			if !found || (v.kind == accepted) != (status == 200 || status == 204) {
				t.Errorf("%d: %+v", status, v)
			}
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(400, "1 errors like: entry for stream '{}' has timestamp too old: x, oldest acceptable timestamp is: 2026-01-02T03:04:05Z")
	f.Add(429, "maximum active stream limit exceeded")
	f.Add(260, "")
	f.Fuzz(func(t *testing.T, status int, message string) {
		v := judge(status, nil, message)
		if v.kind == accepted && status != 200 && status != 204 || v.kind != accepted && v.reason == "" {
			t.Fatalf("%d %q: %+v", status, message, v)
		}
	})
}
