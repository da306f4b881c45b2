package bundle

import (
	"bytes"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
)

// makeZoo writes certificates of every kind and returns their paths. Those that Go cannot make,
// OpenSSL does.
func makeZoo(t *testing.T) []string {
	dir := t.TempDir()
	root := zoo.Root(t, "Vulcan Root CA")
	var paths []string
	add := func(name string, c *zoo.Cert) { paths = append(paths, zoo.Write(t, dir, name, zoo.PEM(c))) }
	add("ca.crt", root)
	add("vulcan-chain.crt", root.Issue(t, "leaf although its file is called chain"))
	add("intermediate.pem", root.Authority(t, "Intermediate"))
	add("far.crt", root.Issue(t, "far.example.org", zoo.Lifetime(time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))))
	add("past.crt", root.Issue(t, "past.example.org", zoo.Lifetime(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC))))
	add("names.crt", root.Issue(t, "x", zoo.Names("a.example.org", "*.example.org", "b.example.org")))
	add("unicode.crt", root.Issue(t, "x", zoo.Subject(pkix.Name{
		CommonName: `Größe "quoted" <x> 北京, a+b;c\d#`, Organization: []string{" lead and trail "}, Country: []string{"DE"},
		OrganizationalUnit: []string{"#hash", "two"}, Locality: []string{"Zürich"}, Province: []string{"ZH"},
	})))
	add("nameless.crt", root.Issue(t, "", zoo.Subject(pkix.Name{})))
	for name, key := range map[string][]string{
		"rsa":     {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		"pss":     {"-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"},
		"p384":    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
		"p521":    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"},
		"p224":    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"},
		"k256":    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"},
		"bp256":   {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"},
		"ed25519": {"-algorithm", "ED25519"},
		"ed448":   {"-algorithm", "ED448"},
	} {
		path := filepath.Join(dir, name)
		zoo.OpenSSL(t, append([]string{"genpkey", "-out", path + ".key"}, key...)...)
		zoo.OpenSSL(t, "req", "-x509", "-new", "-key", path+".key", "-out", path+".crt", "-days", "90", "-utf8",
			"-subj", "/C=DE/O=Exämple/CN="+name+"/emailAddress=root@example.org/UID=me", "-addext", "subjectAltName=DNS:"+name+",IP:127.0.0.1,email:a@b.c",
			"-addext", "basicConstraints=critical,CA:FALSE")
		paths = append(paths, path+".crt")
	}
	for name, serial := range map[string]string{"negative": "-5", "zero": "0", "long": "0x7fffffffffffffffffffffffffffffffffffffff"} {
		path := filepath.Join(dir, name+".crt")
		zoo.OpenSSL(t, "req", "-x509", "-new", "-key", filepath.Join(dir, "p384.key"), "-out", path, "-days", "7", "-set_serial", serial,
			"-subj", "/CN="+name, "-addext", "subjectAltName=DNS:"+name)
		paths = append(paths, path)
	}
	zoo.OpenSSL(t, "dsaparam", "-genkey", "-out", filepath.Join(dir, "dsa.key"), "1024")
	zoo.OpenSSL(t, "req", "-x509", "-new", "-key", filepath.Join(dir, "dsa.key"), "-out", filepath.Join(dir, "dsa.crt"), "-subj", "/CN=dsa")
	return append(paths, filepath.Join(dir, "dsa.crt"))
}

// Every fact of every certificate is what OpenSSL says it is.
func TestZoo(t *testing.T) {
	limited := map[string]bool{}
	for _, path := range makeZoo(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b := Parse(content, "")
			if len(b.Certificates) != 1 || b.Problem != "" {
				t.Fatalf("%d certificates, %q", len(b.Certificates), b.Problem)
			}
			c := b.Certificates[0]
			limited[filepath.Base(path)] = c.Limited
			judge(t, c, path)
		})
	}
	for _, name := range []string{"k256.crt", "bp256.crt", "negative.crt"} {
		if !limited[name] {
			t.Errorf("%s is no longer refused by crypto/x509: is parseLimited still tested?", name)
		}
	}
}

func judge(t *testing.T, c *Certificate, path string) {
	t.Helper()
	out := zoo.OpenSSL(t, "x509", "-in", path, "-noout", "-serial", "-startdate", "-enddate", "-dateopt", "iso_8601",
		"-subject", "-issuer", "-nameopt", "RFC2253,-esc_msb,utf8", "-ext", "subjectAltName,basicConstraints")
	text := zoo.OpenSSL(t, "x509", "-in", path, "-noout", "-text")
	field := func(name string) string {
		_, rest, found := strings.Cut("\n"+out, "\n"+name+"=")
		if !found {
			t.Fatalf("openssl does not tell %s:\n%s", name, out)
		}
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, openssl: %q", what, got, want)
		}
	}
	is("serial", c.Serial(), field("serial"))
	is("not before", c.NotBefore.UTC().Format("2006-01-02 15:04:05Z"), field("notBefore"))
	is("not after", c.NotAfter.UTC().Format("2006-01-02 15:04:05Z"), field("notAfter"))
	is("subject", Name(c.RawSubject), field("subject"))
	is("issuer", Name(c.RawIssuer), field("issuer"))
	is("CA", fmt.Sprint(c.Role() != "leaf"), fmt.Sprint(strings.Contains(out, "CA:TRUE")))
	names := regexp.MustCompile(`(?m)(DNS|IP Address|email):`).FindAllString(out, -1)
	is("names", fmt.Sprint(c.SANs()), fmt.Sprint(len(names)))
	if size := regexp.MustCompile(`Public-Key: \((\d+) bit\)`).FindStringSubmatch(text); size != nil {
		if digits := regexp.MustCompile(`[0-9]+`).FindString(c.KeyType()); digits != "" && digits != size[1] {
			t.Errorf("key type %s, openssl: %s bit", c.KeyType(), size[1])
		}
	}
}

