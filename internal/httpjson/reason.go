package httpjson

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
)

// StatusError is an answer with a status other than 200.
type StatusError struct {
	Code    int
	Message string // the start of the body
}

func (e StatusError) Error() string { return fmt.Sprintf("HTTP status %d: %s", e.Code, e.Message) }

// FormatError is an answer that is not the JSON that was expected.
type FormatError struct{ err error }

func (e FormatError) Error() string { return "unexpected answer: " + e.err.Error() }
func (e FormatError) Unwrap() error { return e.err }

// Why an API gave no answer: the closed set of a metric's label reason.
const (
	ReasonRefused     = "refused"     // nothing listens there, or it hung up
	ReasonTimeout     = "timeout"     // no answer in time
	ReasonAuth        = "auth"        // 401, 403, or the socket's permissions
	ReasonCredentials = "credentials" // our own token or CA file cannot be read
	ReasonTLS         = "tls"         // the certificate is not trusted, or no TLS that suits both is spoken
	ReasonStatus      = "status"      // another status than 200
	ReasonFormat      = "format"      // not the expected JSON
	ReasonOther       = "other"
)

// Reasons lists them all.
func Reasons() []string {
	return []string{ReasonRefused, ReasonTimeout, ReasonAuth, ReasonCredentials, ReasonTLS, ReasonStatus, ReasonFormat, ReasonOther}
}

// Reason classifies an error of Get or Stream.
func Reason(err error) string {
	var (
		status  StatusError
		format  FormatError
		own     OwnError
		timeout net.Error
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &own):
		return ReasonCredentials
	case errors.As(err, &status):
		if status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden {
			return ReasonAuth
		}
		return ReasonStatus
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return ReasonTimeout
	case errors.As(err, &format):
		return ReasonFormat
	case errors.As(err, &cert), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch),
		errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return ReasonTLS
	case errors.Is(err, fs.ErrPermission):
		return ReasonAuth
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNRESET),
		errors.As(err, &op):
		return ReasonRefused
	}
	return ReasonOther
}
