package dashboards

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// server is a running Prometheus that scrapes nothing and takes samples of any time.
type server struct {
	url string
	t   testing.TB
	// firing has, by an alert's labels, since when it fired and when it last did.
	firing map[string][2]int64
}

func startPrometheus(t testing.TB) *server {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("storage:\n  tsdb:\n    out_of_order_time_window: 40d\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	process := testenv.Start(t, exec.Command(testenv.Tool(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--storage.tsdb.retention.time=100d", "--web.listen-address="+address, "--web.enable-remote-write-receiver", "--query.lookback-delta=11m",
		"--query.max-samples=100000000", "--web.cors.origin=.*"))
	s := &server{url: "http://" + address, t: t, firing: map[string][2]int64{}}
	testenv.Eventually(t, time.Minute, func() error {
		if err := process.Exited(); err != nil {
			t.Fatal(err)
		}
		response, err := http.Get(s.url + "/-/ready")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", response.Status)
		}
		return nil
	})
	return s
}

// write sends the series' samples from start to end, each step, in the order of time.
func (s *server) write(all []series, start, end, storyEnd time.Time, step time.Duration) int {
	s.t.Helper()
	written := 0
	const batch = 20 // samples of a series in one request
	for from := start; !from.After(end); from = from.Add(batch * step) {
		var request []byte
		for _, one := range all {
			encoded, n := one.encode(from, earlier(from.Add((batch-1)*step), end), storyEnd, step)
			if n > 0 {
				request = field(request, 1, encoded)
				written += n
			}
			if len(request) > 4<<20 {
				s.push(request)
				request = nil
			}
		}
		s.push(request)
	}
	return written
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// encode writes a TimeSeries of https://prometheus.io/docs/specs/prw/remote_write_spec/.
func (one series) encode(from, to, end time.Time, step time.Duration) ([]byte, int) {
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(one.labels)) {
		if one.labels[name] != "" {
			out = field(out, 1, field(field(nil, 1, []byte(name)), 2, []byte(one.labels[name])))
		}
	}
	n := 0
	for t := from; !t.After(to); t = t.Add(step) {
		if v, ok := one.value(at(t, end), one.seed); ok {
			sample := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(v))
			sample = binary.AppendUvarint(append(sample, 2<<3), uint64(t.UnixMilli()))
			out = field(out, 2, sample)
			n++
		}
	}
	return out, n
}

// field appends a length-delimited field of a protocol buffer.
func field(to []byte, number byte, content []byte) []byte {
	return append(binary.AppendUvarint(append(to, number<<3|2), uint64(len(content))), content...)
}

func (s *server) push(request []byte) {
	s.t.Helper()
	if len(request) == 0 {
		return
	}
	r, err := http.NewRequest(http.MethodPost, s.url+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, request)))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "snappy")
	r.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode/100 != 2 {
		s.t.Fatalf("remote write: %s: %.300s", response.Status, body)
	}
}

// answer is a result of Prometheus's API.
type answer struct {
	Status   string   `json:"status"`
	Error    string   `json:"error"`
	Warnings []string `json:"warnings"`
	Data     struct {
		ResultType string `json:"resultType"`
		Result     []struct {
			Metric map[string]string `json:"metric"`
			Value  [2]any            `json:"value"`
			Values [][2]any          `json:"values"`
		} `json:"result"`
		Stats struct {
			Samples struct {
				Total int `json:"totalQueryableSamples"`
			} `json:"samples"`
		} `json:"stats"`
	} `json:"data"`
}

// query asks again where Prometheus reads a chunk of samples of the past that it is just writing
// to disk: it says so, and has the chunk a moment later.
func (s *server) query(path string, parameters url.Values) answer {
	s.t.Helper()
	parameters.Set("stats", "all")
	for tries := 0; ; tries++ {
		a := s.ask(path, parameters)
		if !strings.Contains(a.Error, "cannot populate chunk") || tries == 50 {
			return a
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *server) ask(path string, parameters url.Values) answer {
	s.t.Helper()
	response, err := http.PostForm(s.url+"/api/v1/"+path, parameters)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var a answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		s.t.Fatalf("%s: %v", parameters.Get("query"), err)
	}
	return a
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// over asks for a range, now for its end.
func (s *server) over(expr string, start, end time.Time, step time.Duration) answer {
	return s.query("query_range", url.Values{"query": {expr}, "start": {unix(start)}, "end": {unix(end)}, "step": {strconv.Itoa(int(step.Seconds()))}})
}

func (s *server) now(expr string, end time.Time) answer {
	return s.query("query", url.Values{"query": {expr}, "time": {unix(end)}})
}

// evaluate writes what the shipped rules make of what is there: recorded series, and alerts
// without their waiting time.
func (s *server) evaluate(rules []rule, start, end time.Time, step time.Duration) {
	s.t.Helper()
	for _, recording := range []bool{true, false} {
		var all []series
		for _, r := range rules {
			if (r.Record != "") != recording {
				continue
			}
			a := s.over(r.Expr, start, end, step)
			if a.Status != "success" {
				s.t.Fatalf("%s: %s", r.Expr, a.Error)
			}
			for _, result := range a.Data.Result {
				all = append(all, s.results(r, result.Metric, result.Values, step)...)
			}
		}
		s.write(all, start, end, end, step)
	}
}

// results turns one series of a rule's expression into the series that Prometheus would write.
func (s *server) results(r rule, metric map[string]string, values [][2]any, step time.Duration) []series {
	labels := labelSet{}
	maps.Copy(labels, metric)
	maps.Copy(labels, r.Labels)
	points, since := map[int64]float64{}, map[int64]float64{}
	labels["alertname"] = r.Alert
	key := fmt.Sprint(labels)
	began, last := s.firing[key][0], s.firing[key][1]
	for _, v := range values {
		t := int64(v[0].(float64))
		points[t], _ = strconv.ParseFloat(v[1].(string), 64)
		if began == 0 || t-last > int64(coarse.Seconds()) {
			began = t
		}
		last, since[t] = t, float64(began)
	}
	s.firing[key] = [2]int64{began, last}
	if r.Record != "" {
		delete(labels, "alertname")
		labels["__name__"] = r.Record
		return []series{{labels, lookup(points, step), 0}}
	}
	state := maps.Clone(labels)
	state["__name__"] = "ALERTS_FOR_STATE"
	labels["__name__"], labels["alertstate"] = "ALERTS", "firing"
	ones := map[int64]float64{}
	for t := range points {
		ones[t] = 1
	}
	return []series{{labels, lookup(ones, step), 0}, {state, lookup(since, step), 0}}
}

// lookup is a series that is known at some moments. After the last of them it ends, as
// Prometheus says with a marker of staleness.
func lookup(points map[int64]float64, step time.Duration) value {
	return func(m moment, _ float64) (float64, bool) {
		v, ok := points[int64(m.unix)]
		if !ok {
			if _, before := points[int64(m.unix)-int64(step.Seconds())]; before {
				return stale, true
			}
		}
		return v, ok
	}
}

// stale is Prometheus's marker: a NaN of its own.
var stale = math.Float64frombits(0x7ff0000000000002)
