package soak

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"vulcan.lan/vulcan_exporter/test/lab"
)

// leaks looks for the credentials in everything that the exporter gives away: its log, its pages,
// its state, the command lines of what it has started. The faults help: a server that rejects
// answers with the headers that it was sent.
func (w *watcher) leaks(l *lab.Lab) {
	w.t.Helper()
	for where, text := range w.emitted() {
		for _, secret := range l.Secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
				if at := strings.Index(text, form); at >= 0 {
					w.t.Errorf("%s shows a secret: ...%q", where, text[max(0, at-60):min(len(text), at+len(form))])
				}
			}
		}
	}
}

// open are the pages that anybody may ask for; those of /debug run a source once more and show its
// log, of each source that there is.
func (w *watcher) open() []string {
	if w.pages == nil {
		families, _, err := w.scrape()
		if err != nil {
			return nil // it is on its way back
		}
		w.pages = []string{"/", "/metrics", "/-/healthy", "/-/ready"}
		for id := range bySource(families["vulcan_collector_up"], "source") {
			w.pages = append(w.pages, "/debug?source="+url.QueryEscape(id))
		}
		slices.Sort(w.pages)
	}
	return w.pages
}

// fetch asks for all of them, some at a time: one whose source hangs takes its timeout.
func (w *watcher) fetch(emitted map[string]string) {
	var group sync.WaitGroup
	var mu sync.Mutex
	turns := make(chan struct{}, 4)
	for _, page := range w.open() {
		group.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			response, err := client.Get(w.s.url + page)
			if err != nil {
				return // it is on its way back
			}
			defer func() { _ = response.Body.Close() }()
			body, _ := io.ReadAll(response.Body)
			mu.Lock()
			defer mu.Unlock()
			emitted[page] = string(body)
			if response.StatusCode == http.StatusOK {
				w.seen[page] = true
			}
		})
	}
	group.Wait()
}

func (w *watcher) emitted() map[string]string {
	emitted := map[string]string{"the log": w.s.process.Output()}
	w.fetch(emitted)
	_ = filepath.WalkDir(w.s.state, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != "full" {
			content, _ := os.ReadFile(path)
			emitted[path] = string(content)
		}
		return nil
	})
	own := fmt.Sprintf("\t%d\n", w.s.process.PID)
	processes, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range processes {
		status, _ := os.ReadFile(path)
		if strings.Contains(string(status), "PPid:"+own) || strings.Contains(string(status), "Pid:"+own) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			emitted[path] = string(line)
		}
	}
	return emitted
}
