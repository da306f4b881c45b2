package chain

import (
	"crypto/x509"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
	"vulcan.lan/vulcan_exporter/collectors/certificate/zoo"
)

func bundleOf(certs ...*zoo.Cert) []*bundle.Certificate {
	return bundle.Parse(zoo.PEM(certs...), "").Certificates
}

func pool(certs ...*zoo.Cert) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c.Certificate)
	}
	return p
}

// openssl is OpenSSL's verdict on the end of a file.
func openssl(t *testing.T, end *zoo.Cert, rest, roots, known []*zoo.Cert, at time.Time, crls []byte) bool {
	t.Helper()
	dir := t.TempDir()
	args := []string{"verify", "-no-CApath", "-no-CAstore", "-attime", strconv.FormatInt(at.Unix(), 10), "-purpose", "any"}
	if len(roots) > 0 {
		args = append(args, "-CAfile", zoo.Write(t, dir, "roots", zoo.PEM(roots...)))
	} else {
		args = append(args, "-no-CAfile")
	}
	if len(rest)+len(known) > 0 {
		args = append(args, "-untrusted", zoo.Write(t, dir, "rest", zoo.PEM(rest...), zoo.PEM(known...)))
	}
	if crls != nil {
		args = append(args, "-crl_check", "-CRLfile", zoo.Write(t, dir, "crls", crls))
	}
	out, err := zoo.TryOpenSSL(t, append(args, zoo.Write(t, dir, "end", zoo.PEM(end)))...)
	if err != nil && !strings.Contains(out, "error") {
		t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	return err == nil
}

// Each chain has the reason that fits, and is valid where OpenSSL finds it valid.
func TestFile(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	root, other := zoo.Root(t, "Root"), zoo.Root(t, "Other Root")
	ca := root.Authority(t, "Issuing CA")
	ca2 := ca.Authority(t, "Issuing CA 2")
	leaf, deep := ca.Issue(t, "a.example.org"), ca2.Issue(t, "b.example.org")
	expired := ca.Issue(t, "old.example.org", zoo.Lifetime(now.Add(-9*day), now.Add(-day)))
	future := ca.Issue(t, "new.example.org", zoo.Lifetime(now.Add(day), now.Add(9*day)))
	oldCA := root.Authority(t, "Old CA", zoo.Lifetime(now.Add(-9*day), now.Add(-day)))
	underOld := oldCA.Issue(t, "c.example.org")
	self := zoo.SelfSigned(t, "self.example.org")
	cross := other.CrossSign(t, root)
	oldCross := other.CrossSign(t, ca, zoo.Lifetime(now.Add(-9*day), now.Add(-day)))
	noCA := leaf.Issue(t, "below a leaf")
	noDeeper := root.Authority(t, "Path length 0", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	tooDeepCA := noDeeper.Authority(t, "Too deep")
	tooDeep := tooDeepCA.Issue(t, "d.example.org")
	constrained := root.Authority(t, "Constrained", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.net"} })
	outside := constrained.Issue(t, "e.example.org")
	crl := ca.Revoke(t, now.Add(-time.Hour), now.Add(time.Hour), leaf)
	forged := other.Revoke(t, now.Add(-time.Hour), now.Add(time.Hour), leaf)
	client := ca.Issue(t, "client", zoo.Usage(x509.ExtKeyUsageClientAuth))

	c := func(certs ...*zoo.Cert) []*zoo.Cert { return certs }
	for _, test := range []struct {
		name               string
		file, roots, known []*zoo.Cert
		crl                []byte
		want               Reason
		valid              bool // by OpenSSL
	}{
		{name: "full", file: c(leaf, ca), roots: c(root), valid: true},
		{name: "with the root", file: c(leaf, ca, root), roots: c(root), valid: true},
		{name: "two intermediates", file: c(deep, ca2, ca), roots: c(root), valid: true},
		{name: "for a client", file: c(client, ca), roots: c(root), valid: true},
		{name: "leaf alone, intermediate known", file: c(leaf), roots: c(root), known: c(ca), valid: true},
		{name: "intermediate alone", file: c(ca), roots: c(root), valid: true},
		{name: "cross-signed root besides", file: c(leaf, ca, cross), roots: c(root), valid: true},
		{name: "by the cross-signed root", file: c(leaf, ca, cross), roots: c(other), valid: true},
		{name: "expired cross-signature besides", file: c(leaf, ca, oldCross), roots: c(root), valid: true},
		{name: "self-signed and trusted", file: c(self), roots: c(self), valid: true},
		{name: "leaf alone", file: c(leaf), roots: c(root), want: Incomplete},
		{name: "second intermediate missing", file: c(deep, ca2), roots: c(root), want: Incomplete},
		{name: "another root", file: c(leaf, ca, root), roots: c(other), want: Untrusted},
		{name: "no roots", file: c(leaf, ca, root), want: Untrusted},
		{name: "self-signed", file: c(self), roots: c(root), want: SelfSigned},
		{name: "expired", file: c(expired, ca), roots: c(root), want: Expired},
		{name: "expired and incomplete", file: c(expired), roots: c(root), want: Expired},
		{name: "not yet valid", file: c(future, ca), roots: c(root), want: NotYet},
		{name: "expired intermediate", file: c(underOld, oldCA), roots: c(root), want: Expired},
		{name: "expired intermediate, known", file: c(underOld), roots: c(root), known: c(oldCA), want: IssuerTime},
		{name: "issued by a leaf", file: c(noCA, leaf, ca), roots: c(root), want: Constraint},
		{name: "path too long", file: c(tooDeep, tooDeepCA, noDeeper), roots: c(root), want: Constraint},
		{name: "name outside of the constraint", file: c(outside, constrained), roots: c(root), want: Constraint},
		{name: "revoked", file: c(leaf, ca), roots: c(root), crl: crl, want: Revoked},
		{name: "not on the list", file: c(client, ca), roots: c(root), crl: crl, valid: true},
		// OpenSSL has no notion of order: it takes the leaf that it is given.
		{name: "issuer first", file: c(ca, leaf), roots: c(root), want: Order, valid: true},
		{name: "root before intermediate", file: c(leaf, root, ca), roots: c(root), want: Order, valid: true},
		{name: "two intermediates, swapped", file: c(deep, ca, ca2), roots: c(root), want: Order, valid: true},
	} {
		trust := Trust{Roots: pool(test.roots...)}
		for _, k := range test.known {
			trust.Intermediates = append(trust.Intermediates, k.Certificate)
		}
		if test.crl != nil {
			trust.Revoked = []*Revocations{NewRevocations(bundle.Parse(test.crl, "").CRLs[0])}
		}
		certs := bundleOf(test.file...)
		v, known := trust.File(certs, now)
		if !known || v.Reason != test.want {
			t.Errorf("%s: known %v, %q (%s), want %q", test.name, known, v.Reason, v.Detail, test.want)
		}
		end := test.file[Leaf(certs)]
		if got := openssl(t, end, test.file, test.roots, test.known, now, test.crl); got != test.valid {
			t.Errorf("%s: openssl says %v", test.name, got)
		}
		if test.want != Order && test.valid != (test.want == "") {
			t.Errorf("%s: the table disagrees with OpenSSL", test.name)
		}
	}
	trust := Trust{Roots: pool(root), Revoked: []*Revocations{NewRevocations(bundle.Parse(forged, "").CRLs[0])}}
	if v, _ := trust.File(bundleOf(leaf, ca), now); v.Reason != "" {
		t.Errorf("a list of another issuer revoked the certificate: %q", v.Reason)
	}
}

// Stores of roots and empty files have nothing to judge; the worst of several ends counts.
func TestEnds(t *testing.T) {
	root, other := zoo.Root(t, "Root"), zoo.Root(t, "Other Root")
	good, bad := root.Issue(t, "rsa"), other.Issue(t, "ecdsa")
	trust := Trust{Roots: pool(root)}
	if _, known := trust.File(bundleOf(root, other), time.Now()); known {
		t.Error("a store of roots was judged")
	}
	if _, known := trust.File(nil, time.Now()); known {
		t.Error("nothing was judged")
	}
	if v, known := trust.File(bundleOf(good, bad), time.Now()); !known || v.Reason != Incomplete {
		t.Errorf("the second of two ends is at fault: %v %q", known, v.Reason)
	}
	if v, _ := trust.File(bundleOf(good, root.Issue(t, "second")), time.Now()); v.Reason != "" {
		t.Errorf("two good ends: %q", v.Reason)
	}
	a, b := root.CrossSign(t, other), other.CrossSign(t, root) // each issued the other
	if ends := Ends(bundleOf(a, b)); len(ends) != 1 || ends[0] != 0 {
		t.Errorf("ends of a circle: %v", ends)
	}
	if leaf := Leaf(bundleOf(root, other, good)); leaf != 2 {
		t.Errorf("the leaf is at %d", leaf)
	}
	if leaf := Leaf(nil); leaf != -1 {
		t.Errorf("the leaf of nothing is at %d", leaf)
	}
}

// A client has only what was presented.
func TestServed(t *testing.T) {
	root := zoo.Root(t, "Root")
	ca := root.Authority(t, "Issuing CA")
	leaf := ca.Issue(t, "a")
	client := ca.Issue(t, "client", zoo.Usage(x509.ExtKeyUsageClientAuth))
	trust := Trust{Roots: pool(root), Intermediates: []*x509.Certificate{ca.Certificate}}
	for _, test := range []struct {
		certs []*zoo.Cert
		want  Reason
	}{
		{[]*zoo.Cert{leaf, ca}, ""},
		{[]*zoo.Cert{leaf}, Incomplete},
		{[]*zoo.Cert{client, ca}, Usage},
		{[]*zoo.Cert{leaf, root, ca}, ""}, // clients sort
	} {
		if v := trust.Served(bundleOf(test.certs...), time.Now()); v.Reason != test.want {
			t.Errorf("%q (%s), want %q", v.Reason, v.Detail, test.want)
		}
	}
}

// A verdict holds until time changes it, to the second, and then is the other one.
func TestUntil(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	root := zoo.Root(t, "Root")
	ca := root.Authority(t, "CA", zoo.Lifetime(now.Add(-time.Hour), now.Add(2*time.Hour)))
	leaf := ca.Issue(t, "a", zoo.Lifetime(now.Add(time.Hour), now.Add(9*time.Hour)))
	trust := Trust{Roots: pool(root)}
	at := now
	for _, want := range []struct {
		reason Reason
		until  time.Duration
	}{{NotYet, time.Hour}, {"", 2 * time.Hour}, {Expired, 9 * time.Hour}} {
		v, _ := trust.File(bundleOf(leaf, ca), at)
		if v.Reason != want.reason || v.Until.Truncate(time.Second).Sub(now) != want.until {
			t.Errorf("at %s: %q until %s, want %q until %s", at.Sub(now), v.Reason, v.Until.Sub(now), want.reason, want.until)
		}
		if before, _ := trust.File(bundleOf(leaf, ca), v.Until.Add(-time.Nanosecond)); before.Reason != want.reason {
			t.Errorf("just before %s it is %q", v.Until.Sub(now), before.Reason)
		}
		at = v.Until
	}
	if v, _ := trust.File(bundleOf(leaf, ca), at); v.Reason != Expired || !v.Until.IsZero() {
		t.Errorf("in the end: %q until %s, want expired for ever", v.Reason, v.Until)
	}
}

// A certificate that crypto/x509 refuses has a reason and does not disturb the others.
func TestLimited(t *testing.T) {
	dir := t.TempDir()
	zoo.OpenSSL(t, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-nodes", "-keyout", dir+"/k", "-out", dir+"/c", "-subj", "/CN=x", "-addext", "basicConstraints=CA:FALSE")
	root := zoo.Root(t, "Root")
	limited := bundle.Parse([]byte(zoo.OpenSSL(t, "x509", "-in", dir+"/c")), "").Certificates
	if len(limited) != 1 || !limited[0].Limited {
		t.Fatalf("%d certificates", len(limited))
	}
	trust := Trust{Roots: pool(root)}
	if v, known := trust.File(limited, time.Now()); !known || v.Reason != Unsupported {
		t.Errorf("%v %q", known, v.Reason)
	}
	if v, _ := trust.File(append(bundleOf(root.Issue(t, "a")), limited...), time.Now()); v.Reason != Unsupported {
		t.Errorf("beside a good one: %q", v.Reason)
	}
}

// SHA-1 keeps a chain from being built; OpenSSL at level 2 agrees.
func TestWeak(t *testing.T) {
	dir := t.TempDir()
	root := zoo.Root(t, "Root")
	caFile, caKey := zoo.Write(t, dir, "ca", zoo.PEM(root)), zoo.Write(t, dir, "key", root.KeyPEM(t))
	leaf := root.Issue(t, "weak")
	key := zoo.Write(t, dir, "leaf.key", leaf.KeyPEM(t))
	zoo.OpenSSL(t, "req", "-new", "-key", key, "-subj", "/CN=weak", "-out", dir+"/csr")
	text := zoo.OpenSSL(t, "x509", "-req", "-in", dir+"/csr", "-CA", caFile, "-CAkey", caKey, "-set_serial", "9", "-sha1", "-days", "9")
	trust := Trust{Roots: pool(root)}
	if v, _ := trust.File(bundle.Parse([]byte(text[strings.Index(text, "-----BEGIN"):]), "").Certificates, time.Now()); v.Reason != Weak {
		t.Errorf("%q (%s)", v.Reason, v.Detail)
	}
}

func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		if seen[r] {
			t.Errorf("%s twice", r)
		}
		seen[r] = true
	}
}

func TestRemovedFromList(t *testing.T) {
	list := &x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{
		{SerialNumber: big.NewInt(1)}, {SerialNumber: big.NewInt(2), ReasonCode: removeFromCRL},
	}}
	if r := NewRevocations(list); len(r.serials) != 1 || len(list.RevokedCertificateEntries) != 2 {
		t.Errorf("%d serials; the caller's list has %d", len(r.serials), len(list.RevokedCertificateEntries))
	}
}
