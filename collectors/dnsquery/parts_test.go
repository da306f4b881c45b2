package dnsquery

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"

	"vulcan.lan/vulcan_exporter/collectors/dnsquery/tail"
	"vulcan.lan/vulcan_exporter/collectors/dnsquery/technitium"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
)

// again is a value after a way through JSON.
func again[T any](t *testing.T, from, into T) T {
	t.Helper()
	b, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// The window is the last hour; the estimate is within three standard errors, also after a restart.
func TestDistinct(t *testing.T) {
	d, now := newDistinct(), collectortest.Now
	const names, clients = 20_000, 300
	for i := range 2 * names {
		d.add(&technitium.Row{Time: now.Add(-time.Duration(i%50) * time.Minute), Client: fmt.Sprint(i % clients), QName: fmt.Sprint(i % names), QType: "A"}, now)
	}
	d.add(&technitium.Row{Time: now.Add(-2 * time.Hour), Client: "old", QName: "old", QType: "A"}, now)
	d.add(&technitium.Row{Time: now.Add(5 * time.Hour), Client: "future", QName: "future", QType: "A"}, now)
	for range 2 {
		c, q := d.estimate(now)
		if math.Abs(c-clients) > 0.05*clients || math.Abs(q-names) > 0.05*names {
			t.Errorf("%.0f clients and %.0f names, want %d and %d", c, q, clients, names)
		}
		d = again(t, d, newDistinct())
	}
	if c, q := d.estimate(now.Add(2 * time.Hour)); c != 0 || q != 0 {
		t.Errorf("%.0f clients and %.0f names two hours later", c, q)
	}
}

// Of a skewed million the most frequent names are found, with counts that are never too small.
func TestTop(t *testing.T) {
	top, now := newTop(5), collectortest.Now
	exact := map[string]int64{}
	count := func(name string) {
		exact[name]++
		top.add(&technitium.Row{Time: now, QName: name, QType: "A"})
	}
	for i := range 200_000 {
		count(fmt.Sprint("rare", i))
		if i%50 == 0 {
			for n := range 5 {
				for range n + 1 {
					count(fmt.Sprint("often", n))
				}
			}
		}
	}
	top = again(t, top, newTop(5))
	first := top.first(now)
	if len(first) != 5 || len(top.names) != 5*placesFor {
		t.Fatalf("%d names shown, %d kept", len(first), len(top.names))
	}
	rows := int64(0)
	for _, n := range exact {
		rows += n
	}
	for i, c := range first {
		if want := fmt.Sprint("often", 4-i); c.name != want && exact[c.name] < exact[want]-rows/(5*placesFor) {
			t.Errorf("%d. is %s, want %s", i, c.name, want)
		}
		if over := c.n - exact[c.name]; over < 0 || over > rows/(5*placesFor) {
			t.Errorf("%s: %d, exact %d", c.name, c.n, exact[c.name])
		}
	}
	if top.first(now.Add(time.Hour)) != nil {
		t.Error("names of the hour before are shown")
	}
}

// The k-th of rows that look alike gets k nanoseconds, also after a restart, in bounded memory.
func TestRanks(t *testing.T) {
	r := newRanks()
	for k := range uint32(1000) {
		if got := r.next(7); got != k {
			t.Fatalf("%d, want %d", got, k)
		}
		if k%100 == 0 {
			r = again(t, r, newRanks())
		}
		for other := range uint64(50) {
			r.next(uint64(k)*50 + other + 100)
		}
	}
	if n := len(r.young) + len(r.old); n > 2*rankedRows {
		t.Errorf("%d rows are remembered", n)
	}
}

func TestLines(t *testing.T) {
	at := collectortest.Now
	row := technitium.Row{
		Time: at, Client: "192.0.2.7", Protocol: "Udp", ResponseType: "Recursive", RCode: "NoError",
		QName: "example.com", QType: "A", QClass: "IN", Answer: "A 192.0.2.80, A 192.0.2.81", RTT: 33.45, HasRTT: true,
	}
	none := technitium.Row{Time: at, Client: "192.0.2.7", Protocol: "Tcp", ResponseType: "Dropped", RCode: "FormatError"}
	odd := technitium.Row{Time: at, Client: "::1", Protocol: "Udp", ResponseType: "Cached", RCode: "NoError", QName: "a=\"b\nc\xff", QType: "TXT", QClass: "CH"}
	e := entries{job: "dns", source: "home", extra: []string{"client_hostname", "qtype"}, nameOf: func(c string) string { return map[string]string{"192.0.2.7": "printer"}[c] }}
	got := e.of(&tail.Step{Rows: []technitium.Row{row, row, none, odd}, Hashes: []uint64{1, 1, 2, 3}}, newRanks())
	for i, want := range []string{
		`client=192.0.2.7 qname=example.com qtype=A rcode=NoError response_type=Recursive protocol=Udp rtt_ms=33.45 answer="A 192.0.2.80, A 192.0.2.81"`,
		`client=192.0.2.7 qname=example.com qtype=A rcode=NoError response_type=Recursive protocol=Udp rtt_ms=33.45 answer="A 192.0.2.80, A 192.0.2.81"`,
		`client=192.0.2.7 rcode=FormatError response_type=Dropped protocol=Tcp`,
		`client=::1 qname="a=\"b\nc\xff" qtype=TXT qclass=CH rcode=NoError response_type=Cached protocol=Udp`,
	} {
		if got[i].Line != want || !utf8.ValidString(got[i].Line) {
			t.Errorf("%s, want %s", got[i].Line, want)
		}
	}
	if !got[0].Time.Equal(at) || !got[1].Time.Equal(at.Add(1)) {
		t.Errorf("times %s and %s", got[0].Time, got[1].Time)
	}
	text := fmt.Sprint(got[0].Labels, got[0].Metadata, got[3].Labels)
	if want := "[{job dns} {rcode NoError} {response_type Recursive} {source home} {client_hostname printer} {qtype A}] [{client_ip 192.0.2.7}] [{job dns} {rcode NoError} {response_type Cached} {source home} {client_hostname ::1} {qtype TXT}]"; text != want {
		t.Errorf("%s, want %s", text, want)
	}
}

// Names come from the file, which may change, and from a resolver that nobody waits for.
func TestNames(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	server := &dns.Server{Addr: "127.0.0.1:0", Net: "udp", Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		asked <- q.Question[0].Name
		m := new(dns.Msg).SetReply(q)
		if strings.HasPrefix(q.Question[0].Name, "8.") {
			m.Answer = []dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: 60}, Ptr: "phone.lan."}}
		} else {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})}
	up := make(chan struct{})
	server.NotifyStartedFunc = func() { close(up) }
	go func() { _ = server.ListenAndServe() }()
	<-up
	defer func() { _ = server.Shutdown() }()
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("192.0.2.7 printer.lan printer # hall\n::1 localhost\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &clock{now: collectortest.Now}
	n := newNames(Names{File: file, Resolver: server.PacketConn.LocalAddr().String()}, c.Now, collectortest.Logger(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	eventually := func(client, want string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); n.of(client) != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is %q, want %q", client, n.of(client), want)
			}
		}
	}
	eventually("192.0.2.7", "printer.lan")
	eventually("192.0.2.8", "phone.lan")
	n.of("192.0.2.9")
	for range 3 { // one question for each of the two, and the one without a name
		if name := <-asked; strings.HasPrefix(name, "7.") {
			t.Error("a client with a name in the file was looked up")
		}
		if len(asked) == 0 && n.of("192.0.2.9") == "" {
			break
		}
	}
	c.add(2 * nameTTL)
	if name := n.of("192.0.2.8"); name != "phone.lan" {
		t.Errorf("the old name is not kept until there is a new one: %q", name)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A flood of clients does not make the table of names grow without bound.
func TestNamesBounded(t *testing.T) {
	n := newNames(Names{Resolver: "192.0.2.1:53"}, time.Now, collectortest.Logger(t))
	n.begun = true
	for i := range 3 * maxNames {
		n.of(fmt.Sprint(i))
		for len(n.asked) > 0 {
			client := <-n.asked
			n.looked[client] = found{until: time.Now().Add(time.Hour)}
		}
	}
	if len(n.looked) > maxNames {
		t.Errorf("%d names are kept", len(n.looked))
	}
}

func FuzzHosts(f *testing.F) {
	f.Add("192.0.2.7 printer.lan printer # hall\n::1 localhost\n")
	f.Add("#\n \n1.2.3.4\nfe80::1%eth0 a b")
	f.Fuzz(func(t *testing.T, content string) {
		for address, name := range parseHosts(content) {
			if address == "" || name == "" || strings.ContainsAny(address+name, " \t\n#") {
				t.Errorf("%q is %q", address, name)
			}
		}
	})
}
