// Package bundle reads what a certificate file holds: PEM with any mix of certificates, private
// keys and revocation lists, DER, or PKCS#12. Content decides, never a name.
//
// It is pure: bytes in, plain data out. A fault of the content is data (a Reason), and what can
// be read beside it is still returned. Of a private key only its public half is kept.
//
// Formats: RFC 7468 (PEM), RFC 5280 (certificates and revocation lists), RFC 7292 (PKCS#12).
package bundle

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// Reason says why a content could not be read, or not all of it.
type Reason string

// What can be wrong with a content.
const (
	// Empty is a file of no bytes, which a renewal leaves that failed half-way.
	Empty Reason = "empty"
	// NoCertificate is a content that holds none of the formats.
	NoCertificate Reason = "no_certificate"
	// Malformed is a certificate, or a block around one, that is broken or cut off.
	Malformed Reason = "malformed"
	// Password is PKCS#12 whose password is another one.
	Password Reason = "password"
	// Unsupported is PKCS#12 of a kind that the library does not open, such as one of
	// certificates without a key and without Java's mark of a trust store.
	Unsupported Reason = "unsupported"
)

// KeyReason says why the public half of a private key is not known.
type KeyReason string

// What can be wrong with a private key. Missing and Unreadable are of its file.
const (
	KeyMissing     KeyReason = "missing"
	KeyUnreadable  KeyReason = "unreadable"
	KeyEncrypted   KeyReason = "encrypted"
	KeyMalformed   KeyReason = "malformed"
	KeyUnsupported KeyReason = "unsupported"
)

// Bundle is what a content holds, in its order.
type Bundle struct {
	Certificates []*Certificate
	// Keys are the public halves of the private keys.
	Keys []crypto.PublicKey
	// KeyProblem is why a private key is not among Keys, "" where none is lacking.
	KeyProblem KeyReason
	CRLs       []*x509.RevocationList
	// Others counts well-formed blocks of other kinds: requests, parameters, public keys.
	Others int
	// Problem is the first fault, "" where all was read.
	Problem Reason
}

// Parse reads a content. The password is for PKCS#12 only; its empty value also opens files
// without encryption.
func Parse(content []byte, password string) Bundle {
	var b Bundle
	switch {
	case len(bytes.TrimSpace(content)) == 0:
		b.Problem = Empty
	case bytes.Contains(content, []byte("-----BEGIN ")):
		b.pem(content)
	default:
		b.der(content, password)
	}
	if b.Problem == "" && len(b.Certificates)+len(b.Keys)+len(b.CRLs)+b.Others == 0 && b.KeyProblem == "" {
		b.Problem = NoCertificate
	}
	return b
}

// pem reads blocks such as
//
//	-----BEGIN CERTIFICATE-----
//	MIIBeTCCAR+gAwIBAgIUe8...
//	-----END CERTIFICATE-----
//
// with any text between them. encoding/pem passes over a broken block without a word, so the
// beginnings are counted.
func (b *Bundle) pem(content []byte) {
	begun := bytes.Count(content, []byte("\n-----BEGIN "))
	if bytes.HasPrefix(content, []byte("-----BEGIN ")) {
		begun++
	}
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		begun--
		b.block(block)
	}
	if begun > 0 {
		b.fault(Malformed)
	}
}

func (b *Bundle) block(block *pem.Block) {
	switch {
	case block.Type == "CERTIFICATE", block.Type == "X509 CERTIFICATE":
		b.certificate(block.Bytes)
	case block.Type == "TRUSTED CERTIFICATE": // OpenSSL's: trust settings follow the certificate
		b.certificate(firstElement(block.Bytes))
	case block.Type == "X509 CRL":
		b.crl(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		b.key(block)
	default:
		b.Others++
	}
}

func (b *Bundle) certificate(der []byte) {
	if c := ParseCertificate(der); c != nil {
		b.Certificates = append(b.Certificates, c)
		return
	}
	b.fault(Malformed)
}

func (b *Bundle) crl(der []byte) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		b.fault(Malformed)
		return
	}
	b.CRLs = append(b.CRLs, list)
}

func (b *Bundle) fault(r Reason) {
	if b.Problem == "" {
		b.Problem = r
	}
}

// der reads one binary object: a certificate, a PKCS#12 store, a revocation list or a key. All
// are a SEQUENCE (0x30) that is as long as the content.
func (b *Bundle) der(content []byte, password string) {
	if content[0] != 0x30 {
		return
	}
	if c := ParseCertificate(content); c != nil {
		b.Certificates = append(b.Certificates, c)
		return
	}
	if list, err := x509.ParseRevocationList(content); err == nil {
		b.CRLs = append(b.CRLs, list)
		return
	}
	if public, reason := parseKey(content); reason == "" {
		b.Keys = append(b.Keys, public)
		return
	}
	if isPKCS12(content) {
		b.pkcs12(content, password)
		return
	}
	b.fault(Malformed)
}

func (b *Bundle) pkcs12(content []byte, password string) {
	key, leaf, issuers, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		if store, e := pkcs12.DecodeTrustStore(content, password); e == nil {
			issuers, err = store, nil
		}
	}
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		b.fault(Password)
	case err != nil && strings.Contains(err.Error(), "pkcs12: error reading P12 data"):
		b.fault(Malformed)
	case err != nil:
		b.fault(Unsupported)
	}
	if err != nil {
		return
	}
	if leaf != nil {
		b.Certificates = append(b.Certificates, &Certificate{Certificate: leaf})
	}
	for _, c := range issuers {
		b.Certificates = append(b.Certificates, &Certificate{Certificate: c})
	}
	if signer, ok := key.(crypto.Signer); ok {
		b.Keys = append(b.Keys, signer.Public())
	}
}
