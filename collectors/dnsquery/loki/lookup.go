package loki

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Sending an entry again is not enough to have it once. Loki compares a new entry with those of
// the block of the chunk that it fills, 256 kB by default, and merges what stands in different
// chunks when it is queried, but of two copies in two blocks of one chunk a metric query counts
// both until the chunk is written out, up to two hours later (measured with Loki 3.7). So after a
// push of which Loki may have taken a part, it is asked what it has. Where it cannot be asked, a
// gateway that only takes pushes, all is sent again.

const (
	queryPath = "/loki/api/v1/query_range"
	pageRows  = 5000 // the default of max_entries_limit_per_query
	maxAnswer = 64 << 20
)

// errForbidden tells that Loki, or what stands before it, does not answer queries of ours.
var errForbidden = errors.New("it may not be asked")

// found is an entry that Loki has, with all labels of its stream and all its metadata.
type found struct {
	nanos            int64
	line             string
	stream, metadata map[string]string
}

// missing gives the entries that Loki does not have yet.
func (c *client) missing(ctx context.Context, entries []Entry) ([]Entry, error) {
	var rest []Entry
	for _, stream := range streams(entries) {
		have, err := c.have(ctx, stream)
		if err != nil {
			return nil, err
		}
		for _, e := range stream {
			if !have[key(e.Time.UnixNano(), e.Line, asMap(e.Metadata))] {
				rest = append(rest, e)
			}
		}
	}
	return rest, nil
}

// have gives the keys of what Loki has in the time and the stream of some entries of one stream.
func (c *client) have(ctx context.Context, entries []Entry) (map[string]bool, error) {
	have := make(map[string]bool, len(entries))
	names, first, last := make(map[string]bool), int64(math.MaxInt64), int64(math.MinInt64)
	for _, e := range entries {
		first, last = min(first, e.Time.UnixNano()), max(last, e.Time.UnixNano())
		for _, l := range e.Metadata {
			names[l.Name] = true
		}
	}
	labels := asMap(entries[0].Labels)
	for from := first; ; {
		page, err := c.query(ctx, selector(entries[0].Labels), from, last+1)
		if err != nil {
			return nil, err
		}
		for _, f := range page {
			delete(f.stream, "service_name") // Loki adds it, and detected_level to the metadata
			maps.DeleteFunc(f.metadata, func(name, _ string) bool { return !names[name] })
			if len(f.stream) == len(labels) {
				have[key(f.nanos, f.line, f.metadata)] = true
			}
		}
		if len(page) < pageRows {
			return have, nil
		}
		next := page[len(page)-1].nanos
		if next == from {
			return nil, fmt.Errorf("more than %d entries of one nanosecond", pageRows)
		}
		from = next
	}
}

// key is what makes an entry another than others of its stream, as Loki keeps it: JSON has no
// bytes that are not UTF-8, and Loki takes U+FFFD out of metadata.
func key(nanos int64, line string, metadata map[string]string) string {
	b := strconv.AppendInt(nil, nanos, 10)
	b = appendText(b, strings.ToValidUTF8(line, "\uFFFD"))
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		b = appendText(appendText(b, name), strings.ReplaceAll(strings.ToValidUTF8(metadata[name], ""), "\uFFFD", ""))
	}
	return string(b)
}

// asMap leaves out empty values, as Loki does.
func asMap(labels []Label) map[string]string {
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		if l.Value != "" {
			m[l.Name] = l.Value
		}
	}
	return m
}

// selector is the LogQL of exactly one stream's labels; a stream that has more is found too.
func selector(labels []Label) string {
	parts := make([]string, 0, len(labels))
	for _, l := range labels {
		parts = append(parts, l.Name+"="+strconv.Quote(strings.ToValidUTF8(l.Value, "\uFFFD")))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// query gives a page of what a selector finds, in order of time.
func (c *client) query(ctx context.Context, selector string, from, to int64) ([]found, error) {
	values := url.Values{
		"query": {selector}, "direction": {"forward"}, "limit": {strconv.Itoa(pageRows)},
		"start": {strconv.FormatInt(from, 10)}, "end": {strconv.FormatInt(to, 10)},
	}
	endpoint := strings.TrimSuffix(c.o.endpoint(), pushPath) + queryPath + "?" + values.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return nil, err
	}
	if err := c.headers(req.Header); err != nil {
		return nil, err
	}
	req.Header.Set("Cache-Control", "no-cache")
	req.Header.Set("X-Loki-Response-Encoding-Flags", "categorize-labels")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		return parseFound(io.LimitReader(resp.Body, maxAnswer))
	case resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
		return nil, fmt.Errorf("query: status %d: %w", resp.StatusCode, errForbidden)
	}
	return nil, fmt.Errorf("query: status %d", resp.StatusCode)
}

// parseFound reads the answer to a log query, with labels by category:
//
//	{"status":"success","data":{"resultType":"streams","result":[{"stream":{"job":"dns"},
//	  "values":[["1700000000000000001","line",{"structuredMetadata":{"client":"::1"}}]]}]}}
func parseFound(r io.Reader) ([]found, error) {
	var answer struct {
		Data struct {
			ResultType string `json:"resultType"`
			Result     []struct {
				Stream map[string]string    `json:"stream"`
				Values [][3]json.RawMessage `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(r).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Data.ResultType != "streams" {
		return nil, fmt.Errorf("query: result type %q: %w", answer.Data.ResultType, errForbidden)
	}
	var all []found
	for _, stream := range answer.Data.Result {
		for _, value := range stream.Values {
			f, err := parseValue(value)
			if err != nil {
				return nil, fmt.Errorf("query: %w: %w", err, errForbidden)
			}
			f.stream = maps.Clone(stream.Stream)
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.nanos, b.nanos) })
	return all, nil
}

func parseValue(value [3]json.RawMessage) (f found, err error) {
	var nanos string
	if err := json.Unmarshal(value[0], &nanos); err != nil {
		return f, err
	}
	if err := json.Unmarshal(value[1], &f.line); err != nil {
		return f, err
	}
	var labels struct {
		Metadata map[string]string `json:"structuredMetadata"`
	}
	// A Loki before 3.0 does not know categories and gives two parts.
	if value[2] != nil {
		if err := json.Unmarshal(value[2], &labels); err != nil {
			return f, err
		}
	}
	f.metadata = labels.Metadata
	f.nanos, err = strconv.ParseInt(nanos, 10, 64)
	return f, err
}
