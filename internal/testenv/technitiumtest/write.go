package technitiumtest

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

const writeAt = 32 << 10

// writePage streams a page.
func (s *Server) writePage(w http.ResponseWriter, page result, words []string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	out := make([]byte, 0, writeAt+4096)
	out = fmt.Appendf(out, `{"response":{"pageNumber":%d,"totalPages":%d,"totalEntries":%d,"entries":[`, page.number, page.pages, page.total)
	quoted := make([][]byte, len(words))
	for i, word := range words {
		quoted[i] = appendString(nil, word)
	}
	for i := range page.rows {
		if i > 0 {
			out = append(out, ',')
		}
		out = s.appendRow(out, &page.rows[i], page.first+int64(i)*page.step, quoted)
		if len(out) >= writeAt {
			if _, err := w.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
	}
	out = append(out, `]}`...)
	if s.major > 13 {
		out = append(out, `,"server":"dns1"`...)
	}
	_, _ = w.Write(append(out, `,"status":"ok"}`...))
}

func (s *Server) appendRow(out []byte, r *stored, number int64, words [][]byte) []byte {
	out = append(out, `{"rowNumber":`...)
	out = strconv.AppendInt(out, number, 10)
	out = append(out, `,"timestamp":"`...)
	if r.malformed {
		out = append(out, "not a time"...)
	} else {
		out = time.Unix(r.ticks/ticksPerSecond, r.ticks%ticksPerSecond*100).UTC().AppendFormat(out, "2006-01-02T15:04:05.9999999Z")
	}
	out = appendString(append(out, `","clientIpAddress":`...), r.client)
	out = append(append(out, `,"protocol":`...), words[r.protocol]...)
	out = append(append(out, `,"responseType":`...), words[r.responseType]...)
	if r.hasRTT {
		out = strconv.AppendFloat(append(out, `,"responseRtt":`...), r.rtt, 'g', -1, 64)
	}
	out = append(append(out, `,"rcode":`...), words[r.rcode]...)
	out = append(out, `,"qname":`...)
	if r.question {
		out = appendString(out, r.qname)
		out = append(append(out, `,"qtype":`...), words[r.qtype]...)
		out = append(append(out, `,"qclass":`...), words[r.qclass]...)
	} else {
		out = append(out, `null,"qtype":null,"qclass":null`...)
	}
	out = append(out, `,"answer":`...)
	if r.hasAnswer {
		out = appendString(out, r.answer)
	} else {
		out = append(out, "null"...)
	}
	return append(out, '}')
}

// appendString writes a string as .NET's Utf8JsonWriter does.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '&' && c != '\'' && c != '+' && c != '<' && c != '>' && c != '`' {
			out = append(out, c)
			i++
			continue
		}
		switch c {
		case '\\':
			out = append(out, `\\`...)
			i++
			continue
		case '\n':
			out = append(out, `\n`...)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
			out = fmt.Appendf(out, `\u%04X\u%04X`, r1, r2)
		} else {
			out = fmt.Appendf(out, `\u%04X`, r)
		}
	}
	return append(out, '"')
}
