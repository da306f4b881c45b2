package technitium

import (
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

func TestSmoke(t *testing.T) {
	for _, version := range []string{"13.6", "14.3", "15.2"} {
		s := technitiumtest.Start(t, technitiumtest.Options{Version: version})
		for i := range 30 {
			s.Insert(query(i))
		}
		page, err := client(t, s).Logs(t.Context(), Query{Page: 2, PerPage: 20, Start: epoch.Add(500)})
		if err != nil {
			t.Fatal(err)
		}
		if page.Number != 2 || page.TotalPages != 2 || page.TotalEntries != 25 || len(page.Rows) != 5 || page.Rows[0].Number != 21 {
			t.Errorf("%+v", page)
		}
	}
}
