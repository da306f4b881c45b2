package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// TestLogs runs every query of Loki's panels against a real Loki with lines as the collector
// dnsquery writes them.
func TestLogs(t *testing.T) {
	all, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	loki := testenv.StartLoki(t, testenv.LokiOptions{})
	end := time.Now()
	pushLines(t, loki.URL, end)
	queries := 0
	answers := records{end: end, of: map[string]*record{}}
	for _, d := range all {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.Datasource.Type != "loki" {
					continue
				}
				queries++
				for _, search := range []string{"", "EXAMPLE"} {
					expr := strings.NewReplacer("$__auto", "15m", "$search", search).Replace(target.Expr)
					testenv.Eventually(t, time.Minute, func() error {
						results, err := ask(loki.URL, expr, end)
						if err == nil && search == "" {
							answers.addLogs(d, p, results)
						}
						return err
					})
				}
			}
		}
	}
	answers.write(t, ".logs")
	if queries < 3 {
		t.Errorf("only %d queries", queries)
	}
}

func pushLines(t *testing.T, base string, end time.Time) {
	t.Helper()
	var streams []map[string]any
	for _, kind := range []string{"Recursive", "Blocked"} {
		var values [][2]string
		for i := range 30 {
			at := end.Add(-time.Duration(30-i) * 11 * time.Minute)
			values = append(values, [2]string{strconv.FormatInt(at.UnixNano(), 10),
				fmt.Sprintf(`client=192.0.2.%d qname=%d.example.com qtype=A rcode=NoError response_type=%s protocol=Udp rtt_ms=3.4 answer="A 192.0.2.80"`, i%3, i%4, kind)})
		}
		streams = append(streams, map[string]any{
			"stream": map[string]string{"job": "dns_query_logs", "rcode": "NoError", "response_type": kind, "source": "default"}, "values": values})
	}
	body, err := json.Marshal(map[string]any{"streams": streams})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(base+"/loki/api/v1/push", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Fatalf("push: %s %s", response.Status, answer)
	}
}

// ask returns the results, of which there is at least one.
func ask(base, expr string, end time.Time) ([]json.RawMessage, error) {
	response, err := http.Get(base + "/loki/api/v1/query_range?" + url.Values{
		"query": {expr}, "start": {unix(end.Add(-6 * time.Hour))}, "end": {unix(end.Add(time.Second))}, "step": {"900"}, "limit": {"200"},
	}.Encode())
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	var answer struct {
		Status string
		Data   struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s: %s", expr, body)
	}
	if answer.Status != "success" || len(answer.Data.Result) == 0 {
		return nil, fmt.Errorf("%s: %.300s", expr, body)
	}
	return answer.Data.Result, nil
}
