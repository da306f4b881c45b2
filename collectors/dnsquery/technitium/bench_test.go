package technitium

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// BenchmarkDecode compares the CPU time that a row of a page of 10,000 costs with what it costs
// through encoding/json.
func BenchmarkDecode(b *testing.B) {
	const rows = 10000
	text := pageOf(rows)
	var ours, theirs time.Duration
	for b.Loop() {
		ours += cpu(b, func() {
			if page, err := decodePage(bytes.NewReader(text), rows); err != nil || len(page.Rows) != rows {
				b.Fatal(err)
			}
		})
		theirs += cpu(b, func() {
			var page peerPage
			if err := json.Unmarshal(text, &page); err != nil || len(page.Response.Entries) != rows {
				b.Fatal(err)
			}
		})
	}
	perRow := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) / rows }
	b.ReportMetric(perRow(ours), "cpu-ns/row")
	b.ReportMetric(perRow(theirs), "encoding-json-cpu-ns/row")
	b.ReportMetric(float64(theirs)/float64(ours), "times-less-cpu")
}

type peerPage struct {
	Response struct {
		Entries []struct {
			RowNumber                                                                    int64
			Timestamp                                                                    time.Time
			ClientIPAddress, Protocol, ResponseType, RCode, QName, QType, QClass, Answer string
			ResponseRTT                                                                  float64
		}
	}
}

// cpu is the CPU time of this process while f runs.
func cpu(b *testing.B, f func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	f()
	return used() - before
}

// pageOf is an answer with n rows of different names.
func pageOf(n int) []byte {
	s := technitiumtest.New(technitiumtest.Options{})
	for i := range n {
		row := query(i)
		row.QName, row.Client = fmt.Sprintf("host-%d.example.com", i), fmt.Sprintf("192.0.2.%d", i%200)
		s.Insert(row)
	}
	form := url.Values{
		"token": {technitiumtest.Token}, "name": {s.App().Name}, "classPath": {s.App().ClassPath},
		"entriesPerPage": {fmt.Sprint(n)}, "descendingOrder": {"false"},
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/logs/query?"+form.Encode(), nil))
	return w.Body.Bytes()
}
