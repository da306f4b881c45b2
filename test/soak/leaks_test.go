package soak

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

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

// pages are what anybody may ask for. The last ones run a source once more and show its log.
var pages = []string{"/", "/metrics", "/-/healthy", "/-/ready", "/debug?source=litellm/main", "/debug?source=opnsense/home",
	"/debug?source=homeassistant/default", "/debug?source=redis/cache", "/debug?source=postgres/main"}

func (w *watcher) emitted() map[string]string {
	emitted := map[string]string{"the log": w.s.process.Output()}
	for _, page := range pages {
		response, err := client.Get(w.s.url + page)
		if err != nil {
			continue // it is on its way back
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		emitted[page] = string(body)
		if response.StatusCode == http.StatusOK {
			w.seen[page] = true
		}
	}
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
