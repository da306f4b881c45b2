package zfs

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/command"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// BenchmarkSnapshots runs a whole pass over 10,000 snapshots, and beside it the
// usual way: `zfs get` of four properties of each snapshot and a series for each
// value. The commands are cat, so what ZFS itself saves by being asked for name
// and creation alone comes on top.
func BenchmarkSnapshots(b *testing.B) {
	h := manySnapshots(b)
	b.Setenv("PATH", h.Bin+":"+os.Getenv("PATH"))
	s, c := make1(b, h, "{}")
	c.env.Logger = collectortest.Logger(b)
	var ours, theirs time.Duration
	var series, peerSeries, page, peerPage int
	for b.Loop() {
		start := time.Now()
		out, err := collectortest.Collect(b, s, c)
		if err != nil {
			b.Fatal(err)
		}
		series, page = encoded(b, out)
		if series < 400 { // eight for each dataset
			b.Fatalf("%d series", series)
		}
		ours += time.Since(start)

		b.StopTimer()
		start = time.Now()
		peerSeries, peerPage = encoded(b, perSnapshot(b))
		theirs += time.Since(start)
		b.StartTimer()
	}
	if each := ours / time.Duration(b.N); each > time.Second {
		b.Errorf("a pass over 10,000 snapshots takes %s", each)
	}
	b.ReportMetric(float64(theirs)/float64(ours), "times_faster")
	b.ReportMetric(float64(series), "series")
	b.ReportMetric(float64(peerSeries), "series_peer")
	b.ReportMetric(float64(page), "bytes_page")
	b.ReportMetric(float64(peerPage), "bytes_page_peer")
	b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "ms_peer")
}

func encoded(b *testing.B, out *metric.Batch) (series, size int) {
	for _, f := range out.Families() {
		text, err := f.Text()
		if err != nil {
			b.Fatal(err)
		}
		size += len(text.Header) + len(text.Samples)
	}
	return out.Series(), size
}

// perSnapshot is a collector with a series for each property of each snapshot.
func perSnapshot(b *testing.B) *metric.Batch {
	res, err := command.Exec{}.Run(context.Background(), command.Cmd{
		Path: "zfs", Args: []string{"get", "-Hprt", "snapshot", "-o", "name,property,value", "logicalused,referenced,used,written", "tank"}})
	if err != nil || res.ExitCode != 0 {
		b.Fatal(res, err)
	}
	byProperty := map[string]metric.Gauge{}
	var all []metric.Metric
	for _, property := range []string{"logicalused", "referenced", "used", "written"} {
		g := metric.NewGauge("peer_"+property+"_bytes", "Peer.", metric.Labels("name", "pool", "type"))
		byProperty[property], all = g, append(all, g)
	}
	properties := map[string]map[string]string{}
	for line := range bytes.Lines(res.Stdout) {
		f := strings.Split(strings.TrimSpace(string(line)), "\t")
		if properties[f[0]] == nil {
			properties[f[0]] = map[string]string{}
		}
		properties[f[0]][f[1]] = f[2]
	}
	out := metric.NewBatch(all, "source", "default", 0)
	for name, values := range properties {
		for property, value := range values {
			v, err := number(value)
			if err != nil {
				b.Fatal(err)
			}
			out.Gauge(byProperty[property], *v, name, "tank", "snapshot")
		}
	}
	return out
}
