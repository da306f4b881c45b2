package server

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

const (
	// scrapeBudget bounds the sources that are run at scrape where the
	// scraper does not say how long it waits.
	scrapeBudget = 9500 * time.Millisecond
	// scrapeOffset is what a scrape needs beside its sources.
	scrapeOffset = 500 * time.Millisecond
)

// metrics serves the exposition,
// https://prometheus.io/docs/instrumenting/exposition_formats/.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	selected, err := s.selection(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	parts := s.opts.Manager.Gather(r.Context(), selected, budget(r))
	format := expfmt.NegotiateAccept(r.Header,
		expfmt.NewFormat(expfmt.TypeTextPlain), expfmt.NewFormat(expfmt.TypeOpenMetrics))
	openMetrics := format.FormatType() == expfmt.TypeOpenMetrics
	body := bufio.NewWriterSize(w, 64<<10)
	w.Header().Set("Content-Type", string(format))
	s.writeFamilies(body, parts, openMetrics)
	if err := s.writeProcess(body, format); err != nil {
		s.opts.Logger.Error("process metrics", "err", err)
	}
	_ = body.Flush() // the scraper may have gone
}

// selection reads collect[] and exclude[].
func (s *Server) selection(r *http.Request) (func(string) bool, error) {
	query := r.URL.Query()
	collect, exclude := query["collect[]"], query["exclude[]"]
	if len(collect) > 0 && len(exclude) > 0 {
		return nil, errors.New("collect[] and exclude[] exclude each other")
	}
	for _, name := range slices.Concat(collect, exclude) {
		if !slices.Contains(s.opts.Collectors, name) {
			return nil, fmt.Errorf("unknown collector %q; expected one of %q", name, s.opts.Collectors)
		}
	}
	return func(name string) bool {
		if len(collect) > 0 {
			return slices.Contains(collect, name)
		}
		return !slices.Contains(exclude, name)
	}, nil
}

// budget is what the scraper's own timeout leaves for sources.
func budget(r *http.Request) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || !(seconds > 0 && seconds < time.Hour.Seconds()) { // NaN is neither
		return scrapeBudget
	}
	timeout := time.Duration(seconds * float64(time.Second))
	return max(timeout-scrapeOffset, timeout/2) // a 0.5 s scrape is served too
}

// writeFamilies merges the families of all sources by name.
func (s *Server) writeFamilies(body *bufio.Writer, parts [][]metric.Family, openMetrics bool) {
	byName := map[string][]metric.Encoded{}
	for _, families := range parts {
		for _, f := range families {
			encode := f.Text
			if openMetrics {
				encode = f.OpenMetrics
			}
			encoded, err := encode()
			if err != nil {
				s.opts.Logger.Error("a metric cannot be encoded", "metric", f.Desc.Name, "err", err)
				continue
			}
			byName[f.Desc.Name] = append(byName[f.Desc.Name], encoded)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		_, _ = body.Write(byName[name][0].Header) // an error stays until Flush
		for _, encoded := range byName[name] {
			_, _ = body.Write(encoded.Samples)
		}
	}
}

// writeProcess adds go_*, process_* and build_info.
func (s *Server) writeProcess(body *bufio.Writer, format expfmt.Format) error {
	families, gatherErr := prometheus.Gatherer(s.process).Gather()
	enc := expfmt.NewEncoder(body, format)
	for _, mf := range families {
		if mf.GetName() == "go_memstats_alloc_bytes_total" && format.FormatType() == expfmt.TypeOpenMetrics {
			continue // there its family would have the name of go_memstats_alloc_bytes
		}
		if err := enc.Encode(mf); err != nil {
			return err
		}
	}
	if closer, ok := enc.(expfmt.Closer); ok {
		return errors.Join(gatherErr, closer.Close()) // # EOF
	}
	return gatherErr
}
