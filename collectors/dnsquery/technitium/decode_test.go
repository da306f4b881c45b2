package technitium

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

const apiDocs = `{"response":{"pageNumber":1,"totalPages":2,"totalEntries":13,"entries":[
{"rowNumber":1,"timestamp":"2021-09-10T12:22:52Z","clientIpAddress":"127.0.0.1","protocol":"Udp","responseType":"Recursive","responseRtt":33.45,"rcode":"NoError","qname":"google.com","qtype":"A","qclass":"IN","answer":"172.217.166.46"},
{"rowNumber":2,"timestamp":"2021-09-10T12:23:16.1234567Z","clientIpAddress":"fd00::1","protocol":"Https","responseType":"Blocked","rcode":"NxDomain","qname":"sudonull.com","qtype":"A","qclass":"IN","answer":""},
{"rowNumber":3,"timestamp":"2021-09-10T12:23:16.5Z","clientIpAddress":"127.0.0.1","protocol":"Tcp","responseType":"Authoritative","rcode":"FormatError","qname":null,"qtype":null,"qclass":null,"answer":null}
]},"server":"dns1","status":"ok"}`

func TestDecodePage(t *testing.T) {
	second := time.Date(2021, 9, 10, 12, 23, 16, 123456700, time.UTC)
	want := Page{Number: 1, TotalPages: 2, TotalEntries: 13, Rows: []Row{
		{Number: 1, Time: time.Date(2021, 9, 10, 12, 22, 52, 0, time.UTC), Client: "127.0.0.1", Protocol: "Udp", ResponseType: "Recursive", RCode: "NoError", QName: "google.com", QType: "A", QClass: "IN", Answer: "172.217.166.46", RTT: 33.45, HasRTT: true},
		{Number: 2, Time: second, Client: "fd00::1", Protocol: "Https", ResponseType: "Blocked", RCode: "NxDomain", QName: "sudonull.com", QType: "A", QClass: "IN"},
		{Number: 3, Time: second.Truncate(time.Second).Add(500 * time.Millisecond), Client: "127.0.0.1", Protocol: "Tcp", ResponseType: "Authoritative", RCode: "FormatError"},
	}}
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(apiDocs), "by byte": iotest.OneByteReader(strings.NewReader(apiDocs)),
		"halves": iotest.HalfReader(strings.NewReader(apiDocs)), "error with data": iotest.DataErrReader(strings.NewReader(apiDocs)),
	} {
		if got, err := decodePage(r, 20); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// What is wrong with a row costs that row alone.
func TestDecodeRows(t *testing.T) {
	const time0 = `"timestamp":"2021-09-10T12:22:52Z","clientIpAddress":"::1"`
	good := Row{Time: time.Date(2021, 9, 10, 12, 22, 52, 0, time.UTC), Client: "::1"}
	with := func(change func(*Row)) *Row { r := good; change(&r); return &r }
	for row, want := range map[string]*Row{
		`{` + time0 + `}`: &good,
		`{` + time0 + `,"qtype":65,"rcode":4095,"qname":7}`:                                          with(func(r *Row) { r.QType, r.RCode, r.QName = "65", "4095", "7" }),
		`{` + time0 + `,"qtype":"65","qclass":"3"}`:                                                  with(func(r *Row) { r.QType, r.QClass = "65", "3" }),
		`{` + time0 + `,"qname":"\u0026\u00FC\ud83d\ude00\"\\\/\b\f\n\r\t","answer":"ü"}`:            with(func(r *Row) { r.QName, r.Answer = "&ü😀\"\\/\b\f\n\r\t", "ü" }),
		`{` + time0 + `,"qname":"\ud83d","answer":"\ud83dx"}`:                                        with(func(r *Row) { r.QName, r.Answer = "\ufffd", "\ufffdx" }),
		`{` + time0 + `,"qname":"\ud83d\ud83d\ude00"}`:                                               with(func(r *Row) { r.QName = "\ufffd😀" }),
		`{` + time0 + `,"responseRtt":0}`:                                                            with(func(r *Row) { r.HasRTT = true }),
		`{` + time0 + `,"responseRtt":1.5e2}`:                                                        with(func(r *Row) { r.RTT, r.HasRTT = 150, true }),
		`{` + time0 + `,"responseRtt":null,"new":{"a":[1,{"b":null}]},"other":[],"more":[true,"]"]}`: &good,
		`{"timestamp":"2021-09-10T14:22:52+02:00","clientIpAddress":"::1"}`:                          &good,
		`{"timestamp":"2021-09-10T12:22:52","clientIpAddress":"::1"}`:                                &good,
		`{"timestamp":"2021-09-10 12:22:52","clientIpAddress":"::1"}`:                                &good,
		`{"timestamp":"2024-02-29T23:59:59.123456789Z","clientIpAddress":"::1"}`:                     with(func(r *Row) { r.Time = time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC) }),
		`{"timestamp":"2023-02-29T00:00:00Z","clientIpAddress":"::1"}`:                               nil,
		`{"timestamp":"2023-13-01T00:00:00Z","clientIpAddress":"::1"}`:                               nil,
		`{"timestamp":"2023-01-01T24:00:00Z","clientIpAddress":"::1"}`:                               nil,
		`{"timestamp":"2023-01-01T00:00:00.Z","clientIpAddress":"::1"}`:                              nil,
		`{"timestamp":1631276572,"clientIpAddress":"::1"}`:                                           nil,
		`{"timestamp":null,"clientIpAddress":"::1"}`:                                                 nil,
		`{"clientIpAddress":"::1"}`:                                                                  nil,
		`{"timestamp":"2021-09-10T12:22:52Z","clientIpAddress":null}`:                                nil,
		`{"timestamp":"2021-09-10T12:22:52Z"}`:                                                       nil,
		`{` + time0 + `,"qname":["a"]}`:                                                              nil,
		`{` + time0 + `,"qname":{}}`:                                                                 nil,
		`{` + time0 + `,"responseRtt":"fast"}`:                                                       nil,
		`{` + time0 + `,"responseRtt":-1}`:                                                           nil,
		`{` + time0 + `,"rowNumber":1.5}`:                                                            nil,
		`null`:                                                                                       nil, `5`: nil, `"row"`: nil, `[]`: nil, `{}`: nil, `true`: nil,
	} {
		text := `{"response":{"pageNumber":1,"totalPages":1,"totalEntries":3,"entries":[{` + time0 + `,"qname":"before"},` +
			row + `,{` + time0 + `,"qname":"after"}]},"status":"ok"}`
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "by byte": iotest.OneByteReader(strings.NewReader(text))} {
			page, err := decodePage(r, 20)
			if err != nil {
				t.Errorf("%s, %s: %v", row, name, err)
				continue
			}
			if n := len(page.Rows); n < 2 || page.Rows[0].QName != "before" || page.Rows[n-1].QName != "after" || n+page.Malformed != 3 {
				t.Errorf("%s, %s: %+v", row, name, page)
			} else if want == nil && n != 2 || want != nil && (n != 3 || page.Rows[1] != *want) {
				t.Errorf("%s, %s: %+v, want %+v", row, name, page.Rows[1:n-1], want)
			}
		}
	}
}

