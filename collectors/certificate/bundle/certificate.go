package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	encasn1 "encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Certificate is a certificate of a content.
type Certificate struct {
	*x509.Certificate
	// Limited is set where crypto/x509 refuses the certificate, such as one with a negative
	// serial number or a key on a rare curve. Then only the raw fields, the dates, the serial
	// number, IsCA and Version are set, and no chain can be built through it.
	Limited bool
}

// ParseCertificate reads one certificate in DER. It returns nil where not even the dates can be
// told.
func ParseCertificate(der []byte) *Certificate {
	if c, err := x509.ParseCertificate(der); err == nil {
		return &Certificate{Certificate: c}
	}
	if c := parseLimited(der); c != nil {
		return &Certificate{Certificate: c, Limited: true}
	}
	return nil
}

// parseLimited reads the outline of a certificate (RFC 5280, 4.1):
//
//	SEQUENCE { SEQUENCE { [0] version, serial, signature, issuer, validity, subject, key,
//	                      [1], [2], [3] extensions }, algorithm, BIT STRING }
func parseLimited(der []byte) *x509.Certificate {
	input := cryptobyte.String(der)
	var outer, tbs, algorithm, signature, version cryptobyte.String
	var versioned bool
	c := &x509.Certificate{Raw: der, SerialNumber: new(big.Int), Version: 1}
	if !input.ReadASN1(&outer, asn1.SEQUENCE) || !input.Empty() ||
		!outer.ReadASN1(&tbs, asn1.SEQUENCE) || !outer.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!outer.ReadASN1(&signature, asn1.BIT_STRING) ||
		!tbs.ReadOptionalASN1(&version, &versioned, asn1.Tag(0).ContextSpecific().Constructed()) ||
		!tbs.ReadASN1Integer(c.SerialNumber) || !tbs.SkipASN1(asn1.SEQUENCE) {
		return nil
	}
	var issuer, validity, subject, key cryptobyte.String
	if !tbs.ReadASN1Element(&issuer, asn1.SEQUENCE) || !tbs.ReadASN1(&validity, asn1.SEQUENCE) ||
		!tbs.ReadASN1Element(&subject, asn1.SEQUENCE) || !tbs.ReadASN1Element(&key, asn1.SEQUENCE) ||
		!readTime(&validity, &c.NotBefore) || !readTime(&validity, &c.NotAfter) {
		return nil
	}
	c.RawIssuer, c.RawSubject, c.RawSubjectPublicKeyInfo = issuer, subject, key
	if versioned && !version.ReadASN1Integer(&c.Version) {
		return nil
	} else if versioned {
		c.Version++
	}
	readExtensions(tbs, c)
	return c
}

func readTime(s *cryptobyte.String, t *time.Time) bool {
	if s.PeekASN1Tag(asn1.UTCTime) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}

// readExtensions sets IsCA and, as Extensions, all extensions by their raw values.
func readExtensions(tbs cryptobyte.String, c *x509.Certificate) {
	var wrapped, list cryptobyte.String
	var found bool
	for _, tag := range []asn1.Tag{1, 2} {
		if !tbs.SkipOptionalASN1(tag.ContextSpecific()) {
			return
		}
	}
	if !tbs.ReadOptionalASN1(&wrapped, &found, asn1.Tag(3).ContextSpecific().Constructed()) || !found ||
		!wrapped.ReadASN1(&list, asn1.SEQUENCE) {
		return
	}
	for !list.Empty() {
		var one, value cryptobyte.String
		var id encasn1.ObjectIdentifier
		var critical bool
		if !list.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&id) ||
			!optionalBoolean(&one, &critical) || !one.ReadASN1(&value, asn1.OCTET_STRING) {
			return
		}
		c.Extensions = append(c.Extensions, extension(id, critical, value))
		if id.Equal(oidBasicConstraints) {
			var constraints cryptobyte.String
			if value.ReadASN1(&constraints, asn1.SEQUENCE) {
				optionalBoolean(&constraints, &c.IsCA)
			}
		}
	}
}

// optionalBoolean reads a BOOLEAN DEFAULT FALSE.
func optionalBoolean(s *cryptobyte.String, out *bool) bool {
	return !s.PeekASN1Tag(asn1.BOOLEAN) || s.ReadASN1Boolean(out)
}

// SelfIssued reports whether the certificate names itself as its issuer.
func (c *Certificate) SelfIssued() bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// Role is leaf, intermediate or root, by the CA flag and the issuer. A certificate of version 1
// has no flag: one that issued itself was a root in its time.
func (c *Certificate) Role() string {
	ca := c.IsCA || c.Version < 3 && c.SelfIssued()
	switch {
	case ca && c.SelfIssued():
		return "root"
	case ca:
		return "intermediate"
	}
	return "leaf"
}

// SANs is the number of subject alternative names of any kind.
func (c *Certificate) SANs() int {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		input := cryptobyte.String(e.Value)
		var names cryptobyte.String
		count := 0
		for ok := input.ReadASN1(&names, asn1.SEQUENCE); ok && !names.Empty(); count++ {
			var name cryptobyte.String
			var tag asn1.Tag
			if ok = names.ReadAnyASN1(&name, &tag); !ok {
				break
			}
		}
		return count
	}
	return 0
}

// Serial is the serial number as OpenSSL prints it: upper-case hexadecimal of whole bytes.
func (c *Certificate) Serial() string {
	sign := ""
	if c.SerialNumber.Sign() < 0 {
		sign = "-"
	}
	magnitude := new(big.Int).Abs(c.SerialNumber).Bytes()
	if len(magnitude) == 0 {
		magnitude = []byte{0}
	}
	return fmt.Sprintf("%s%X", sign, magnitude)
}

// KeyType names the algorithm and the size or the curve, such as RSA-2048, ECDSA-P-256 or Ed25519.
func (c *Certificate) KeyType() string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA-" + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return rareKeyType(c.RawSubjectPublicKeyInfo)
}
