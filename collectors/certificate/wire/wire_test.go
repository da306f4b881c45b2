package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

const patience = 30 * time.Second

func probe(t *testing.T, target Target) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return Probe(ctx, target, time.Now)
}

// presents checks that the leaf is the one that OpenSSL sees as well.
func presents(t *testing.T, what string, r Result, want *zoo.Cert, count int) {
	t.Helper()
	if len(r.Certificates) != count {
		t.Errorf("%s: %d certificates, want %d (%s: %v)", what, len(r.Certificates), count, r.Reason, r.Err)
		return
	}
	if !r.Certificates[0].Equal(want.Certificate) {
		t.Errorf("%s: presented %s", what, bundle.Name(r.Certificates[0].RawSubject))
	}
}

func bySClient(t *testing.T, address, protocol string, want *zoo.Cert) {
	t.Helper()
	args := []string{"s_client", "-connect", address}
	if protocol != "" {
		args = append(args, "-starttls", protocol)
	}
	out, err := zoo.TryOpenSSL(t, args...)
	if !strings.Contains(out, strings.TrimSpace(string(zoo.PEM(want)))) {
		t.Errorf("openssl sees another certificate at %s: %v\n%s", address, err, out)
	}
}

// TestNginx asks a real nginx for every site that something is wrong with.
func TestNginx(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	root := zoo.Root(t, "Root")
	ca := root.Authority(t, "CA")
	site := func(name string, c *zoo.Cert, more ...*zoo.Cert) string {
		zoo.Write(t, dir, name+".crt", zoo.PEM(append([]*zoo.Cert{c}, more...)...))
		zoo.Write(t, dir, name+".key", c.KeyPEM(t))
		return fmt.Sprintf("ssl_certificate %[1]s/%[2]s.crt; ssl_certificate_key %[1]s/%[2]s.key;", dir, name)
	}
	good, expired, old := ca.Issue(t, "good.test"), ca.Issue(t, "expired.test", zoo.Lifetime(now.Add(-48*time.Hour), now.Add(-24*time.Hour))), zoo.SelfSigned(t, "old.test")
	staple, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{
		Status: ocsp.Good, SerialNumber: good.SerialNumber, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour),
	}, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	zoo.Write(t, dir, "staple", staple)
	clients := zoo.Write(t, dir, "clients", zoo.PEM(root))
	var ports [4]string
	for i := range ports {
		ports[i] = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	}
	testenv.StartNginx(t, fmt.Sprintf(`
server { listen %[1]s ssl; server_name good.test; %[5]s ssl_protocols TLSv1.2 TLSv1.3; ssl_stapling on; ssl_stapling_file %[8]s/staple; return 204; }
server { listen %[1]s ssl; server_name expired.test; %[6]s return 204; }
server { listen %[2]s ssl; server_name old.test; %[7]s ssl_protocols TLSv1; ssl_ciphers ALL:@SECLEVEL=0; return 204; }
server { listen %[3]s ssl; server_name good.test; %[5]s ssl_client_certificate %[9]s; ssl_verify_client on; return 204; }
server { listen %[4]s; return 204; }
`, ports[0], ports[1], ports[2], ports[3], site("good", good, ca), site("expired", expired), site("old", old), dir, clients))

	r := probe(t, Target{Address: ports[0], ServerName: "good.test"})
	presents(t, "good", r, good, 2)
	if r.Reason != "" || r.Version != tls.VersionTLS13 || r.Handshake <= 0 || r.Asked || string(r.Staple) != string(staple) {
		t.Errorf("good: %q, version %x, %s, staple of %d bytes", r.Reason, r.Version, r.Handshake, len(r.Staple))
	}
	bySClient(t, ports[0], "", good)
	r = probe(t, Target{Address: ports[0], ServerName: "expired.test"})
	presents(t, "expired", r, expired, 1)
	if r.Reason != "" || len(r.Staple) != 0 {
		t.Errorf("expired: %q, staple of %d bytes", r.Reason, len(r.Staple))
	}
	r = probe(t, Target{Address: ports[1], ServerName: "old.test"})
	presents(t, "TLS 1.0", r, old, 1)
	if r.Reason != "" || r.Version != tls.VersionTLS10 {
		t.Errorf("TLS 1.0: %q, version %x (%v)", r.Reason, r.Version, r.Err)
	}
	r = probe(t, Target{Address: ports[2], ServerName: "good.test"})
	presents(t, "client certificate", r, good, 2)
	if !r.Asked || r.Reason != "" { // nginx answers 400 after the handshake
		t.Errorf("client certificate: asked %v, %q", r.Asked, r.Reason)
	}
	if r := probe(t, Target{Address: ports[3]}); r.Reason != NotTLS || len(r.Certificates) != 0 {
		t.Errorf("plain HTTP: %q (%v)", r.Reason, r.Err)
	}
}

