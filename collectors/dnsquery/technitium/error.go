package technitium

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"vulcan.lan/vulcan_exporter/internal/httpjson"
)

// Reason is why the API gave no answer: the closed set of a metric's label reason.
type Reason string

// The reasons.
const (
	// ReasonTimeout is an answer that did not come, or not completely, in time.
	ReasonTimeout Reason = "timeout"
	// ReasonConnection is a server that is not reached, hung up, or cut its answer short.
	ReasonConnection Reason = "connection"
	// ReasonTLS is a certificate that is not trusted, a server that speaks no TLS, or a CA file
	// of ours that cannot be used.
	ReasonTLS Reason = "tls"
	// ReasonHTTP is a status other than 200: a proxy in between, or an address that is not the API.
	ReasonHTTP Reason = "http"
	// ReasonToken is a token that the server does not know, that wants a second factor, or whose
	// file cannot be read.
	ReasonToken Reason = "token"
	// ReasonPermission is a token whose user lacks the permission that Error.Message names.
	ReasonPermission Reason = "permission"
	// ReasonApp is a query log app that is not installed under that name or class path.
	ReasonApp Reason = "app"
	// ReasonAPI is any other error that the server reports.
	ReasonAPI Reason = "api"
	// ReasonDecode is an answer that is not what the API documents, or longer than is read.
	ReasonDecode Reason = "decode"
)

// Reasons lists them all.
func Reasons() []string {
	return []string{
		string(ReasonTimeout), string(ReasonConnection), string(ReasonTLS), string(ReasonHTTP), string(ReasonToken),
		string(ReasonPermission), string(ReasonApp), string(ReasonAPI), string(ReasonDecode),
	}
}

// ErrUnsupported is in the chain of the error of a call that this version of the server lacks.
var ErrUnsupported = errors.New("this version of the server does not have it")

// Error is why a call failed. A call that failed because its context was cancelled, not because
// it ran out of time, returns the context's error instead: nobody wanted the answer any more.
type Error struct {
	Reason Reason
	// Path is the path of the API.
	Path string
	// Message says what happened, in the server's words where it had any. It never holds the token.
	Message string
	err     error
}

func (e *Error) Error() string { return e.Path + ": " + e.Message }

// Unwrap returns the cause, if it was not the server that reported the error.
func (e *Error) Unwrap() error { return e.err }

// ReasonOf returns the reason of an error of this package, "" for another.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// decodeError is an answer that is not what was expected.
type decodeError string

func (e decodeError) Error() string { return "unexpected answer: " + string(e) }

// httpError is a status other than 200.
type httpError struct {
	code int
	body string
}

func (e httpError) Error() string {
	switch {
	case e.code >= 300 && e.code < 400:
		return fmt.Sprintf("HTTP status %d: the server redirects, which is not followed with a token; configure the address it redirects to", e.code)
	case e.body == "":
		return fmt.Sprintf("HTTP status %d", e.code)
	}
	return fmt.Sprintf("HTTP status %d: %s", e.code, e.body)
}

// transportReason classifies what did not come from the server's own words.
func transportReason(err error) Reason {
	var (
		ca        httpjson.OwnError
		status    httpError
		decode    decodeError
		timeout   net.Error
		cert      *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &ca), errors.As(err, &cert), errors.As(err, &authority), errors.As(err, &record),
		errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch):
		return ReasonTLS
	case errors.As(err, &status):
		return ReasonHTTP
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return ReasonTimeout
	case errors.As(err, &decode):
		return ReasonDecode
	}
	return ReasonConnection
}
