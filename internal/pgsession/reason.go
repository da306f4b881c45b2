package pgsession

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Why a session could not be opened or used: the closed set of a metric's label reason.
const (
	ReasonRefused     = "refused"     // nothing listens there, or it hung up
	ReasonTimeout     = "timeout"     // no answer in time, or a lock was not granted
	ReasonAuth        = "auth"        // wrong user or password, or not admitted by pg_hba.conf
	ReasonCredentials = "credentials" // our own password file cannot be read
	ReasonTLS         = "tls"         // TLS was refused or the certificate is not trusted
	ReasonDatabase    = "database"    // no such database
	ReasonFull        = "full"        // all connections are taken
	ReasonStarting    = "starting"    // starting, recovering or shutting down
	ReasonPrivilege   = "privilege"   // a statement is not allowed to the role
	ReasonSchema      = "schema"      // a table, column or function does not exist
	ReasonOther       = "other"
)

// Reasons lists them all.
func Reasons() []string {
	return []string{
		ReasonRefused, ReasonTimeout, ReasonAuth, ReasonCredentials, ReasonTLS, ReasonDatabase,
		ReasonFull, ReasonStarting, ReasonPrivilege, ReasonSchema, ReasonOther,
	}
}

type credentialsError struct{ error }

func (e *credentialsError) Unwrap() error { return e.error }

// Reason classifies an error of Conn or of a statement.
func Reason(err error) string {
	var server *pgconn.PgError
	var credentials *credentialsError
	switch {
	case errors.As(err, &credentials):
		return ReasonCredentials
	case errors.As(err, &server):
		return serverReason(server.Code)
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrClosing):
		return ReasonTimeout
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ReasonRefused
	case isTLS(err): // last, for with sslmode=prefer it is only the first of two attempts
		return ReasonTLS
	}
	return ReasonOther
}

// serverReason maps an SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func serverReason(code string) string {
	switch code {
	case "28000", "28P01":
		return ReasonAuth
	case "3D000":
		return ReasonDatabase
	case "53300":
		return ReasonFull
	case "57P01", "57P02", "57P03":
		return ReasonStarting
	case "57014", "55P03": // statement_timeout, lock_timeout
		return ReasonTimeout
	case "42501":
		return ReasonPrivilege
	case "42P01", "42703", "42883", "3F000", "42704":
		return ReasonSchema
	}
	return ReasonOther
}

func isTLS(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	if errors.As(err, &verify) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &record) {
		return true
	}
	if errors.As(err, &op) && op.Op == "remote error" { // a TLS alert
		return true
	}
	return strings.Contains(err.Error(), "server refused TLS connection") // pgconn has no type for it
}