func TestKeyTypes(t *testing.T) {
	want := map[string]string{
		"rsa": "RSA-2048", "pss": "RSA-PSS", "p384": "ECDSA-P-384", "p521": "ECDSA-P-521", "p224": "ECDSA-P-224",
		"k256": "ECDSA-secp256k1", "bp256": "ECDSA-brainpoolP256r1", "ed25519": "Ed25519", "ed448": "Ed448", "dsa": "DSA",
	}
	unsupported := map[string]bool{"pss": true, "k256": true, "bp256": true, "ed448": true, "dsa": true}
	var other *Certificate // of another key
	for _, path := range makeZoo(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".crt")
		if want[name] == "" {
			continue
		}
		content, _ := os.ReadFile(path)
		c := Parse(content, "").Certificates[0]
		if c.KeyType() != want[name] {
			t.Errorf("%s: key type %s, want %s", name, c.KeyType(), want[name])
		}
		key := strings.TrimSuffix(path, ".crt") + ".key"
		if certKey, own := zoo.OpenSSL(t, "x509", "-in", path, "-noout", "-pubkey"), zoo.OpenSSL(t, "pkey", "-in", key, "-pubout"); certKey != own {
			t.Fatalf("%s: openssl says that the key does not belong to the certificate", name)
		}
		content, _ = os.ReadFile(key)
		b := Parse(content, "")
		if unsupported[name] {
			if b.KeyProblem != KeyUnsupported {
				t.Errorf("%s: %d keys, problem %q, want unsupported", name, len(b.Keys), b.KeyProblem)
			}
			continue
		}
		if len(b.Keys) != 1 {
			t.Fatalf("%s: %d keys, problem %q", name, len(b.Keys), b.KeyProblem)
		}
		if matches, known := c.Matches(b.Keys[0]); !matches || !known {
			t.Errorf("%s: key and certificate: matches %v, known %v", name, matches, known)
		}
		if other != nil {
			if matches, known := other.Matches(b.Keys[0]); matches || !known {
				t.Errorf("%s: the key of another certificate: matches %v, known %v", name, matches, known)
			}
		}
		other = c
	}
}

// Keys of every algorithm in every container, encrypted ones included.
func TestKeyFormats(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for algorithm, args := range map[string][]string{
		"rsa": {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, "ec": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, "ed": {"-algorithm", "ED25519"},
	} {
		zoo.OpenSSL(t, append([]string{"genpkey", "-out", path("k")}, args...)...)
		zoo.OpenSSL(t, "req", "-x509", "-new", "-key", path("k"), "-out", path("crt"), "-subj", "/CN=x")
		forms := map[string][]string{
			"pkcs8": {"pkcs8", "-topk8", "-nocrypt", "-in", path("k")}, "der": {"pkcs8", "-topk8", "-nocrypt", "-in", path("k"), "-outform", "DER"},
			"encrypted": {"pkcs8", "-topk8", "-in", path("k"), "-passout", "pass:x"},
		}
		if algorithm != "ed" {
			forms["traditional"] = []string{"pkey", "-traditional", "-in", path("k")}
			forms["traditional encrypted"] = []string{algorithm, "-in", path("k"), "-aes128", "-passout", "pass:x", "-traditional"}
			if algorithm == "ec" {
				forms["traditional encrypted"] = []string{"ec", "-in", path("k"), "-aes128", "-passout", "pass:x"}
			}
		}
		crt, _ := os.ReadFile(path("crt"))
		for form, args := range forms {
			zoo.OpenSSL(t, append(args, "-out", path("form"))...)
			content, _ := os.ReadFile(path("form"))
			b := Parse(content, "")
			if strings.Contains(form, "encrypted") {
				if b.KeyProblem != KeyEncrypted || len(b.Keys) != 0 {
					t.Errorf("%s %s: %q, %d keys", algorithm, form, b.KeyProblem, len(b.Keys))
				}
				continue
			}
			if len(b.Keys) != 1 || b.Problem != "" {
				t.Errorf("%s %s: %d keys, %q %q", algorithm, form, len(b.Keys), b.Problem, b.KeyProblem)
				continue
			}
			if form != "der" { // certificate and key in one file
				b = Parse(bytes.Join([][]byte{content, crt}, nil), "")
				if len(b.Keys) != 1 || len(b.Certificates) != 1 {
					t.Fatalf("%s %s: %d keys, %d certificates in one file", algorithm, form, len(b.Keys), len(b.Certificates))
				}
				if matches, known := b.Certificates[0].Matches(b.Keys[0]); !matches || !known {
					t.Errorf("%s %s: matches %v, known %v", algorithm, form, matches, known)
				}
			}
		}
	}
}
