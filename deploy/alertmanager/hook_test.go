package alertmanager

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// ServeHTTP records one delivery.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var delivery struct {
		Alerts []struct {
			Status string            `json:"status"`
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&delivery); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range delivery.Alerts {
		h.names = append(h.names, a.Labels["alertname"]+" "+a.Status)
	}
}
