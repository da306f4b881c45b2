package transform

import (
	"strconv"
	"strings"
)

// maxDigits bounds the text that an exponent is written out to.
const maxDigits = 64

// decimal writes a JSON number without exponent, exactly. Where that would be
// longer than maxDigits the text stays as it is.
func decimal(text string) string {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return text
	}
	exponent, err := strconv.Atoi(text[at+1:])
	if err != nil || exponent > maxDigits || exponent < -maxDigits {
		return text
	}
	sign, mantissa := "", text[:at]
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits, point := whole+fraction, len(whole)+exponent
	if len(digits) > maxDigits {
		return text
	}
	switch {
	case point <= 0:
		whole, fraction = "0", strings.Repeat("0", -point)+digits
	case point >= len(digits):
		whole, fraction = digits+strings.Repeat("0", point-len(digits)), ""
	default:
		whole, fraction = digits[:point], digits[point:]
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		fraction = "." + fraction
	}
	return sign + whole + fraction
}

// integer writes a JSON number as encoding/json reads into an int64: 1e3 and
// 12.0 are integers, 0.5 and 2^64 are not.
func integer(text string) (string, bool) {
	whole, fraction, _ := strings.Cut(decimal(text), ".")
	if strings.Trim(fraction, "0") != "" {
		return "", false
	}
	if _, err := strconv.ParseInt(whole, 10, 64); err != nil {
		return "", false
	}
	return whole, true
}

// isNumber is the grammar of RFC 8259, section 6.
func isNumber(text string) bool {
	s := scanner{src: []byte(text)}
	return text != "" && (text[0] == '-' || digit(text[0])) && s.number() == nil && s.pos == len(text)
}

// finite tells whether a float64 holds the number, rounded.
func finite(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}
