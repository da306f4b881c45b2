package bundle

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// key notes the private key of a block such as
//
//	-----BEGIN PRIVATE KEY-----              RFC 5208
//	-----BEGIN EC PRIVATE KEY-----           RFC 5915
//	-----BEGIN RSA PRIVATE KEY-----          RFC 8017, with "Proc-Type: 4,ENCRYPTED" encrypted
//	-----BEGIN ENCRYPTED PRIVATE KEY-----    RFC 5958
func (b *Bundle) key(block *pem.Block) {
	_, legacy := block.Headers["DEK-Info"]
	if legacy || block.Type == "ENCRYPTED PRIVATE KEY" {
		b.keyFault(KeyEncrypted)
		return
	}
	if block.Type == "DSA PRIVATE KEY" || block.Type == "OPENSSH PRIVATE KEY" {
		b.keyFault(KeyUnsupported)
		return
	}
	public, reason := parseKey(block.Bytes)
	if reason != "" {
		b.keyFault(reason)
		return
	}
	b.Keys = append(b.Keys, public)
}

func (b *Bundle) keyFault(r KeyReason) {
	if b.KeyProblem == "" {
		b.KeyProblem = r
	}
}

// parseKey gives the public half of an unencrypted private key in DER.
func parseKey(der []byte) (crypto.PublicKey, KeyReason) {
	var key any
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		key = k
	} else if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		key = k
	} else if k, err := x509.ParseECPrivateKey(der); err == nil {
		key = k
	}
	if signer, ok := key.(crypto.Signer); ok {
		return signer.Public(), ""
	}
	if isKey(der) {
		return nil, KeyUnsupported
	}
	return nil, KeyMalformed
}

// isKey reports whether DER has the outer form of a private key, of a kind that crypto/x509 may
// not know (DSA, Ed448, a rare curve):
//
//	PKCS#8: SEQUENCE { INTEGER 0 or 1, SEQUENCE { OBJECT IDENTIFIER ... }, OCTET STRING ... }
//	SEC 1:  SEQUENCE { INTEGER 1, OCTET STRING, [0] OBJECT IDENTIFIER ... }
func isKey(der []byte) bool {
	input := cryptobyte.String(der)
	var outer, rest cryptobyte.String
	var version int
	if !input.ReadASN1(&outer, asn1.SEQUENCE) || !input.Empty() ||
		!outer.ReadASN1Integer(&version) || version < 0 || version > 1 {
		return false
	}
	if outer.PeekASN1Tag(asn1.SEQUENCE) {
		var algorithm cryptobyte.String
		return outer.ReadASN1(&algorithm, asn1.SEQUENCE) && algorithm.PeekASN1Tag(asn1.OBJECT_IDENTIFIER) &&
			outer.ReadASN1(&rest, asn1.OCTET_STRING)
	}
	return version == 1 && outer.ReadASN1(&rest, asn1.OCTET_STRING) &&
		outer.PeekASN1Tag(asn1.Tag(0).ContextSpecific().Constructed())
}

// isPKCS12 reports whether DER begins as a PFX does: SEQUENCE { INTEGER 3, SEQUENCE ... }.
func isPKCS12(der []byte) bool {
	input := cryptobyte.String(der)
	var outer cryptobyte.String
	var version int
	return input.ReadASN1(&outer, asn1.SEQUENCE) && outer.ReadASN1Integer(&version) &&
		version == 3 && outer.PeekASN1Tag(asn1.SEQUENCE)
}

// firstElement cuts what follows the first ASN.1 element.
func firstElement(der []byte) []byte {
	input := cryptobyte.String(der)
	var element cryptobyte.String
	var tag asn1.Tag
	if !input.ReadAnyASN1Element(&element, &tag) {
		return der
	}
	return element
}

// Matches reports whether the certificate is for the public key. known is false where the
// certificate's key is of a kind that cannot be compared.
func (c *Certificate) Matches(public crypto.PublicKey) (matches, known bool) {
	comparable, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return false, false
	}
	return comparable.Equal(public), true
}
