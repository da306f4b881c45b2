package testenv

import (
	"bytes"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// MailSink is an SMTP server (RFC 5321) that takes every message and keeps it. It knows the
// commands of a client without TLS and without a login.
type MailSink struct {
	Address string // host:port

	mu       sync.Mutex
	received []Mail
}

// Mail is a message that a MailSink has taken.
type Mail struct {
	From string
	To   []string
	// Header and Body are what came after DATA.
	Header mail.Header
	Body   []byte
}

// StartMailSink returns a sink that listens on a free port of 127.0.0.1 until the test ends.
func StartMailSink(t testing.TB) *MailSink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := &MailSink{Address: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// Received returns the messages so far, in order of arrival.
func (s *MailSink) Received() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.received...)
}

// serve holds one conversation. Whatever is not understood is refused.
func (s *MailSink) serve(conn net.Conn) {
	text := textproto.NewConn(conn)
	defer func() { _ = text.Close() }()
	_ = text.PrintfLine("220 sink.test ESMTP")
	var m Mail
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		switch command, argument, _ := strings.Cut(line, ":"); strings.ToUpper(command) {
		case "MAIL FROM":
			m = Mail{From: address(argument)}
			_ = text.PrintfLine("250 ok")
		case "RCPT TO":
			m.To = append(m.To, address(argument))
			_ = text.PrintfLine("250 ok")
		case "DATA":
			s.data(text, m)
		case "QUIT":
			_ = text.PrintfLine("221 bye")
			return
		default:
			if !strings.HasPrefix(line, "EHLO ") && !strings.HasPrefix(line, "HELO ") {
				_ = text.PrintfLine("502 not understood: %q", line)
				continue
			}
			_ = text.PrintfLine("250 sink.test")
		}
	}
}

func (s *MailSink) data(text *textproto.Conn, m Mail) {
	_ = text.PrintfLine("354 end with a dot")
	content, err := text.ReadDotBytes()
	if err != nil {
		return
	}
	parsed, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		_ = text.PrintfLine("554 %v", err)
		return
	}
	var body bytes.Buffer
	_, _ = body.ReadFrom(parsed.Body)
	m.Header, m.Body = parsed.Header, body.Bytes()
	s.mu.Lock()
	s.received = append(s.received, m)
	s.mu.Unlock()
	_ = text.PrintfLine("250 taken")
}

// address is what stands between the angle brackets of an envelope.
func address(argument string) string {
	_, rest, _ := strings.Cut(argument, "<")
	found, _, _ := strings.Cut(rest, ">")
	return found
}