// TestClientAuth meets a server that refuses, in each version of TLS, a client without
// certificate.
func TestClientAuth(t *testing.T) {
	dir := t.TempDir()
	leaf := zoo.SelfSigned(t, "strict.test")
	crt, key := zoo.Write(t, dir, "crt", zoo.PEM(leaf)), zoo.Write(t, dir, "key", leaf.KeyPEM(t))
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
		testenv.Need(t, "openssl")
		p := testenv.Start(t, sServer("-accept", address, "-cert", crt, "-key", key, "-Verify", "1", "-CAfile", crt, version))
		testenv.Eventually(t, patience, func() error {
			if err := p.Exited(); err != nil {
				t.Fatal(err)
			}
			if r := probe(t, Target{Address: address}); r.Reason != ClientAuth {
				return fmt.Errorf("%s: %q (%w)", version, r.Reason, r.Err)
			}
			return nil
		})
		r := probe(t, Target{Address: address})
		presents(t, version, r, leaf, 1)
		if !r.Asked {
			t.Errorf("%s: not asked", version)
		}
	}
}

func TestMail(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "vmail-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	root := zoo.Root(t, "Root")
	leaf := root.Issue(t, "mail.example.org")
	crt, key := zoo.Write(t, dir, "mail.crt", zoo.PEM(leaf, root)), zoo.Write(t, dir, "mail.key", leaf.KeyPEM(t))
	postfix := testenv.StartPostfix(t, crt, key)
	without := testenv.StartPostfix(t, crt, key, "smtpd_tls_security_level = none")
	dovecot := testenv.StartDovecot(t, crt, key)
	for _, test := range []struct{ address, protocol string }{
		{postfix, "smtp"}, {dovecot.IMAP, "imap"}, {dovecot.IMAPS, ""}, {dovecot.POP3, "pop3"},
	} {
		r := probe(t, Target{Address: test.address, ServerName: "mail.example.org", StartTLS: test.protocol})
		presents(t, test.protocol, r, leaf, 2)
		if r.Reason != "" || r.Handshake <= 0 {
			t.Errorf("%s: %q (%v), %s", test.protocol, r.Reason, r.Err, r.Handshake)
		}
		bySClient(t, test.address, test.protocol, leaf)
	}
	for _, test := range []struct {
		address, protocol string
		want              Reason
	}{
		{without, "smtp", StartTLS}, {dovecot.IMAP, "smtp", StartTLS}, {dovecot.POP3, "imap", StartTLS}, {dovecot.IMAP, "pop3", StartTLS}, {dovecot.IMAP, "", NotTLS},
	} {
		if r := probe(t, Target{Address: test.address, StartTLS: test.protocol}); r.Reason != test.want || len(r.Certificates) != 0 {
			t.Errorf("%s at %s: %q (%v), want %s", test.protocol, test.address, r.Reason, r.Err, test.want)
		}
	}
}

func TestPostgres(t *testing.T) {
	leaf := zoo.SelfSigned(t, "db.example.org")
	p := testenv.NewPostgres(t)
	crt, key := p.File(t, "server.crt", string(zoo.PEM(leaf))), p.File(t, "server.key", string(leaf.KeyPEM(t)))
	p.Set("ssl=on", "ssl_cert_file="+crt, "ssl_key_file="+key)
	p.Start(t)
	address := fmt.Sprintf("127.0.0.1:%d", p.Port)
	r := probe(t, Target{Address: address, StartTLS: "postgres"})
	presents(t, "postgres", r, leaf, 1)
	bySClient(t, address, "postgres", leaf)
	p.Stop()
	p.Set("ssl=off")
	p.Start(t)
	if r := probe(t, Target{Address: address, StartTLS: "postgres"}); r.Reason != StartTLS {
		t.Errorf("without TLS: %q (%v)", r.Reason, r.Err)
	}
}

