package soak

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
	"vulcan.lan/vulcan_exporter/test/lab"
)

// exact ends the DNS queries and compares what was counted and what Loki holds with what the
// server logged: whatever broke meanwhile, each query is there once.
func (w *watcher) exact(l *lab.Lab) {
	w.t.Helper()
	l.Quiet()
	logged := l.DNS.Counts()
	want := float64(logged.Inserted)
	if want == 0 || logged.Deleted > 0 {
		w.t.Fatalf("the log of DNS queries tells nothing: %+v", logged)
	}
	var counted, stored float64
	testenv.Eventually(w.t, patience, func() error {
		families, _, err := w.scrape()
		if err != nil {
			return err
		}
		counted = 0
		for _, m := range families["dns_query_total"].GetMetric() {
			counted += m.GetCounter().GetValue()
		}
		if stored, err = rows(l.Loki); err != nil {
			return err
		}
		if counted < want || stored < want {
			return fmt.Errorf("%.0f queries logged, %.0f counted, %.0f in Loki", want, counted, stored)
		}
		return nil
	})
	if counted != want || stored != want {
		w.t.Errorf("%.0f queries logged, %.0f counted, %.0f in Loki", want, counted, stored)
	}
	w.t.Logf("%.0f DNS queries, each counted once and in Loki once", want)
}

// rows counts what Loki holds.
func rows(loki string) (float64, error) {
	query := url.Values{"query": {`sum(count_over_time({job="dns_query_logs"}[2h]))`}, "time": {fmt.Sprint(time.Now().Add(time.Minute).Unix())}}
	response, err := client.Get(loki + "/loki/api/v1/query?" + query.Encode())
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Data.Result) != 1 {
		return 0, fmt.Errorf("%s: %w", body, err)
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(text, 64)
}