// What is not JSON costs the page.
func TestDecodeGarbage(t *testing.T) {
	for _, text := range []string{
		``, ` `, `null`, `[]`, `{`, `{"status"`, `{"status":`, `{"status":"ok"`, `{"status":"ok",}`, `{,}`, `{"status" "ok"}`,
		`{"status":"ok","response":{"entries":[{},]}}`, `{"status":"ok","response":{"entries":[{} {}]}}`, `{"status":"ok","response":{"entries":[{}}`,
		`{"status":"ok","response":{"entries":[{"a":tru}]}}`, `{"status":"ok","response":{"entries":[{"a":-}],"a":}}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u12`,
		`{"a":"\`, `{"response":{},"response":{},"status":"ok"}`, `{"status":"ok","response":5}`, `{"status":"ok","response":{"pageNumber":"x"}}`,
		`{"status":"ok","response":{"pageNumber":-1,"totalPages":0,"totalEntries":0,"entries":[]}}`,
		`{"status":"ok","response":{"pageNumber":1,"totalPages":0,"totalEntries":0,"entries":null}}`,
		`{"status":"ok","a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "\xff\xfe",
	} {
		var decode decodeError
		if page, err := decodePage(strings.NewReader(text), 20); !errors.As(err, &decode) {
			t.Errorf("%q: %+v, %v", text, page, err)
		}
	}
	// A fault of the transport stays one.
	broken := errors.New("broken")
	for n := range len(apiDocs) {
		if _, err := decodePage(io.MultiReader(strings.NewReader(apiDocs[:n]), iotest.ErrReader(broken)), 20); !errors.Is(err, broken) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

func FuzzDecodePage(f *testing.F) {
	f.Add([]byte(apiDocs), 20)
	f.Add([]byte(apiDocs), 2)
	f.Add([]byte(`{"response":{"entries":[{"timestamp":"2021-02-29T12:22:52.1Z","clientIpAddress":"\u0061","qname":"\ud83d\ude00"},5,null],"pageNumber":1,"totalPages":0,"totalEntries":0},"status":"ok"}`), 5)
	f.Add([]byte(`{"status":"error","errorMessage":"Access was denied."}`), 1)
	f.Add([]byte(`{"status":"invalid-token"} x`), 1)
	f.Fuzz(func(t *testing.T, text []byte, perPage int) {
		page, err := decodePage(bytes.NewReader(text), perPage)
		again, err2 := decodePage(iotest.OneByteReader(bytes.NewReader(text)), perPage)
		if fmt.Sprint(err) != fmt.Sprint(err2) || !reflect.DeepEqual(page, again) {
			t.Fatalf("depends on how it arrives: %+v, %v; %+v, %v", page, err, again, err2)
		}
		if n := len(page.Rows) + page.Malformed; n > max(perPage, 0) {
			t.Fatalf("%d rows of %d", n, perPage)
		}
		for _, row := range page.Rows {
			if all := row.Client + " " + row.QName + " " + row.QType + " " + row.RCode + " " + row.Answer; !utf8.ValidString(all) {
				t.Fatalf("not UTF-8: %q", all)
			}
			if row.Time.IsZero() || row.Client == "" || row.Time.Location() != time.UTC {
				t.Fatalf("%+v", row)
			}
		}
		if err == nil && !json.Valid(text) {
			lenient(t, text)
		}
	})
}

// lenient fails unless the liberties that scanner documents explain why the text was accepted.
func lenient(t *testing.T, text []byte) {
	for _, c := range text {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' {
			return
		}
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, new(any)); !errors.As(err, &syntax) ||
		!strings.Contains(err.Error(), "numeric literal") && !strings.Contains(err.Error(), "in string literal") &&
			!strings.Contains(err.Error(), "after") {
		t.Fatalf("accepted: %q: %v", text, err)
	}
}

// Whatever encoding/json writes for a row is read as that row.
func FuzzRow(f *testing.F) {
	f.Add("192.0.2.1", "example.com", "A 192.0.2.7", "HTTPS", int64(1637000000), int64(1234567), 12.5, true)
	f.Add("::1", "a\u2028b\"\\<&>'+`", "TXT \x00\x1f\U0001f600", "", int64(0), int64(0), 0.0, false)
	f.Fuzz(func(t *testing.T, client, qname, answer, qtype string, seconds, ticks int64, rtt float64, hasRTT bool) {
		at := time.Unix(seconds%(1<<37), ticks%1e7*100).UTC()
		entry := map[string]any{
			"timestamp": at, "clientIpAddress": client, "qname": qname, "answer": answer, "qtype": qtype, "rowNumber": seconds,
		}
		want := Row{Number: seconds, Time: at, Client: client, QName: qname, Answer: answer, QType: qtype}
		if hasRTT {
			entry["responseRtt"], want.RTT, want.HasRTT = rtt, rtt, true
		}
		text, err := json.Marshal(map[string]any{"status": "ok", "response": map[string]any{
			"pageNumber": 1, "totalPages": 1, "totalEntries": 1, "entries": []any{entry},
		}})
		if err != nil {
			return // no number, or a year of five digits
		}
		for _, s := range []string{client, qname, answer, qtype} {
			if !utf8.ValidString(s) {
				return // encoding/json writes U+FFFD for what is not UTF-8
			}
		}
		page, err := decodePage(bytes.NewReader(text), 1)
		readable := client != "" && (!hasRTT || rtt >= 0)
		switch {
		case err != nil || len(page.Rows)+page.Malformed != 1:
			t.Fatalf("%s: %+v, %v", text, page, err)
		case readable && (len(page.Rows) != 1 || page.Rows[0] != want), !readable && page.Malformed != 1:
			t.Fatalf("%s: %+v, want %+v", text, page, want)
		}
	})
}
