package files

import (
	"crypto/x509"

	"github.com/bmatcuk/doublestar/v4"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
	"vulcan.lan/vulcan_exporter/collectors/certificate/chain"
)

// Trust is what chains are judged by, read from files and again when those change.
type Trust struct {
	// Roots, Intermediates and CRLs are paths or patterns. Without Roots the system's store
	// is trusted.
	Roots, Intermediates, CRLs []string

	current    chain.Trust
	usable     bool
	stamps     []stamped
	generation int // grows with every change; 0: not read yet
}

// Current gives what is trusted; ok is false where roots are configured and none can be read, so
// that nothing can be judged.
func (t *Trust) Current() (current chain.Trust, ok bool) { return t.current, t.usable }

// refresh reads the files where one of them changed since the last time.
func (t *Trust) refresh() {
	stamps := make([]stamped, 0, len(t.stamps))
	for _, list := range [][]string{t.Roots, t.Intermediates, t.CRLs} {
		for _, path := range paths(list) {
			at, reason := look(path)
			stamps = append(stamps, stamped{path, at, reason})
		}
	}
	if t.generation > 0 && equalStamps(stamps, t.stamps) {
		return
	}
	t.stamps = stamps
	t.generation++
	t.current = chain.Trust{}
	if len(t.Roots) > 0 {
		t.current.Roots = x509.NewCertPool()
	}
	t.usable = len(t.Roots) == 0
	for _, c := range certificates(t.Roots) {
		t.current.Roots.AddCert(c)
		t.usable = true
	}
	t.current.Intermediates = certificates(t.Intermediates)
	for _, path := range paths(t.CRLs) {
		content, _, _ := read(path)
		for _, list := range bundle.Parse(content, "").CRLs {
			t.current.Revoked = append(t.current.Revoked, chain.NewRevocations(list))
		}
	}
}

func equalStamps(a, b []stamped) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func paths(list []string) []string {
	var found []string
	for _, path := range list {
		if !IsPattern(path) {
			found = append(found, path)
			continue
		}
		matches, _ := doublestar.FilepathGlob(path) // what cannot be read, its set reports
		found = append(found, matches...)
	}
	return found
}

func certificates(list []string) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, path := range paths(list) {
		content, _, _ := read(path)
		for _, c := range bundle.Parse(content, "").Certificates {
			if !c.Limited {
				certs = append(certs, c.Certificate)
			}
		}
	}
	return certs
}

// Certificates are those of one file that chains can be built with.
func Certificates(path string) []*x509.Certificate { return certificates([]string{path}) }
