package certificate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vulcan.lan/vulcan_exporter/collectors/certificate/files"
	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/collectortest"
	"vulcan.lan/vulcan_exporter/internal/metric"
	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func TestLint(t *testing.T) { collectortest.Lint(t, Definition()) }

func TestValidate(t *testing.T) {
	for _, test := range []struct{ yaml, want string }{
		{"{}", "2:3: certificate.files: expected files or endpoints"},
		{"files: [{paths: [/a]}]", "2:11: certificate.files[0].type: expected a type such as nginx"},
		{"files: [{type: x}]", "2:11: certificate.files[0].paths: expected at least one path or pattern"},
		{"files: [{type: x, paths: [a.crt]}]", `2:29: certificate.files[0].paths[0]: expected an absolute path, found "a.crt"`},
		{"files: [{type: x, paths: ['/a[']}]", `2:29: certificate.files[0].paths[0]: "/a[" is not a valid pattern`},
		{"files: [{type: x, paths: [/a, /a]}]", `2:33: certificate.files[0].paths[1]: "/a" is listed twice for type x`},
		{"files: [{type: x, paths: [/a]}, {type: x, paths: [/a]}]", `2:53: certificate.files[1].paths[0]: "/a" is listed twice for type x`},
		{"files: [{type: x, paths: [/a], exclude: ['[']}]", `2:44: certificate.files[0].exclude[0]: "[" is not a valid pattern`},
		{"files: [{type: x, paths: [/a], key: a.key}]", `2:39: certificate.files[0].key: expected an absolute path such as {dir}/{stem}.key, found "a.key"`},
		{"roots: [/a, /a]", `2:15: certificate.roots[1]: "/a" is listed twice`},
		{"endpoints: [{address: 'a:1'}]", "2:15: certificate.endpoints[0].name: expected a name"},
		{"endpoints: [{name: a, address: a}]", `2:34: certificate.endpoints[0].address: expected host:port, found "a"`},
		{"endpoints: [{name: a, address: 'a:1', starttls: ldap}]", `2:51: certificate.endpoints[0].starttls: expected one of smtp, imap, pop3, postgres, found "ldap"`},
		{"endpoints: [{name: a, address: 'a:1', serves: '/a/*'}]", `2:49: certificate.endpoints[0].serves: expected the absolute path of one file, found "/a/*"`},
		{"endpoints: [{name: a, address: 'a:1'}, {name: a, address: 'b:1'}]", `2:49: certificate.endpoints[1].name: the name "a" is taken by another endpoint`},
	} {
		_, err := collector.Load("test.yml", []byte("certificate:\n  "+test.yaml+"\n"), []*collector.Definition{Definition()})
		if err == nil || err.Error() != "test.yml:"+test.want {
			t.Errorf("%s:\n got %v\nwant test.yml:%s", test.yaml, err, test.want)
		}
	}
}

// TestFiles holds a folder with a file of every kind against the recorded exposition.
func TestFiles(t *testing.T) {
	out := runFiles(t)
	root, err := filepath.Abs("testdata/files")
	if err != nil {
		t.Fatal(err)
	}
	collectortest.Want(t, strings.ReplaceAll(collectortest.Text(t, out), root, "/srv"), "testdata/files/want.prom")
}

func runFiles(t *testing.T) *metric.Batch {
	t.Helper()
	root, err := filepath.Abs("testdata/files")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("testdata/files/config.yml")
	if err != nil {
		t.Fatal(err)
	}
	return run(t, strings.ReplaceAll(string(config), "$DIR", root), collectortest.Env(t))
}

func run(t *testing.T, config string, env collector.Env) *metric.Batch {
	t.Helper()
	out, err := collectortest.Run(t, collectortest.Load(t, Definition(), config)[0], env)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// realTime is the environment of a test against real servers and files of now.
func realTime(t testing.TB) collector.Env {
	env := collectortest.Env(t)
	env.Now = time.Now
	return env
}

// has checks that an exposition has lines.
func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	if t.Failed() {
		t.Logf("in:\n%s", text)
	}
}

// web is an nginx with one certificate on a port of its own.
type web struct {
	dir, crt, address string
	nginx             *testenv.Nginx
}

func newWeb(t *testing.T, c *zoo.Cert, more ...*zoo.Cert) *web {
	t.Helper()
	w := &web{dir: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))}
	w.renew(t, c, more...)
	w.nginx = testenv.StartNginx(t, fmt.Sprintf("server { listen %s ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate %[2]s/web.crt; ssl_certificate_key %[2]s/web.key; return 204; }", w.address, w.dir))
	return w
}

func (w *web) renew(t *testing.T, c *zoo.Cert, more ...*zoo.Cert) {
	t.Helper()
	w.crt = zoo.Write(t, w.dir, "web.crt", zoo.PEM(append([]*zoo.Cert{c}, more...)...))
	zoo.Write(t, w.dir, "web.key", c.KeyPEM(t))
}

