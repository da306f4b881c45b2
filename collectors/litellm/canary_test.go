package litellm

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestCanaryAfterOutage: a model that was asked in vain while the proxy was down does not wait
// for its next turn in an hour, and one that was answered is not asked again.
func TestCanaryAfterOutage(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	var completions atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"status":"healthy"}`
		switch {
		case !up.Load():
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodPost:
			completions.Add(1)
			answer = `{"choices":[{"message":{"content":"ready"}}]}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(proxy.Close)
	source := collectortest.Load(t, Definition(), fmt.Sprintf(
		"sources: [{name: main, url: %q, canary: {models: [chat], interval: 1h}}]", proxy.URL))[0]
	c, err := source.New(collectortest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.(collector.Runner).Run(ctx) }()
	defer func() { cancel(); <-done; _ = c.(collector.Closer).Close() }()
	expect := func(line string) {
		t.Helper()
		testenv.Eventually(t, limit, func() error {
			out, err := collectortest.Collect(t, source, c)
			if err != nil {
				return err
			}
			if text := collectortest.Text(t, out); !strings.Contains(text, line) {
				return fmt.Errorf("no %s in\n%s", line, text)
			}
			return nil
		})
	}
	expect(`litellm_canary_success{source="main",model_group="chat"} 0`)
	for range 2 {
		up.Store(true)
		expect(`litellm_gateway_up{source="main"} 1`)
		expect(`litellm_canary_success{source="main",model_group="chat"} 1`)
		up.Store(false)
		expect(`litellm_gateway_up{source="main"} 0`)
	}
	if n := completions.Load(); n != 1 {
		t.Errorf("%d completions", n)
	}
}
