package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Notification is one alert as Alertmanager delivered it.
type Notification struct {
	Status      string            `json:"status"` // firing or resolved
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// inbox is the receiver of Alertmanager's webhook.
type inbox struct {
	URL string

	mu       sync.Mutex
	received []Notification
}

func newInbox(t testing.TB) *inbox {
	t.Helper()
	in := &inbox{}
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	in.URL = server.URL
	return in
}

// ServeHTTP records the alerts of one delivery.
func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var delivery struct {
		Alerts []Notification `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&delivery); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.received = append(in.received, delivery.Alerts...)
}

func (in *inbox) all() []Notification {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]Notification(nil), in.received...)
}
