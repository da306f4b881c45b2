// Package gateway asks a LiteLLM proxy over HTTP whether it lives, is ready and, on request,
// completes (https://docs.litellm.ai/docs/proxy/health). /health itself is never asked: it calls
// every model, which costs money.
package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Gateway is one proxy.
type Gateway struct {
	url    string
	key    config.SecretFile
	client *http.Client
}

// New makes a client of the proxy at a URL such as http://127.0.0.1:4000. The key is only sent
// where one is needed, and never along a redirect.
func New(url string, key config.SecretFile) *Gateway {
	return &Gateway{
		url: strings.TrimRight(url, "/"), key: key,
		client: &http.Client{
			Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}
}

// Close lets go of idle connections.
func (g *Gateway) Close() { g.client.CloseIdleConnections() }

// Status is what the proxy says of itself.
type Status struct {
	Alive, Ready bool
	Answer       time.Duration // to the question whether it lives; 0 without an answer
	Version      string        // "" where it does not tell
}

// Ask asks the proxy. That it does not answer is an answer; the error says why, for the log.
func (g *Gateway) Ask(ctx context.Context) (Status, error) {
	var s Status
	begun := time.Now()
	if _, err := g.do(ctx, http.MethodGet, "/health/liveliness", nil, false); err != nil {
		return s, err
	}
	s.Alive, s.Answer = true, time.Since(begun)
	body, err := g.do(ctx, http.MethodGet, "/health/readiness", nil, false)
	if err != nil {
		return s, err
	}
	s.Ready, s.Version = readiness(body)
	if s.Version == "" && g.key != "" {
		// Newer versions tell details only to those with a key; without the right one, no version.
		if body, err := g.do(ctx, http.MethodGet, "/health/readiness/details", nil, true); err == nil {
			_, s.Version = readiness(body)
		}
	}
	return s, nil
}

// readiness reads {"status":"healthy"} or, from older versions and with a key,
// {"status":"healthy","db":"connected","litellm_version":"1.80.0",...}. Old versions answer 200
// with a database that is lost.
func readiness(body []byte) (ready bool, version string) {
	var answer struct {
		Status  any `json:"status"` // any: what is not text is not what was expected, no more
		DB      any `json:"db"`
		Version any `json:"litellm_version"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return false, ""
	}
	ready = (answer.Status == "healthy" || answer.Status == "connected") && answer.DB != "disconnected"
	version, _ = answer.Version.(string)
	return ready, metric.LabelValue(version)
}

const maxBody = 1 << 20

func (g *Gateway) do(ctx context.Context, method, path string, body []byte, withKey bool) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, g.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	var key config.Secret
	if withKey && g.key != "" {
		if key, err = g.key.Read(); err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+key.Reveal())
	}
	response, err := g.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d: %.200q", path, response.StatusCode, key.Redact(string(content)))
	}
	if len(content) > maxBody {
		return nil, fmt.Errorf("%s: the answer is longer than %d bytes", path, maxBody)
	}
	return content, nil
}

// Complete asks a model for a few tokens. Any answer counts: one that reasons may have used all
// of them before its first word.
func (g *Gateway) Complete(ctx context.Context, name string) error {
	body, err := json.Marshal(map[string]any{
		"model":      name,
		"messages":   []map[string]string{{"role": "user", "content": "Reply with the word ready."}},
		"max_tokens": 16,
	})
	if err != nil {
		return err
	}
	content, err := g.do(ctx, http.MethodPost, "/v1/chat/completions", body, true)
	if err != nil {
		return err
	}
	return answered(content)
}

// answered reads {"choices":[{"finish_reason":"stop","message":{"content":"ready"}}]}. Of a model
// that reasons, the content may be null and the text be in reasoning_content, or there be none at
// all yet when the tokens were used up.
func answered(content []byte) error {
	var completion struct {
		Choices []struct {
			FinishReason string `json:"finish_reason"`
			Message      struct {
				Content   any `json:"content"` // text, or a list of parts
				Reasoning any `json:"reasoning_content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(content, &completion); err != nil {
		return err
	}
	for _, c := range completion.Choices {
		if some(c.Message.Content) || some(c.Message.Reasoning) || c.FinishReason == "length" {
			return nil
		}
	}
	return errors.New("the completion has no choice with an answer")
}

func some(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v) != ""
	case []any:
		return len(v) > 0
	}
	return false
}

// Emit shows the status.
func (s Status) Emit(out *metric.Batch) {
	out.Bool(up, s.Alive)
	out.Bool(ready, s.Ready)
	if s.Answer > 0 {
		out.Gauge(answerSeconds, s.Answer.Seconds())
	}
	if s.Version != "" {
		out.Info(info, s.Version)
	}
}
