package bundle

import (
	"crypto/x509/pkix"
	encasn1 "encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidBasicConstraints = encasn1.ObjectIdentifier{2, 5, 29, 19}
	oidSubjectAltName   = encasn1.ObjectIdentifier{2, 5, 29, 17}
)

func extension(id encasn1.ObjectIdentifier, critical bool, value []byte) pkix.Extension {
	return pkix.Extension{Id: id, Critical: critical, Value: value}
}

// attributeName is OpenSSL's short name of an attribute type, the dotted number of a rare one.
func attributeName(id encasn1.ObjectIdentifier) string {
	switch s := id.String(); s {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.5":
		return "serialNumber"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.9":
		return "street"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case "2.5.4.97":
		return "organizationIdentifier"
	case "0.9.2342.19200300.100.1.1":
		return "UID"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	case "1.2.840.113549.1.9.1":
		return "emailAddress"
	default:
		return s
	}
}

// rareKeyType names the keys that crypto/x509 does not know, by RFC 8410, 5480, 5639 and 4055.
func rareKeyType(spki []byte) string {
	input := cryptobyte.String(spki)
	var outer, algorithm cryptobyte.String
	var id, curve encasn1.ObjectIdentifier
	if !input.ReadASN1(&outer, asn1.SEQUENCE) || !outer.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&id) {
		return "unknown"
	}
	switch s := id.String(); s {
	case "1.3.101.113":
		return "Ed448"
	case "1.2.840.10040.4.1":
		return "DSA"
	case "1.2.840.113549.1.1.10":
		return "RSA-PSS"
	case "1.2.840.113549.1.1.1":
		return "RSA"
	case "1.2.840.10045.2.1":
		if !algorithm.ReadASN1ObjectIdentifier(&curve) {
			return "ECDSA"
		}
		return "ECDSA-" + curveName(curve.String())
	default:
		return s
	}
}

func curveName(id string) string {
	switch id {
	case "1.2.840.10045.3.1.7":
		return "P-256"
	case "1.3.132.0.34":
		return "P-384"
	case "1.3.132.0.35":
		return "P-521"
	case "1.3.132.0.10":
		return "secp256k1"
	case "1.3.36.3.3.2.8.1.1.7":
		return "brainpoolP256r1"
	case "1.3.36.3.3.2.8.1.1.11":
		return "brainpoolP384r1"
	case "1.3.36.3.3.2.8.1.1.13":
		return "brainpoolP512r1"
	}
	return id
}

// Name prints a distinguished name as RFC 2253 does, the last part first:
//
//	CN=mail.example.org,O=Example\, Inc.,C=DE
//
// crypto/x509's own form puts the parts into a fixed order and prints e-mail addresses as hex.
// Text that is not valid in its encoding is mended rather than dropped.
func Name(raw []byte) string {
	input := cryptobyte.String(raw)
	var sequence cryptobyte.String
	if !input.ReadASN1(&sequence, asn1.SEQUENCE) {
		return ""
	}
	var parts []string
	for !sequence.Empty() {
		var set cryptobyte.String
		if !sequence.ReadASN1(&set, asn1.SET) {
			break
		}
		parts = append(parts, relativeName(set))
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
		if i > 0 {
			b.WriteByte(',')
		}
	}
	return b.String()
}

func relativeName(set cryptobyte.String) string {
	var values []string
	for !set.Empty() {
		var pair, value cryptobyte.String
		var id encasn1.ObjectIdentifier
		var tag asn1.Tag
		if !set.ReadASN1(&pair, asn1.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&id) || !pair.ReadAnyASN1(&value, &tag) {
			break
		}
		values = append(values, attributeName(id)+"="+escape(text(tag, value)))
	}
	slices.Reverse(values)
	return strings.Join(values, "+")
}

// text decodes an ASN.1 string (X.680): BMPString is UTF-16, UniversalString UTF-32, TeletexString
// in practice Latin-1, the others are subsets of UTF-8.
func text(tag asn1.Tag, value []byte) string {
	const bmp, universal, teletex = 30, 28, 20
	switch {
	case tag == bmp && len(value)%2 == 0:
		units := make([]uint16, len(value)/2)
		for i := range units {
			units[i] = uint16(value[2*i])<<8 | uint16(value[2*i+1])
		}
		return string(utf16.Decode(units))
	case tag == universal && len(value)%4 == 0:
		runes := make([]rune, len(value)/4)
		for i := range runes {
			runes[i] = rune(value[4*i])<<24 | rune(value[4*i+1])<<16 | rune(value[4*i+2])<<8 | rune(value[4*i+3])
		}
		return string(runes)
	case tag == teletex:
		runes := make([]rune, len(value))
		for i, c := range value {
			runes[i] = rune(c)
		}
		return string(runes)
	case tag&0x20 != 0: // constructed: no text
		return "#" + hex.EncodeToString(value)
	}
	return strings.ToValidUTF8(string(value), "\uFFFD")
}

// escape applies RFC 2253, 2.4. Control characters become \XX.
func escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		first, last := i == 0, i+len(string(r)) == len(s)
		switch {
		case strings.ContainsRune(`,+"\<>;`, r), r == '#' && first, r == ' ' && (first || last):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			b.WriteString(`\` + strings.ToUpper(hex.EncodeToString([]byte{byte(r)})))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
