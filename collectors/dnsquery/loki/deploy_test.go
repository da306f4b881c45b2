package loki

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// The configuration that is shipped for Loki takes what it says: rows of weeks ago after an
// outage, rows half a day behind, a burst, structured metadata; it adds nothing to them, and its
// metrics are those of the catalogue.
func TestDeployedConfig(t *testing.T) {
	t.Parallel()
	root := testenv.Root(t)
	l := testenv.StartLoki(t, testenv.LokiOptions{ConfigFile: filepath.Join(root, "deploy", "loki", "loki.yml")})
	day := 24 * time.Hour
	now := time.Now().Truncate(time.Second)
	dead := rows(20, now.Add(-31*day))
	weeks := rows(500, now.Add(-20*day))
	burst := rows(10_000, now.Add(-time.Hour))
	behind := rows(300, now.Add(-11*time.Hour))
	tooFar := rows(10, now.Add(-13*time.Hour))
	ahead := rows(30, now.Add(50*time.Minute))
	q := openQueue(t, t.TempDir(), 64<<20)
	p := startPusher(t, Options{URL: l.URL}, q)
	for _, part := range [][]Entry{dead, weeks, burst, behind, tooFar} {
		add(t, q, part...)
		drained(t, q)
	}
	sameTotals(t, q, Totals{
		Pushed:  int64(len(weeks) + len(burst) + len(behind)),
		Dropped: map[string]int64{DropTooOld: int64(len(dead)), DropTooFarBehind: int64(len(tooFar))},
	})
	for reason, n := range p.Stats().Failures {
		if n != 0 {
			t.Errorf("%d failures: %s", n, reason)
		}
	}
	add(t, q, ahead...)
	drained(t, q)
	same := func() {
		for _, want := range [][]Entry{weeks, burst, behind, ahead} { // not over the weeks between
			sameRows(t, l, "", want)
		}
	}
	same()
	for _, r := range l.Rows(t, "", `{job="dns_query_logs"}`, weeks[0].Time, weeks[499].Time) {
		if len(r.Metadata) != 3 || len(r.Stream) != 2 {
			t.Fatalf("Loki added to a row: %+v", r)
		}
	}
	l.Flush(t)
	same()
	// Some series are there after their first event only.
	add(t, q, dead...)
	add(t, q, rows(10, now.Add(-2*time.Hour))...)
	drained(t, q)
	l.Flush(t)
	testenv.Eventually(t, time.Minute, func() error {
		if families(t, l.URL+"/metrics")["loki_ingester_chunks_flushed_total"] == nil {
			return errors.New("no chunk was written")
		}
		return nil
	})
	catalogued(t, filepath.Join(root, "alerts", "catalogue", "loki.yml"), l.URL+"/metrics")
}

// catalogued fails the test unless the page has each metric of the catalogue, with that type and
// those labels.
func catalogued(t *testing.T, file, url string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var catalogue struct {
		Metrics []struct {
			Name, Type string
			Labels     []string
		}
	}
	if err := yaml.Unmarshal(content, &catalogue); err != nil {
		t.Fatal(err)
	}
	families := families(t, url)
	types := map[string]dto.MetricType{"counter": dto.MetricType_COUNTER, "gauge": dto.MetricType_GAUGE, "histogram": dto.MetricType_HISTOGRAM}
	if len(catalogue.Metrics) < 10 {
		t.Errorf("%d metrics in %s", len(catalogue.Metrics), file)
	}
	for _, m := range catalogue.Metrics {
		family := families[m.Name]
		if family == nil {
			t.Errorf("%s is not there", m.Name)
			continue
		}
		if family.GetType() != types[m.Type] {
			t.Errorf("%s is a %s", m.Name, family.GetType())
		}
		var labels []string
		for _, pair := range family.Metric[0].Label {
			labels = append(labels, pair.GetName())
		}
		slices.Sort(labels)
		slices.Sort(m.Labels)
		if !slices.Equal(labels, m.Labels) {
			t.Errorf("%s has the labels %q", m.Name, labels)
		}
	}
}

func families(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}
