// Package chain judges certificates: does a chain lead from each to a trusted root, and if not,
// why not.
//
// It is pure, apart from the system's trust store, which crypto/x509 reads once a process.
// Rules: RFC 5280 as crypto/x509 applies it. Signatures are checked, key usage of files is not
// (a file may be for a client or for mail), that of served ones is (server authentication).
package chain

import (
	"bytes"
	"crypto/x509"
	"errors"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
)

// Reason says why a chain is not valid.
type Reason string

// What can be wrong with a chain, in the order in which it is looked for.
const (
	Expired     Reason = "expired"       // one of the given certificates is
	NotYet      Reason = "not_yet_valid" // one of the given certificates is
	Revoked     Reason = "revoked"       // by a configured revocation list
	Unsupported Reason = "unsupported"   // crypto/x509 cannot read the certificate
	SelfSigned  Reason = "self_signed"   // its own issuer, and not trusted
	Weak        Reason = "weak_signature"
	Untrusted   Reason = "untrusted"      // complete, up to a root that is not trusted
	Incomplete  Reason = "incomplete"     // an issuer is neither given nor known
	IssuerTime  Reason = "issuer_expired" // a known issuer, not one of the given, is out of its time
	Constraint  Reason = "constraint"     // forbidden by an issuer's constraints
	Usage       Reason = "usage"          // not for servers
	Order       Reason = "wrong_order"    // valid, but not each followed by its issuer
	Other       Reason = "other"
)

// Reasons are all reasons.
func Reasons() []string {
	var s []string
	for _, r := range []Reason{
		Expired, NotYet, Revoked, Unsupported, SelfSigned, Weak, Untrusted, Incomplete,
		IssuerTime, Constraint, Usage, Order, Other,
	} {
		s = append(s, string(r))
	}
	return s
}

// Trust is what chains are judged by.
type Trust struct {
	// Roots are trusted; nil trusts the system's store.
	Roots *x509.CertPool
	// Intermediates may complete the chain of a file.
	Intermediates []*x509.Certificate
	Revoked       []*Revocations
}

// Verdict is a judgement and how long it holds: time alone changes it at Until.
type Verdict struct {
	Reason Reason // "" where the chain is valid
	Detail string // for a log
	Until  time.Time
}

// File judges the certificates of a file. Every end (one that issued no other of the file) that is
// not a root has to lead to a trusted root, by way of the file's other certificates and the known
// intermediates. known is false where there is nothing to judge: no end but roots.
func (t *Trust) File(certs []*bundle.Certificate, now time.Time) (v Verdict, known bool) {
	ends := Ends(certs)
	for _, i := range ends {
		if certs[i].Role() == "root" {
			continue
		}
		one := t.judge(certs, i, now, t.Intermediates, x509.ExtKeyUsageAny)
		if !known || v.Reason == "" && one.Reason != "" {
			one.Until = earlier(one.Until, v.Until)
			v = one
		} else {
			v.Until = earlier(v.Until, one.Until)
		}
		known = true
	}
	if known && v.Reason == "" && len(ends) == 1 && !ordered(certs, ends[0]) {
		v.Reason = Order
		v.Detail = "not each certificate is followed by its issuer"
	}
	return v, known
}

// Served judges what a server presented: its first certificate has to lead to a trusted root with
// nothing but the others, as a client sees it.
func (t *Trust) Served(certs []*bundle.Certificate, now time.Time) Verdict {
	v := t.judge(certs, 0, now, nil, x509.ExtKeyUsageServerAuth)
	if v.Reason == Untrusted && t.judge(certs, 0, now, t.Intermediates, x509.ExtKeyUsageServerAuth).Reason == "" {
		v.Reason = Incomplete
	}
	return v
}

