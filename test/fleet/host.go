// Package fleet measures what many hosts cost the engines that stand over them. It captures what
// the real exporter says of a whole host (package lab), and replays it under many names to a real
// Prometheus and a real VictoriaMetrics with all shipped rules.
package fleet

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/test/lab"
)

// maxSeries is what a host may bring at most: what rules read.
const maxSeries = 500

// host is what one host says, as far as rules read it.
type host struct {
	captured time.Time
	samples  []sample
	// all and bytes are the series and the size of the whole answer, rules or not.
	all, bytes int
	// read is the number of series that rules read, families those of each name.
	read     int
	families map[string]int
}

type sample struct {
	series  string // with labels
	value   float64
	round   int  // which of its family it is
	moment  bool // a Unix time, which moves along with the clock
	counter bool // which grows a little
}

var (
	line = regexp.MustCompile(`^([a-z_0-9]+)(\{.*\})? (\S+)$`)
	word = regexp.MustCompile(`[a-z][a-z_0-9]+`)
)

// capture runs the exporter over a lab until every source has been read, and scrapes it once.
func capture(t testing.TB) *host {
	t.Helper()
	l := lab.New(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "vulcan.yml")
	if err := os.WriteFile(config, []byte(l.Config()), 0o600); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	cmd := exec.Command(testenv.Exporter(t), "run", "--config.file="+config, "--storage.path="+filepath.Join(dir, "state"), "--web.listen-address="+address)
	cmd.Env = append(os.Environ(), l.Env...)
	testenv.Start(t, cmd)
	var page []byte
	testenv.Eventually(t, 2*time.Minute, func() error {
		var err error
		if page, err = get("http://" + address + "/metrics"); err != nil {
			return err
		}
		if up, sources := bytes.Count(page, []byte("\nvulcan_collector_up{")), bytes.Count(page, []byte("\nvulcan_collector_since_timestamp_seconds{")); up < sources {
			return fmt.Errorf("%d of %d sources have been read", up, sources)
		}
		return nil
	})
	h := parse(page, readByRules(t))
	if len(h.families) > maxSeries {
		t.Fatalf("rules read %d families, of which %d series cannot hold one each", len(h.families), maxSeries)
	}
	return h
}

// readByRules are the words of the shipped rules, among them all metrics that they read.
func readByRules(t testing.TB) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "alerts", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no rules", err)
	}
	words := map[string]bool{"up": true}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range word.FindAllString(string(content), -1) {
			words[w] = true
		}
	}
	return words
}

// parse takes the series that rules read, and of more than maxSeries as many as there is room for:
// one of each family after the other, so that no rule runs on nothing.
func parse(page []byte, read map[string]bool) *host {
	h := &host{captured: time.Now(), bytes: len(page), families: map[string]int{}}
	var found []sample
	for text := range strings.Lines(string(page)) {
		m := line.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil {
			continue
		}
		h.all++
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil || !read[m[1]] {
			continue
		}
		h.families[m[1]]++
		found = append(found, sample{
			series: m[1] + m[2], value: value, round: h.families[m[1]],
			moment: strings.HasSuffix(m[1], "_timestamp_seconds"),
			// One that has not counted anything on a host that is well counts failures.
			counter: (strings.HasSuffix(m[1], "_total") || strings.HasSuffix(m[1], "_count")) && value > 0,
		})
	}
	slices.SortStableFunc(found, func(a, b sample) int { return a.round - b.round })
	h.read = len(found)
	h.samples = found[:min(len(found), maxSeries)]
	return h
}

// ServeHTTP says what the host says, as of now. Gauges vary a little, as they do: values that never
// change would compress to nothing.
func (h *host) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	age := time.Since(h.captured).Seconds()
	var b bytes.Buffer
	for _, s := range h.samples {
		value := s.value
		switch {
		case s.moment:
			value += age
		case s.counter:
			value += float64(int(age)) // one a second
		case value != float64(int64(value)):
			value *= 1 + 0.01*rand.Float64()
		}
		b.WriteString(s.series)
		b.WriteByte(' ')
		b.Write(strconv.AppendFloat(nil, value, 'g', -1, 64))
		b.WriteByte('\n')
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = w.Write(b.Bytes())
}

func get(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, err
}
