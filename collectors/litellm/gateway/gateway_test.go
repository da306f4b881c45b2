package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const limit = time.Minute

// The answers of a LiteLLM proxy, by path, as versions of several years give them.
const (
	alive     = `"I'm alive!"`
	oldReady  = `{"status":"healthy","db":"connected","cache":"redis","litellm_version":"1.61.20","success_callbacks":["x"]}`
	oldLost   = `{"status":"healthy","db":"disconnected","litellm_version":"1.61.20"}`
	newReady  = `{"status":"healthy"}`
	details   = `{"status":"healthy","db":"connected","litellm_version":"1.90.1"}`
	completed = `{"id":"chatcmpl-1","choices":[{"finish_reason":"stop","index":0,"message":{"content":"ready","role":"assistant"}}],"usage":{"total_tokens":9}}`
	reasoned  = `{"choices":[{"finish_reason":"length","message":{"content":null,"reasoning_content":"The user"}}]}`
)

func proxy(t *testing.T, key string, answers map[string]string) *Gateway {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, known := answers[r.URL.Path]
		private := strings.HasSuffix(r.URL.Path, "/details") || strings.HasPrefix(r.URL.Path, "/v1/")
		authorized := r.Header.Get("Authorization") == "Bearer sk-secret"
		switch {
		case !private && r.Header.Get("Authorization") != "":
			t.Errorf("%s: the key was sent where none is needed", r.URL.Path)
		case !known:
			http.NotFound(w, r)
		case private && !authorized:
			http.Error(w, `{"error":{"message":"Authentication Error","code":"401"}}`, http.StatusUnauthorized)
		case answer == "503":
			http.Error(w, `{"detail":"Service Unhealthy"}`, http.StatusServiceUnavailable)
		case strings.HasPrefix(answer, "http"):
			http.Redirect(w, r, answer, http.StatusFound)
		default:
			_, _ = w.Write([]byte(answer))
		}
	}))
	t.Cleanup(server.Close)
	var file config.SecretFile
	if key != "" {
		file = config.SecretFile(filepath.Join(t.TempDir(), "key"))
		if err := os.WriteFile(string(file), []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := New(server.URL+"/", file)
	t.Cleanup(g.Close)
	return g
}

func TestAsk(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(thief.Close)
	const live, ready, more = "/health/liveliness", "/health/readiness", "/health/readiness/details"
	for name, c := range map[string]struct {
		key     string
		answers map[string]string
		want    Status
	}{
		"old":                  {"", map[string]string{live: alive, ready: oldReady}, Status{Alive: true, Ready: true, Version: "1.61.20"}},
		"old, database lost":   {"", map[string]string{live: alive, ready: oldLost}, Status{Alive: true, Version: "1.61.20"}},
		"new, without a key":   {"", map[string]string{live: alive, ready: newReady, more: details}, Status{Alive: true, Ready: true}},
		"new, with a key":      {"sk-secret", map[string]string{live: alive, ready: newReady, more: details}, Status{Alive: true, Ready: true, Version: "1.90.1"}},
		"new, wrong key":       {"sk-wrong", map[string]string{live: alive, ready: newReady, more: details}, Status{Alive: true, Ready: true}},
		"new, database lost":   {"", map[string]string{live: alive, ready: "503"}, Status{Alive: true}},
		"something else":       {"", map[string]string{}, Status{}},
		"redirected":           {"", map[string]string{live: thief.URL}, Status{}},
		"details redirected":   {"sk-secret", map[string]string{live: alive, ready: newReady, more: thief.URL}, Status{Alive: true, Ready: true}},
		"garbage":              {"", map[string]string{live: alive, ready: "<html>"}, Status{Alive: true}},
		"oversized":            {"", map[string]string{live: alive, ready: strings.Repeat(" ", maxBody) + newReady}, Status{Alive: true}},
		"a version of nothing": {"", map[string]string{live: alive, ready: `{"status":"healthy","litellm_version":7}`}, Status{Alive: true, Ready: true}},
	} {
		got, err := proxy(t, c.key, c.answers).Ask(t.Context())
		if answered := got.Answer > 0; answered != c.want.Alive {
			t.Errorf("%s: answered after %s", name, got.Answer)
		}
		got.Answer = 0
		if got != c.want {
			t.Errorf("%s: %+v, want %+v (%v)", name, got, c.want, err)
		}
		if err != nil && strings.Contains(err.Error(), "sk-") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// TestHang has a proxy that accepts and does not answer.
func TestHang(t *testing.T) {
	released := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(released) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got, err := New(server.URL, "").Ask(ctx)
	if got != (Status{}) || err == nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnswered(t *testing.T) {
	for body, want := range map[string]bool{
		completed: true,
		reasoned:  true,
		`{"choices":[{"finish_reason":"length","message":{"content":""}}]}`:                 true,
		`{"choices":[{"finish_reason":"stop","message":{"content":[{"text":"ready"}]}}]}`:   true,
		`{"choices":[{"message":{"content":" "}},{"message":{"reasoning_content":"Hmm"}}]}`: true,
		`{"choices":[{"finish_reason":"stop","message":{"content":""}}]}`:                   false,
		`{"choices":[{"finish_reason":"content_filter","message":{}}]}`:                     false,
		`{"choices":[]}`: false, `{}`: false, `[]`: false, ``: false,
	} {
		if err := answered([]byte(body)); (err == nil) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestCanary asks two models, of which one fails, then answers again.
func TestCanary(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Model string }
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		asked.Add(1)
		if request.Model == "bad" && broken.Load() {
			http.Error(w, "{}", http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte(reasoned))
	}))
	t.Cleanup(server.Close)
	c := NewCanary(New(server.URL, ""), []string{"good", "bad"}, 20*time.Millisecond, limit, time.Now, collectortest.Logger(t))
	show := func() string {
		out := metric.NewBatch(Declared, "", "", 0)
		c.Emit(out)
		if err := out.Err(); err != nil {
			t.Fatal(err)
		}
		return collectortest.Text(t, out)
	}
	if text := show(); !strings.Contains(text, `litellm_canary_failures_total{model_group="bad"} 0`) || strings.Contains(text, "litellm_canary_success") {
		t.Errorf("before the first question:\n%s", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	expect := func(lines ...string) {
		t.Helper()
		testenv.Eventually(t, limit, func() error {
			text := show()
			for _, line := range lines {
				if !strings.Contains(text, line) {
					return fmt.Errorf("no %s in\n%s", line, text)
				}
			}
			return nil
		})
	}
	expect(`litellm_canary_success{model_group="good"} 1`, `litellm_canary_success{model_group="bad"} 0`, `litellm_canary_failures_total{model_group="bad"} 2`)
	if text := show(); strings.Contains(text, `litellm_canary_seconds{model_group="bad"}`) || strings.Contains(text, `last_success_timestamp_seconds{model_group="bad"}`) {
		t.Errorf("a time for a model that never answered:\n%s", text)
	}
	broken.Store(false)
	expect(`litellm_canary_success{model_group="bad"} 1`, `litellm_canary_seconds{model_group="bad"}`)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("run ended with %v", err)
	}
	n := asked.Load()
	if none := NewCanary(New(server.URL, ""), nil, time.Millisecond, limit, time.Now, collectortest.Logger(t)); !errors.Is(none.Run(ctx), context.Canceled) || asked.Load() != n {
		t.Error("a canary without models asks")
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{alive, oldReady, oldLost, newReady, completed, reasoned, `{"choices":null}`, `{"choices":[{"message":null}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = answered(body)
		ready, version := readiness(body)
		out := metric.NewBatch(Declared, "", "", 0)
		Status{Alive: true, Ready: ready, Version: version}.Emit(out)
		if err := out.Err(); err != nil {
			t.Error(err)
		}
	})
}