// serve accepts connections and gives each to f.
func serve(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				f(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// TestFaults: whatever is wrong has its reason, and nothing takes longer than it may.
func TestFaults(t *testing.T) {
	silent := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	hangup := serve(t, func(net.Conn) {})
	garbage := serve(t, func(c net.Conn) {
		_, _ = bufio.NewReader(c).ReadByte()
		_, _ = c.Write([]byte("\x15\x03\x01\x00\x02\x02\x28\x00\xff"))
	})
	endless := serve(t, func(c net.Conn) {
		for {
			if _, err := c.Write([]byte("220-more\r\n")); err != nil {
				return
			}
		}
	})
	longLine := serve(t, func(c net.Conn) { _, _ = c.Write(make([]byte, 1<<20)) })
	closed := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	for _, test := range []struct {
		name   string
		target Target
		want   Reason
	}{
		{"silent", Target{Address: silent}, Timeout},
		{"silent before STARTTLS", Target{Address: silent, StartTLS: "smtp"}, Timeout},
		{"silent PostgreSQL", Target{Address: silent, StartTLS: "postgres"}, Timeout},
		{"closed", Target{Address: closed}, Refused},
		{"hangs up", Target{Address: hangup}, Closed},
		{"hangs up before STARTTLS", Target{Address: hangup, StartTLS: "imap"}, Closed},
		{"alert", Target{Address: garbage}, Handshake},
		{"reply without end", Target{Address: endless, StartTLS: "smtp"}, StartTLS},
		{"line without end", Target{Address: longLine, StartTLS: "pop3"}, StartTLS},
		{"unknown name", Target{Address: "nothing.invalid:443"}, Resolve},
	} {
		wait := patience
		if test.want == Timeout {
			wait = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		begun := time.Now()
		r := Probe(ctx, test.target, time.Now)
		cancel()
		if test.want == Resolve && r.Reason == Timeout {
			continue // a machine whose name server does not answer
		}
		if r.Reason != test.want || r.Err == nil || len(r.Certificates) != 0 || r.Handshake != 0 {
			t.Errorf("%s: %q (%v), want %s", test.name, r.Reason, r.Err, test.want)
		}
		if took := time.Since(begun); took > wait+10*time.Second {
			t.Errorf("%s: took %s of %s", test.name, took, wait)
		}
	}
}

// The conversation stops exactly where TLS begins.
func TestReadsNoFurther(t *testing.T) {
	for protocol, greeting := range map[string]string{
		"smtp": "220-a\r\n220 b\r\n250-x\r\n250 STARTTLS\r\n220 go\r\nREST", "imap": "* OK\r\n* CAPABILITY\r\na OK\r\nREST",
		"pop3": "+OK\r\n+OK begin\r\nREST", "postgres": "SREST",
	} {
		server := &script{Reader: strings.NewReader(greeting)}
		if err := startTLS(server, protocol); err != nil {
			t.Errorf("%s: %v", protocol, err)
		}
		if rest, _ := io.ReadAll(server); string(rest) != "REST" {
			t.Errorf("%s left %q for TLS", protocol, rest)
		}
	}
	if err := startTLS(&script{Reader: strings.NewReader("")}, "ldap"); err == nil {
		t.Error("an unknown protocol began")
	}
}

type script struct{ *strings.Reader }

func (s *script) Write(p []byte) (int, error) { return len(p), nil }

func FuzzStartTLS(f *testing.F) {
	for _, protocol := range Protocols() {
		f.Add(protocol, "220 a\r\n250 b\r\n220 c\r\n")
		f.Add(protocol, "* OK\r\na OK\r\n")
		f.Add(protocol, "+OK\r\n+OK\r\n")
		f.Add(protocol, "SN")
	}
	f.Fuzz(func(t *testing.T, protocol, replies string) {
		_ = startTLS(&script{Reader: strings.NewReader(replies)}, protocol) // it must end
	})
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Reason
	}{
		{fmt.Errorf("tls: failed to parse certificate from server: x509: negative serial number"), Certificate},
		{x509.CertificateInvalidError{}, Certificate},
		{io.ErrUnexpectedEOF, Closed},
		{context.Canceled, Timeout},
		{fmt.Errorf("something else"), Other},
	} {
		if got := classify(test.err); got != test.want {
			t.Errorf("%v: %s, want %s", test.err, got, test.want)
		}
	}
}

func sServer(args ...string) *exec.Cmd {
	return exec.Command("openssl", append([]string{"s_server", "-quiet"}, args...)...)
}
