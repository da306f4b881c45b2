package technitium

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/config"
	"vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

var epoch = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// client is one of a fake server.
func client(t testing.TB, s *technitiumtest.Server, change ...func(*Options)) *Client {
	t.Helper()
	opts := Options{
		URL: s.URL, TokenFile: config.SecretFile(s.TokenFile), CAFile: s.CAFile,
		App: s.App().Name, ClassPath: s.App().ClassPath,
	}
	for _, f := range change {
		f(&opts)
	}
	c, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// query is a row of the fake, i·100 ns after epoch.
func query(i int) technitiumtest.Row {
	return technitiumtest.Row{
		Time: epoch.Add(time.Duration(i) * 100), Client: "192.0.2.1", Protocol: "Udp", ResponseType: "Recursive",
		RCode: "NoError", QName: "example.com", QType: "A", QClass: "IN", Answer: "A 192.0.2.7", RTT: 12.5,
	}
}

// The rows of a page are those that the server has, whatever its version and app.
func TestLogs(t *testing.T) {
	for _, version := range []string{"13.6", "14.3", "15.2"} {
		for _, app := range []technitiumtest.App{technitiumtest.SQLite, technitiumtest.MySQL, technitiumtest.SQLServer, technitiumtest.PostgreSQL} {
			t.Run(version+" "+app.ClassPath, func(t *testing.T) {
				s := technitiumtest.Start(t, technitiumtest.Options{Version: version, App: app, TLS: version == "14.3"})
				for i := range 250 {
					row := query(i * 1234567)
					switch i % 5 {
					case 1:
						row.QName, row.QType, row.QClass, row.Answer = "", "", "", ""
					case 2:
						row.ResponseType, row.RCode, row.QType, row.QName = "Blocked", "NxDomain", "65400", "ü<&>.example"
					case 3:
						row.Malformed = true
					}
					s.Insert(row)
				}
				testAllPages(t, client(t, s), s)
				noToken(t, s, nil)
			})
		}
	}
}

func testAllPages(t *testing.T, c *Client, s *technitiumtest.Server) {
	t.Helper()
	want := s.Retained()
	next, malformed := 0, 0
	for number := int64(1); number <= 3; number++ {
		page, err := c.Logs(t.Context(), Query{Page: number, PerPage: 100})
		if err != nil || page.Number != number || page.TotalPages != 3 || page.TotalEntries != 250 {
			t.Fatalf("%d/%d of %d, %v", page.Number, page.TotalPages, page.TotalEntries, err)
		}
		malformed += page.Malformed
		for _, got := range page.Rows {
			for want[next].Malformed {
				next++
			}
			w := want[next]
			next++
			expected := Row{
				Number: int64(next), Time: w.Time, Client: w.Client, Protocol: w.Protocol, ResponseType: w.ResponseType,
				RCode: w.RCode, QName: w.QName, QType: w.QType, QClass: w.QClass, Answer: w.Answer,
			}
			if w.ResponseType == "Recursive" {
				expected.RTT, expected.HasRTT = w.RTT, true
			}
			if got != expected {
				t.Fatalf("row %d:\n got %+v\nwant %+v", next, got, expected)
			}
		}
	}
	if next != 250 || malformed != 50 {
		t.Errorf("%d rows, %d malformed", next, malformed)
	}
}

// A time that a page gave selects its row when it is given back, with all that follows.
func TestStartInclusive(t *testing.T) {
	for _, app := range []technitiumtest.App{technitiumtest.SQLite, technitiumtest.MySQL, technitiumtest.SQLServer, technitiumtest.PostgreSQL} {
		s := technitiumtest.Start(t, technitiumtest.Options{App: app})
		c := client(t, s)
		for i := range 40 {
			s.Insert(query(i * 1234567))
		}
		all, err := c.Logs(t.Context(), Query{Page: 1, PerPage: 100})
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range all.Rows {
			for i > 0 && all.Rows[i-1].Time.Equal(row.Time) {
				i--
			}
			from, err := c.Logs(t.Context(), Query{Start: row.Time, Page: 1, PerPage: 100})
			if err != nil || int(from.TotalEntries) != len(all.Rows)-i {
				t.Fatalf("%s: %d rows from %s on, want %d, %v", app.Name, from.TotalEntries, row.Time, len(all.Rows)-i, err)
			}
			to, err := c.Logs(t.Context(), Query{End: row.Time, Page: -1, PerPage: 100, Descending: true})
			if err != nil || !to.Rows[0].Time.Equal(row.Time) || to.Rows[0].Number != to.TotalEntries {
				t.Fatalf("%s: %+v up to %s, %v", app.Name, to.Rows[0], row.Time, err)
			}
		}
	}
}

// What an answer has beside its rows is not held in memory, however long it is.
func TestMemory(t *testing.T) {
	const head = `{"response":{"pageNumber":1,"totalPages":1,"totalEntries":1000000000000,"entries":[`
	filler := `"other":{"a":[1,2,{"b":"` + strings.Repeat("x", 1000) + `"}]},` + strings.Repeat(" ", 1000)
	readers := []io.Reader{strings.NewReader(head + `{"timestamp":"2021-09-10T12:22:52Z","clientIpAddress":"::1"},{`)}
	for range 20000 {
		readers = append(readers, strings.NewReader(filler))
	}
	readers = append(readers, strings.NewReader(`"last":0}]},"status":"ok"}`))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	page, err := decodePage(io.MultiReader(readers...), 1<<30)
	runtime.ReadMemStats(&after)
	if err != nil || len(page.Rows) != 1 || page.Malformed != 1 {
		t.Errorf("%d rows, %d malformed, %v", len(page.Rows), page.Malformed, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("an answer of 40 MB takes %d bytes", used)
	}
}
