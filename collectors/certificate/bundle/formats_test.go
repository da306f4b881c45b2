package bundle

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
)

// TestContent takes one chain through every container and every way to break it.
func TestContent(t *testing.T) {
	root := zoo.Root(t, "Root")
	ca := root.Authority(t, "Issuing CA")
	leaf := ca.Issue(t, "mail.example.org")
	chain, key := zoo.PEM(leaf, ca, root), leaf.KeyPEM(t)
	one := zoo.PEM(leaf)
	crl := ca.Revoke(t, time.Now(), time.Now().Add(time.Hour), leaf)
	der, _ := pem.Decode(crl)
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }
	replace := func(b []byte, old, new string) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	for _, test := range []struct {
		name         string
		content      []byte
		certs, keys  int
		crls, others int
		problem      Reason
		keyProblem   KeyReason
		firstIsMail  bool
	}{
		{name: "chain", content: chain, certs: 3, firstIsMail: true},
		{name: "key before and text between", content: bytes.Join([][]byte{[]byte("Bag Attributes\n"), key, []byte("\nsubject=CN\n"), chain}, nil), certs: 3, keys: 1, firstIsMail: true},
		{name: "carriage returns", content: bytes.ReplaceAll(chain, []byte("\n"), []byte("\r\n")), certs: 3, firstIsMail: true},
		{name: "byte order mark", content: append([]byte("\xef\xbb\xbf\n"), one...), certs: 1, firstIsMail: true},
		{name: "trusted", content: trusted(t, leaf), certs: 1, firstIsMail: true},
		{name: "old label", content: bytes.ReplaceAll(one, []byte(" CERTIFICATE"), []byte(" X509 CERTIFICATE")), certs: 1, firstIsMail: true},
		{name: "der", content: leaf.Raw, certs: 1, firstIsMail: true},
		{name: "revocation list", content: crl, crls: 1},
		{name: "revocation list in DER", content: der.Bytes, crls: 1},
		{name: "key alone", content: key, keys: 1},
		{name: "parameters alone", content: pem.EncodeToMemory(&pem.Block{Type: "DH PARAMETERS", Bytes: []byte{0x30, 0}}), others: 1},
		{name: "SSH key", content: pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("openssh-key-v1")}), keyProblem: KeyUnsupported},
		{name: "broken key", content: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("no key")}), keyProblem: KeyMalformed},

		{name: "empty", problem: Empty},
		{name: "blank", content: []byte(" \n\n"), problem: Empty},
		{name: "text", content: []byte("This directory contains your keys and certificates.\n"), problem: NoCertificate},
		{name: "zeros", content: make([]byte, 4096), problem: NoCertificate},
		{name: "cut in the first", content: cut(one, 40), problem: Malformed},
		{name: "cut in the last", content: cut(chain, 40), certs: 2, problem: Malformed, firstIsMail: true},
		{name: "second broken", content: replace(chain, "-----BEGIN CERTIFICATE-----\n"+secondLine(zoo.PEM(ca)), "-----BEGIN CERTIFICATE-----\n!!!!"), certs: 2, problem: Malformed, firstIsMail: true},
		{name: "no certificate in the block", content: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), problem: Malformed},
		{name: "der cut", content: cut(leaf.Raw, 10), problem: Malformed},
		{name: "der and more", content: append(bytes.Clone(leaf.Raw), 0), problem: Malformed},
		{name: "revocation list broken", content: pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{0x30, 0}}), problem: Malformed},
	} {
		b := Parse(test.content, "")
		if len(b.Certificates) != test.certs || len(b.Keys) != test.keys || len(b.CRLs) != test.crls || b.Others != test.others ||
			b.Problem != test.problem || b.KeyProblem != test.keyProblem {
			t.Errorf("%s: %d certificates, %d keys, %d lists, %d others, problem %q, key %q", test.name,
				len(b.Certificates), len(b.Keys), len(b.CRLs), b.Others, b.Problem, b.KeyProblem)
			continue
		}
		if test.firstIsMail && Name(b.Certificates[0].RawSubject) != "CN=mail.example.org" {
			t.Errorf("%s: the first is %s", test.name, Name(b.Certificates[0].RawSubject))
		}
	}
}

func secondLine(block []byte) string { return strings.Split(string(block), "\n")[1] }

func trusted(t *testing.T, c *zoo.Cert) []byte {
	path := zoo.Write(t, t.TempDir(), "x", zoo.PEM(c))
	return []byte(zoo.OpenSSL(t, "x509", "-in", path, "-trustout", "-addtrust", "serverAuth", "-setalias", "x"))
}

