package dnsquery

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// sink is a small Loki: it keeps one of two entries that agree in stream, time, line and metadata,
// and sometimes fails before or after it has kept them.
type sink struct {
	URL string

	mu      sync.Mutex
	rng     *rand.Rand
	faulty  bool
	entries map[string]string // what makes an entry -> its line
	pushed  int               // entries, again and again those that are sent again
}

func newSink(t testing.TB, seed uint64) *sink {
	s := &sink{rng: rand.New(rand.NewPCG(seed, 3)), entries: map[string]string{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faulty && s.rng.IntN(6) == 0 {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	if err := s.take(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.faulty && s.rng.IntN(6) == 0 {
		panic(http.ErrAbortHandler) // the answer is lost
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *sink) take(r *http.Request) error {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			return err
		}
		body = unzipped
	}
	var push struct {
		Streams []struct {
			Stream map[string]string `json:"stream"`
			Values [][]any           `json:"values"`
		} `json:"streams"`
	}
	if err := json.NewDecoder(body).Decode(&push); err != nil {
		return err
	}
	for _, stream := range push.Streams {
		for _, v := range stream.Values {
			s.pushed++
			s.entries[fmt.Sprint(stream.Stream, v)] = v[1].(string)
		}
	}
	return nil
}

// lines gives the lines of all entries, sorted.
func (s *sink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Values(s.entries))
}

func (s *sink) fail(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faulty = on
}
