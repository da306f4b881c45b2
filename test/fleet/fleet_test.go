package fleet

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

var (
	sizes = flag.String("fleet.hosts", "20", "numbers of hosts to measure, separated by commas")
	while = flag.Duration("fleet.while", 16*time.Second, "how long each is measured")
)

// TestFleet prints the table of docs/scale.md. Among the other tests it measures a small fleet for
// a moment and asserts what must hold: all hosts are scraped, the two engines see as many, and no
// rule of a small one is late.
func TestFleet(t *testing.T) {
	testenv.Need(t, "/usr/bin/victoria-metrics", "/usr/bin/vmalert")
	h := capture(t)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	page, err := get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, _ = w.Write(page)
	_ = w.Close()
	t.Logf("a host: %d series in %d bytes, of which rules read %d of %d families; %d replayed in %d bytes (%d with gzip)",
		h.all, h.bytes, h.read, len(h.families), len(h.samples), len(page), compressed.Len())
	if len(h.samples) < 100 {
		t.Fatal("too few series to tell anything")
	}
	table := header
	for _, size := range strings.Split(*sizes, ",") {
		hosts, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		target := strings.TrimPrefix(server.URL, "http://")
		one := prometheus(t, hosts, target, *while)
		t.Log(one.row()) // a larger fleet may not be measured to its end
		two := victoria(t, hosts, target, *while)
		t.Log(two.row())
		table += "\n" + one.row() + "\n" + two.row()
		for _, f := range []figures{one, two} {
			if least := float64(hosts * len(h.samples)); f.series < least {
				t.Errorf("%s holds %.0f series, want at least %.0f", f.engine, f.series, least)
			}
			const small = 300 // what docs/scale.md gives to one small machine; beyond, it is a figure
			if f.rules <= 0 || f.missed > 0 && hosts <= small {
				t.Errorf("%s takes %.1f s for rules that are due every %s and missed %.0f", f.engine, f.rules, every, f.missed)
			}
		}
	}
	t.Log("\n" + table)
}

// TestShare: of many series each family keeps some, also those at the end of the page, as do the
// series of one that all have room for.
func TestShare(t *testing.T) {
	var page strings.Builder
	for n := range 2 * maxSeries {
		fmt.Fprintf(&page, "a_many{n=\"%d\"} 1\n", n)
	}
	page.WriteString("unread 1\nv_two{n=\"1\"} 1\nv_two{n=\"2\"} 1\nz_one 1\n")
	h := parse([]byte(page.String()), map[string]bool{"a_many": true, "v_two": true, "z_one": true})
	var last []string
	for _, s := range h.samples {
		if !strings.HasPrefix(s.series, "a_") {
			last = append(last, s.series)
		}
	}
	if len(h.samples) != maxSeries || h.read != 2*maxSeries+3 || h.all != h.read+1 {
		t.Errorf("%d of %d of %d series", len(h.samples), h.read, h.all)
	}
	if want := []string{`v_two{n="1"}`, "z_one", `v_two{n="2"}`}; !slices.Equal(last, want) {
		t.Errorf("kept %q, want %q", last, want)
	}
}
