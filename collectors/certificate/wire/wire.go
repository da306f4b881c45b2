// Package wire takes the certificates that a server presents, whatever is wrong with them.
//
// It speaks TLS 1.0 to 1.3, at once or after STARTTLS (SMTP RFC 3207, IMAP RFC 9051, POP3
// RFC 2595, PostgreSQL https://www.postgresql.org/docs/current/protocol-flow.html), sends nothing
// but the handshake and closes. Privileges: none. Cost: one connection.
//
// The handshake verifies nothing (InsecureSkipVerify), because an expired, untrusted or wrong
// certificate is what is to be seen: the caller judges it. Nothing that is received is trusted,
// and no secret is sent.
package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
)

// Reason says what went wrong on the way to a complete handshake.
type Reason string

// What can go wrong.
const (
	Resolve     Reason = "resolve"            // the name has no address
	Refused     Reason = "refused"            // nothing listens
	Unreachable Reason = "unreachable"        // no route
	Timeout     Reason = "timeout"            // no answer in time
	Closed      Reason = "closed"             // the server hung up
	StartTLS    Reason = "starttls"           // the server does not offer it, or speaks another protocol
	NotTLS      Reason = "not_tls"            // the answer is no TLS
	ClientAuth  Reason = "client_certificate" // the server insists on a client's certificate
	Certificate Reason = "certificate"        // what the server presented is no certificate
	Handshake   Reason = "handshake"          // another alert, such as no common version or cipher
	Other       Reason = "other"
)

// Reasons are all reasons.
func Reasons() []string {
	return []string{
		string(Resolve), string(Refused), string(Unreachable), string(Timeout), string(Closed), string(StartTLS),
		string(NotTLS), string(ClientAuth), string(Certificate), string(Handshake), string(Other),
	}
}

// Target is where to look.
type Target struct {
	Address    string // host:port
	ServerName string // sent as SNI; an IP address is not
	StartTLS   string // "", smtp, imap, pop3 or postgres
}

// Result is what was seen. With a Reason there may still be certificates: a server presents them
// before it refuses the client.
type Result struct {
	Certificates []*bundle.Certificate
	Version      uint16
	Cipher       uint16
	// Handshake is how long the TLS handshake took, 0 where it did not complete.
	Handshake time.Duration
	// Staple is the OCSP response that came with the certificate.
	Staple []byte
	// Asked is set where the server asked for a client's certificate.
	Asked  bool
	Reason Reason
	Err    error
}

// Probe connects until ctx ends. now is the clock by which the handshake is timed.
func Probe(ctx context.Context, target Target, now func() time.Time) Result {
	var r Result
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", target.Address)
	if err != nil {
		r.fail(classify(err), err)
		return r
	}
	defer func() { _ = conn.Close() }()
	// A read that hangs ends with the context.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := startTLS(conn, target.StartTLS); err != nil {
		reason := classify(err)
		if reason == Other {
			reason = StartTLS
		}
		r.fail(reason, err)
		return r
	}
	r.handshake(ctx, conn, target, now)
	return r
}

func (r *Result) handshake(ctx context.Context, conn net.Conn, target Target, now func() time.Time) {
	session := tls.Client(conn, &tls.Config{
		ServerName:         target.ServerName,
		InsecureSkipVerify: true, // judged by the caller; see the package's doc
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       everyCipher(),
		VerifyConnection: func(s tls.ConnectionState) error {
			r.Version, r.Cipher, r.Staple = s.Version, s.CipherSuite, s.OCSPResponse
			for _, c := range s.PeerCertificates {
				r.Certificates = append(r.Certificates, &bundle.Certificate{Certificate: c})
			}
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			r.Asked = true
			return new(tls.Certificate), nil // none
		},
	})
	begun := now()
	err := session.HandshakeContext(ctx)
	if err == nil {
		r.Handshake = now().Sub(begun)
		err = r.refusal(ctx, session, conn)
	}
	if err == nil {
		return
	}
	reason := classify(err)
	if r.Asked && len(r.Certificates) > 0 && (reason == Handshake || reason == Closed) {
		reason = ClientAuth
	}
	r.fail(reason, err)
}

// refusalWait is how long a server that asked for a certificate may take to refuse the client
// that has none. With TLS 1.3 it does so after the handshake is complete on this side.
const refusalWait = time.Second

func (r *Result) refusal(ctx context.Context, session *tls.Conn, conn net.Conn) error {
	if !r.Asked || r.Version < tls.VersionTLS13 {
		return nil
	}
	wait := refusalWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/2)
	}
	_ = conn.SetReadDeadline(time.Now().Add(wait)) // the socket's clock, not a measurement
	_, err := session.Read(make([]byte, 1))
	var alert tls.AlertError
	if errors.As(err, &alert) || isRemoteAlert(err) {
		return err
	}
	return nil // it speaks first, waits for the client or closes: it has not refused
}

func (r *Result) fail(reason Reason, err error) { r.Reason, r.Err = reason, err }

func everyCipher() []uint16 {
	var ids []uint16
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, suite.ID)
	}
	return ids
}

// isRemoteAlert recognises the alert of the other side, which crypto/tls wraps in a net.OpError.
func isRemoteAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

func classify(err error) Reason {
	var dns *net.DNSError
	var header tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.Canceled):
		return Timeout
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return Timeout
		}
		return Resolve
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unreachable
	case errors.Is(err, syscall.ETIMEDOUT):
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Closed
	case errors.As(err, &header):
		return NotTLS
	case errors.As(err, &invalid), strings.Contains(err.Error(), "parse certificate"):
		return Certificate
	case errors.As(err, &alert), isRemoteAlert(err), strings.HasPrefix(err.Error(), "tls: "):
		return Handshake
	}
	return Other
}
