package server

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

var screenshots = flag.String("screenshots", "", "folder to write screenshots of the status page into")

// chromium runs the browser on a page and returns its standard output.
func chromium(t *testing.T, args ...string) string {
	t.Helper()
	testenv.Need(t, "chromium")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, "chromium", append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--user-data-dir=" + home,
	}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(out)
}

// probe is added to the page's own script in tests: it writes what a script
// can measure into attributes of the document, or of the one that frames it.
const probe = `
const root = parent.document.documentElement;
new ReportingObserver((r) => { root.dataset.violations = r.length; }, {buffered: true, types: ["csp-violation"]}).observe();
root.dataset.width = innerWidth;
root.dataset.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
root.dataset.owned = "owned" in window;
`

// browse serves pages with the exporter's headers and its script, changed by
// edit.
func browse(t *testing.T, edit func(script string) string, pages http.HandlerFunc) string {
	t.Helper()
	script, err := assets.ReadFile("status.js")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", pages)
	// The browser makes no window as narrow as a phone, but a frame.
	mux.HandleFunc("/phone", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "")
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><iframe src="/framed" width="390" height="800" frameborder="0"></iframe>`)
	})
	mux.HandleFunc("/framed", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", strings.Replace(policy, "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
		pages(w, r)
	})
	mux.HandleFunc("/status.css", asset("status.css", "text/css; charset=utf-8"))
	mux.HandleFunc("/status.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, edit(string(script)))
	})
	web := httptest.NewServer(guarded(mux))
	t.Cleanup(web.Close)
	return web.URL + "/"
}

func withProbe(script string) string { return script + probe }

func demoServer(t *testing.T) *Server {
	t.Helper()
	s, _ := start(t, Options{}, alpha())
	return s
}

func TestStatusPageInBrowser(t *testing.T) {
	testenv.Need(t, "chromium")
	s := demoServer(t)
	var extra []sample
	for _, text := range append(hostile, `"><script>window.owned = 1</script>`, `<img src=x onerror="window.owned=1">`, strings.Repeat("long", 60)) {
		extra = append(extra, sample{map[string]string{"source": "default", "name": text}, 0})
	}
	url := browse(t, withProbe, func(w http.ResponseWriter, _ *http.Request) { s.render(w, demo(s, extra...)) })
	for path, width := range map[string]string{"phone": "390", "": "1200"} {
		dom := chromium(t, "--window-size=1200,900", "--dump-dom", url+path)
		for _, want := range []string{`data-width="` + width + `"`, `data-overflow="0"`, `data-owned="false"`} {
			if !strings.Contains(dom, want) {
				t.Errorf("%s px: missing %s in %.300s", width, want, dom)
			}
		}
		if strings.Contains(dom, "data-violations") {
			t.Errorf("%s px: the policy was violated: %.300s", width, dom)
		}
		if path == "" && (!strings.Contains(dom, "postgresql.service") || strings.Contains(dom, "<img") || strings.Contains(dom, "<script>")) {
			t.Errorf("labels became markup:\n%s", dom)
		}
	}
}

// TestProbeSees: the checks of the test above can fail.
func TestProbeSees(t *testing.T) {
	testenv.Need(t, "chromium")
	url := browse(t, withProbe, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><script src="status.js" defer></script><script>window.owned = 1</script><body style="width: 3000px"><main></main><p id="lost"></p><pre>`+strings.Repeat("x", 2000))
	})
	dom := chromium(t, "--window-size=1200,900", "--dump-dom", url)
	if !strings.Contains(dom, "data-violations") || strings.Contains(dom, `data-overflow="0"`) || !strings.Contains(dom, `data-owned="false"`) {
		t.Errorf("%.400s", dom)
	}
}

// TestLiveRefresh: the page renews itself and, when nobody answers any more,
// says that it is old.
func TestLiveRefresh(t *testing.T) {
	testenv.Need(t, "chromium")
	s := demoServer(t)
	const period = "const every = 10000;"
	quick := func(script string) string {
		if !strings.Contains(script, period) {
			t.Errorf("the script has no %q", period)
		}
		return strings.Replace(script, period, "const every = 300;", 1)
	}
	var views atomic.Int32
	url := browse(t, quick, func(w http.ResponseWriter, _ *http.Request) {
		n := views.Add(1)
		if n > 3 {
			http.Error(w, "gone", http.StatusBadGateway)
			return
		}
		p := demo(s)
		p.Host = fmt.Sprintf("view%d", n)
		s.render(w, p)
	})
	dom := chromium(t, "--virtual-time-budget=5000", "--dump-dom", url)
	for _, want := range []string{`<b>view3</b>`, "No answer since", "HTTP 502", `class="lost"`} {
		if !strings.Contains(dom, want) {
			t.Errorf("missing %s after %d views in\n%s", want, views.Load(), dom)
		}
	}
}

// TestWithoutScript: the page is complete without its script.
func TestWithoutScript(t *testing.T) {
	testenv.Need(t, "chromium")
	s := demoServer(t)
	url := browse(t, func(string) string { return "" }, func(w http.ResponseWriter, _ *http.Request) { s.render(w, demo(s)) })
	dom := chromium(t, "--dump-dom", url)
	for _, want := range []string{"Broken", "Cannot tell", "namei -l /var/lib/postgresql/certs/server.key", "03:12:44 UTC"} {
		if !strings.Contains(dom, want) {
			t.Errorf("missing %s", want)
		}
	}
	if !regexp.MustCompile(`<p id="lost" role="alert" hidden`).MatchString(dom) {
		t.Error("the warning of the script shows without it")
	}
}

// TestScreenshots draws the page. What it looks like is for a person to judge:
// go test -run Screenshots -args -screenshots DIR writes it where they want.
func TestScreenshots(t *testing.T) {
	testenv.Need(t, "chromium")
	dir := *screenshots
	if dir == "" {
		dir = t.TempDir()
	}
	s := demoServer(t)
	quiet := func() page {
		p := demo(s)
		p.Broken, p.Blind, p.Waiting = nil, nil, 0
		return p
	}
	for name, view := range map[string]struct {
		size, scheme string
		page         func() page
	}{
		"desktop-light": {"1100,1900", "1", func() page { return demo(s) }},
		"desktop-dark":  {"1100,1900", "0", func() page { return demo(s) }},
		"phone-light":   {"390,3200", "1", func() page { return demo(s) }},
		"phone-dark":    {"390,3200", "0", func() page { return demo(s) }},
		"quiet-light":   {"1100,900", "1", quiet},
		"status":        {"960,1390", "1", func() page { return demo(s) }}, // docs/img/status.png
	} {
		url := browse(t, withProbe, func(w http.ResponseWriter, _ *http.Request) { s.render(w, view.page()) })
		file := filepath.Join(dir, name+".png")
		chromium(t, "--window-size="+view.size, "--blink-settings=preferredColorScheme="+view.scheme, "--screenshot="+file, url)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() < 10<<10 {
			t.Errorf("%s has %d bytes: an empty page", name, info.Size())
		}
	}
}