// TestDrift renews the certificate of a running nginx without a reload, and then with one.
func TestDrift(t *testing.T) {
	root := zoo.Root(t, "Root")
	ca := root.Authority(t, "CA")
	first, second := ca.Issue(t, "web.test"), ca.Issue(t, "web.test")
	w := newWeb(t, first, ca)
	roots := zoo.Write(t, w.dir, "root.pem", zoo.PEM(root))
	config := fmt.Sprintf(`
files: [{type: nginx, paths: ["%[1]s/*.crt"]}]
roots: [%[2]s]
endpoints: [{name: web, address: "%[3]s", server_name: web.test, serves: %[1]s/web.crt}]`, w.dir, roots, w.address)
	look := func() string { return collectortest.Text(t, run(t, config, realTime(t))) }
	id := fmt.Sprintf(`{source="default",name="web",endpoint="%s"`, w.address)
	served := fmt.Sprintf(`certificate_served_matches_file%s,path="%s"} `, id, w.crt)
	has(t, look(), served+"1", "certificate_endpoint_up"+id+"} 1", "certificate_endpoint_hostname_matches"+id+"} 1",
		"certificate_endpoint_client_auth"+id+"} 0", "certificate_ocsp_stapled"+id+"} 0",
		fmt.Sprintf(`certificate_chain_valid{source="default",name="web",type="endpoint",path="",endpoint="%s"} 1`, w.address),
		fmt.Sprintf(`certificate_not_after_timestamp_seconds{source="default",name="web",type="endpoint",path="",endpoint="%s",position="0"} %s`, w.address, seconds(first.NotAfter)))
	w.renew(t, second, ca)
	has(t, look(), served+"0", fmt.Sprintf(`certificate_key_matches{source="default",name="web",type="nginx",path="%s"} 1`, w.crt))
	w.nginx.Reload(t)
	testenv.Eventually(t, patience, func() error {
		if text := look(); !strings.Contains(text, served+"1\n") {
			return fmt.Errorf("lacks %s1", served)
		}
		return nil
	})
	// Whether the file is unknown is not known to be a difference.
	if err := os.WriteFile(w.crt, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text := look(); strings.Contains(text, "certificate_served_matches_file{") {
		t.Errorf("the file cannot be read and a comparison is shown:\n%s", text)
	}
}

// The exporter prints times of today's magnitude as 1.795e+09.
func seconds(at time.Time) string {
	s := fmt.Sprintf("%.10g", float64(at.Unix())/1e9)
	return s + "e+09"
}

// TestFindsFile: without serves, the file that holds what is presented is found.
func TestFindsFile(t *testing.T) {
	w := newWeb(t, zoo.SelfSigned(t, "web.test"))
	files := fmt.Sprintf("files: [{type: nginx, paths: ['%s/*.crt']}]\n", w.dir)
	config := fmt.Sprintf("endpoints: [{name: web, address: %q}]", w.address)
	text := collectortest.Text(t, run(t, files+config, realTime(t)))
	has(t, text, fmt.Sprintf(`certificate_served_matches_file{source="default",name="web",endpoint="%s",path="%s"} 1`, w.address, w.crt),
		fmt.Sprintf(`certificate_endpoint_hostname_matches{source="default",name="web",endpoint="%s"} 0`, w.address),
		fmt.Sprintf(`certificate_chain_error{source="default",name="web",type="endpoint",path="",endpoint="%s",reason="self_signed"} 1`, w.address))
	if text := collectortest.Text(t, run(t, config, realTime(t))); strings.Contains(text, "certificate_served_matches_file{") {
		t.Errorf("no file is observed and one matches:\n%s", text)
	}
	// A root of its own makes it trusted, and serves shows a file that no group has.
	config = fmt.Sprintf("endpoints: [{name: web, address: %q, server_name: web.test, ca_file: %[2]s, serves: %[2]s}]", w.address, w.crt)
	has(t, collectortest.Text(t, run(t, config, realTime(t))),
		fmt.Sprintf(`certificate_chain_valid{source="default",name="web",type="endpoint",path="",endpoint="%s"} 1`, w.address),
		fmt.Sprintf(`certificate_file_exists{source="default",name="web",type="served",path="%s"} 1`, w.crt))
}

// The alerts leave out what expires among the system's roots, so such a file does not answer for an
// endpoint.
func TestHolder(t *testing.T) {
	root := &files.Record{Path: "/etc/ssl/certs/mail.pem", Type: typeCA, Leaf: "a"}
	own := &files.Record{Path: "/srv/mail.pem", Type: "mail", Leaf: "a"}
	if path := holder(&files.Pass{Records: []*files.Record{root, own}}, "a"); path != own.Path {
		t.Errorf("held by %q", path)
	}
	if path := holder(&files.Pass{Records: []*files.Record{root}}, "a"); path != "" {
		t.Errorf("held by %q", path)
	}
}
