package loki

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
)

// appendBody appends the JSON of a push:
//
//	{"streams":[{"stream":{"job":"dns"},"values":[["1700000000000000001","line",{"client":"::1"}]]}]}
//
// Entries of a stream keep their order.
func appendBody(b []byte, entries []Entry) []byte {
	b = append(b, `{"streams":[`...)
	for i, stream := range streams(entries) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"stream":`...)
		b = appendObject(b, stream[0].Labels)
		b = append(b, `,"values":[`...)
		for j, e := range stream {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(b, `["`...)
			b = strconv.AppendInt(b, e.Time.UnixNano(), 10)
			b = append(b, `",`...)
			b = appendString(b, e.Line)
			if len(e.Metadata) > 0 {
				b = append(b, ',')
				b = appendObject(b, e.Metadata)
			}
			b = append(b, ']')
		}
		b = append(b, `]}`...)
	}
	return append(b, `]}`...)
}

// streams parts entries by their labels, in order of the first of each.
func streams(entries []Entry) [][]Entry {
	var parts [][]Entry
	index := make(map[string]int)
	var key []byte
	for _, e := range entries {
		key = appendLabels(key[:0], e.Labels)
		i, ok := index[string(key)]
		if !ok {
			i = len(parts)
			index[string(key)] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], e)
	}
	return parts
}

// appendObject leaves out empty values, which mean for Loki that there is no such label.
func appendObject(b []byte, labels []Label) []byte {
	b = append(b, '{')
	first := true
	for _, l := range labels {
		if l.Value == "" {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(b, l.Name)
		b = append(b, ':')
		b = appendString(b, l.Value)
	}
	return append(b, '}')
}

// appendString appends a JSON string. Bytes that are not UTF-8, which JSON cannot carry, become
// U+FFFD.
func appendString(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		if c < 0x20 {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		} else {
			b = append(b, '\\', c)
		}
		start = i + 1
	}
	return append(append(b, s[start:]...), '"')
}

// encoder makes compressed bodies; its buffers are used again.
type encoder struct {
	plain []byte
	out   bytes.Buffer
	gzip  *gzip.Writer
}

func newEncoder() *encoder {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant of the package
	}
	return &encoder{gzip: w}
}

// body gives the compressed push; it is valid until the next call.
func (e *encoder) body(entries []Entry) ([]byte, error) {
	e.plain = appendBody(e.plain[:0], entries)
	e.out.Reset()
	e.gzip.Reset(&e.out)
	if _, err := e.gzip.Write(e.plain); err != nil {
		return nil, err
	}
	if err := e.gzip.Close(); err != nil {
		return nil, err
	}
	return e.out.Bytes(), nil
}
