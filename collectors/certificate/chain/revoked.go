package chain

import (
	"bytes"
	"crypto/x509"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
)

// Revocations is a revocation list made ready for look-ups.
type Revocations struct {
	list    *x509.RevocationList
	serials map[string]struct{}
}

// removeFromCRL is the reason code of a certificate whose hold has ended (RFC 5280, 5.3.1).
const removeFromCRL = 8

// NewRevocations indexes a list.
func NewRevocations(list *x509.RevocationList) *Revocations {
	signed := *list
	signed.RevokedCertificateEntries = nil // the index takes their place
	r := &Revocations{list: &signed, serials: make(map[string]struct{}, len(list.RevokedCertificateEntries))}
	for _, entry := range list.RevokedCertificateEntries {
		if entry.ReasonCode != removeFromCRL {
			r.serials[string(entry.SerialNumber.Bytes())] = struct{}{}
		}
	}
	return r
}

// revokedBy gives the issuer whose list names a certificate of every chain, "" where one chain is
// free. A list counts only where the issuer in the chain signed it.
func (t *Trust) revokedBy(chains [][]*x509.Certificate) string {
	by := ""
	for _, chain := range chains {
		found := ""
		for i := 0; i+1 < len(chain) && found == ""; i++ {
			found = t.revoked(chain[i], chain[i+1])
		}
		if found == "" {
			return ""
		}
		by = found
	}
	return by
}

func (t *Trust) revoked(c, issuer *x509.Certificate) string {
	for _, r := range t.Revoked {
		if !bytes.Equal(r.list.RawIssuer, issuer.RawSubject) {
			continue
		}
		if _, listed := r.serials[string(c.SerialNumber.Bytes())]; listed && r.list.CheckSignatureFrom(issuer) == nil {
			return bundle.Name(issuer.RawSubject)
		}
	}
	return ""
}