func (t *Trust) judge(certs []*bundle.Certificate, end int, now time.Time, more []*x509.Certificate, usage x509.ExtKeyUsage) Verdict {
	v := Verdict{Until: boundary(certs, now)}
	leaf := certs[end]
	if leaf.Limited {
		v.Reason, v.Detail = Unsupported, "the certificate has a form that cannot be verified"
		return v.timed(leaf, now)
	}
	options := x509.VerifyOptions{
		Roots: t.Roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{usage},
	}
	for i, c := range certs {
		if i != end && !c.Limited {
			options.Intermediates.AddCert(c.Certificate)
		}
	}
	for _, c := range more {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		v.Reason, v.Detail = t.explain(certs, end, more, err), err.Error()
		v.Until = earlier(v.Until, poolBoundary(more, now))
		return v.timed(leaf, now)
	}
	for _, c := range chains[0] {
		v.Until = earlier(v.Until, next(c, now))
	}
	if by := t.revokedBy(chains); by != "" {
		v.Reason, v.Detail = Revoked, "serial number is on the revocation list of "+by
	}
	return v
}

// timed lets the plainest fault of the certificate itself come before what it leads to.
func (v Verdict) timed(leaf *bundle.Certificate, now time.Time) Verdict {
	switch {
	case now.After(leaf.NotAfter):
		v.Reason = Expired
	case now.Before(leaf.NotBefore):
		v.Reason = NotYet
	}
	return v
}

func (t *Trust) explain(certs []*bundle.Certificate, end int, more []*x509.Certificate, err error) Reason {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var weak x509.InsecureAlgorithmError
	var constraint x509.ConstraintViolationError
	var critical x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &invalid):
		return explainInvalid(certs, invalid)
	case errors.As(err, &weak):
		return Weak
	case errors.As(err, &constraint):
		return Constraint
	case errors.As(err, &critical):
		return Unsupported
	case errors.As(err, &unknown):
		if certs[end].SelfIssued() && len(certs) == 1 {
			return SelfSigned
		}
		if signedWeakly(certs) {
			return Weak
		}
		return top(certs, end, more)
	}
	return Other
}

func explainInvalid(certs []*bundle.Certificate, err x509.CertificateInvalidError) Reason {
	switch err.Reason {
	case x509.Expired:
		for _, c := range certs {
			if !c.Equal(err.Cert) {
				continue
			}
			return Expired
		}
		return IssuerTime
	case x509.IncompatibleUsage:
		return Usage
	case x509.NotAuthorizedToSign, x509.TooManyIntermediates, x509.CANotAuthorizedForThisName,
		x509.CANotAuthorizedForExtKeyUsage, x509.TooManyConstraints, x509.UnconstrainedName, x509.NameConstraintsWithoutSANs:
		return Constraint
	}
	return Other
}

// signedWeakly reports whether a signature that crypto/x509 no longer accepts (MD5, SHA-1) keeps a
// chain from being built: Verify then says only that the authority is unknown.
func signedWeakly(certs []*bundle.Certificate) bool {
	for _, c := range certs {
		if c.SelfIssued() {
			continue // a root's own signature is never checked
		}
		switch c.SignatureAlgorithm {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
			return true
		}
	}
	return false
}

// top follows the issuers by name: a chain that ends in a root is complete, and the root is what
// is not trusted.
func top(certs []*bundle.Certificate, end int, more []*x509.Certificate) Reason {
	at := certs[end].Certificate
	for range len(certs) + len(more) + 1 {
		if bytes.Equal(at.RawIssuer, at.RawSubject) {
			return Untrusted
		}
		issuer := issuerOf(at, certs, more)
		if issuer == nil {
			return Incomplete
		}
		if issuer.Version == 3 && !issuer.IsCA {
			return Constraint // a leaf issued it
		}
		at = issuer
	}
	return Incomplete
}

func issuerOf(c *x509.Certificate, certs []*bundle.Certificate, more []*x509.Certificate) *x509.Certificate {
	for _, other := range certs {
		if bytes.Equal(other.RawSubject, c.RawIssuer) {
			return other.Certificate
		}
	}
	for _, other := range more {
		if bytes.Equal(other.RawSubject, c.RawIssuer) {
			return other
		}
	}
	return nil
}