// Every PKCS#12 that OpenSSL writes, by today's and yesterday's algorithms.
func TestPKCS12(t *testing.T) {
	dir := t.TempDir()
	root := zoo.Root(t, "Root")
	leaf := root.Issue(t, "mail.example.org")
	crt, key := zoo.Write(t, dir, "crt", zoo.PEM(leaf)), zoo.Write(t, dir, "key", leaf.KeyPEM(t))
	issuer := zoo.Write(t, dir, "ca", zoo.PEM(root))
	out := filepath.Join(dir, "store.p12")
	for _, test := range []struct {
		name        string
		args        []string
		set, used   string
		certs, keys int
		problem     Reason
	}{
		{name: "modern", set: "secret", used: "secret", certs: 2, keys: 1},
		{name: "legacy", args: []string{"-legacy"}, set: "secret", used: "secret", certs: 2, keys: 1},
		{name: "triple DES", args: []string{"-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "SHA1"}, set: "secret", used: "secret", certs: 2, keys: 1},
		{name: "no encryption", args: []string{"-keypbe", "NONE", "-certpbe", "NONE"}, set: "", used: "", certs: 2, keys: 1},
		{name: "unicode password", set: "pässwörd", used: "pässwörd", certs: 2, keys: 1},
		{name: "wrong password", set: "secret", used: "other", problem: Password},
		{name: "no password given", set: "secret", used: "", problem: Password},
		{name: "certificates only", args: []string{"-nokeys"}, set: "secret", used: "secret", problem: Unsupported},
	} {
		zoo.OpenSSL(t, append([]string{"pkcs12", "-export", "-in", crt, "-inkey", key, "-certfile", issuer, "-out", out, "-passout", "pass:" + test.set}, test.args...)...)
		content, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		b := Parse(content, test.used)
		if len(b.Certificates) != test.certs || len(b.Keys) != test.keys || b.Problem != test.problem {
			t.Errorf("%s: %d certificates, %d keys, %q", test.name, len(b.Certificates), len(b.Keys), b.Problem)
			continue
		}
		if test.certs > 0 {
			if matches, known := b.Certificates[0].Matches(b.Keys[0]); !matches || !known {
				t.Errorf("%s: key: matches %v, known %v", test.name, matches, known)
			}
		}
		if got := Parse(content[:len(content)/2], test.used).Problem; got != Malformed {
			t.Errorf("%s: half of it: %q", test.name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	root := zoo.Root(f, "Root")
	leaf := root.Issue(f, "x")
	f.Add(zoo.PEM(leaf, root), "")
	f.Add(leaf.Raw, "")
	f.Add(leaf.KeyPEM(f), "")
	f.Add(root.Revoke(f, time.Now(), time.Now(), leaf), "")
	dir := f.TempDir()
	out := filepath.Join(dir, "p12")
	zoo.OpenSSL(f, "pkcs12", "-export", "-in", zoo.Write(f, dir, "crt", zoo.PEM(leaf)), "-inkey", zoo.Write(f, dir, "key", leaf.KeyPEM(f)),
		"-out", out, "-passout", "pass:x", "-iter", "1")
	store, err := os.ReadFile(out)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(store, "x")
	f.Fuzz(func(t *testing.T, content []byte, password string) {
		if isPKCS12(content) && !bytes.Equal(content, store) {
			return // its own cost parameter may ask for hours
		}
		b := Parse(content, password)
		if b.Problem == "" && len(b.Certificates)+len(b.Keys)+len(b.CRLs)+b.Others == 0 && b.KeyProblem == "" {
			t.Error("nothing was found and nothing is wrong")
		}
		for _, c := range b.Certificates {
			describe(t, c)
		}
	})
}

func describe(t *testing.T, c *Certificate) {
	for _, s := range []string{Name(c.RawSubject), Name(c.RawIssuer), c.Serial(), c.KeyType()} {
		if strings.ToValidUTF8(s, "") != s {
			t.Errorf("%q is not UTF-8", s)
		}
	}
	if c.SANs() < 0 || c.Role() == "" {
		t.Error("no role")
	}
}

// FuzzCertificate holds the limited parser against crypto/x509.
func FuzzCertificate(f *testing.F) {
	root := zoo.Root(f, "Root")
	f.Add(root.Raw)
	f.Add(root.Issue(f, "x", zoo.Lifetime(time.Now(), time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC))).Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		c := ParseCertificate(der)
		if c == nil {
			return
		}
		describe(t, c)
		if c.Limited {
			return
		}
		l := parseLimited(der)
		if l == nil {
			t.Fatal("crypto/x509 reads what parseLimited does not")
		}
		if !l.NotAfter.Equal(c.NotAfter) || !l.NotBefore.Equal(c.NotBefore) || l.SerialNumber.Cmp(c.SerialNumber) != 0 ||
			!bytes.Equal(l.RawSubject, c.RawSubject) || !bytes.Equal(l.RawIssuer, c.RawIssuer) || l.IsCA != c.IsCA || l.Version != c.Version {
			t.Errorf("parseLimited: %v %v, crypto/x509: %v %v", l.NotAfter, l.IsCA, c.NotAfter, c.IsCA)
		}
	})
}

// FuzzName must survive any name and give UTF-8 on one line.
func FuzzName(f *testing.F) {
	f.Add(zoo.Root(f, "Größe").RawSubject)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s := Name(raw); strings.ToValidUTF8(s, "") != s || strings.ContainsAny(s, "\n\r") {
			t.Errorf("%q", s)
		}
	})
}
