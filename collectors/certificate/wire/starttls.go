package wire

import (
	"errors"
	"fmt"
	"io"

	"strings"
)

// Protocols are those that can begin in plain text.
func Protocols() []string { return []string{"smtp", "imap", "pop3", "postgres"} }

// startTLS brings a connection to where the TLS handshake begins. It never reads beyond the
// server's go-ahead: what follows belongs to TLS.
func startTLS(conn io.ReadWriter, protocol string) error {
	switch protocol {
	case "":
		return nil
	case "smtp":
		return smtp(conn)
	case "imap":
		return imap(conn)
	case "pop3":
		return pop3(conn)
	case "postgres":
		return postgres(conn)
	}
	return fmt.Errorf("unknown protocol %q", protocol)
}

// smtp speaks, with S the server:
//
//	S: 220-mail.example.org ESMTP
//	S: 220 ready
//	C: EHLO vulcan-exporter.invalid
//	S: 250-mail.example.org
//	S: 250 STARTTLS
//	C: STARTTLS
//	S: 220 2.0.0 Ready to start TLS
func smtp(conn io.ReadWriter) error {
	if err := smtpReply(conn, "220"); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "EHLO vulcan-exporter.invalid\r\n"); err != nil {
		return err
	}
	if err := smtpReply(conn, "250"); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "STARTTLS\r\n"); err != nil {
		return err
	}
	return smtpReply(conn, "220")
}

func smtpReply(conn io.Reader, code string) error {
	for range maxLines {
		line, err := readLine(conn)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, code) {
			return unexpected(code, line)
		}
		if len(line) == len(code) || line[len(code)] != '-' {
			return nil
		}
	}
	return errors.New("reply without end")
}

// imap speaks: S: * OK ready, C: a STARTTLS, S: a OK begin.
func imap(conn io.ReadWriter) error {
	line, err := readLine(conn)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "* OK") {
		return unexpected("* OK", line)
	}
	if _, err := io.WriteString(conn, "a STARTTLS\r\n"); err != nil {
		return err
	}
	for range maxLines {
		if line, err = readLine(conn); err != nil {
			return err
		}
		if strings.HasPrefix(line, "a OK") {
			return nil
		}
		if !strings.HasPrefix(line, "* ") {
			return unexpected("a OK", line)
		}
	}
	return errors.New("reply without end")
}

// pop3 speaks: S: +OK ready, C: STLS, S: +OK begin.
func pop3(conn io.ReadWriter) error {
	for _, command := range []string{"", "STLS\r\n"} {
		if _, err := io.WriteString(conn, command); err != nil {
			return err
		}
		line, err := readLine(conn)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, "+OK") {
			return unexpected("+OK", line)
		}
	}
	return nil
}

// postgres sends an SSLRequest (length 8, code 80877103) and expects the one byte S; N is a
// server without TLS.
func postgres(conn io.ReadWriter) error {
	if _, err := conn.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return unexpected("S", string(answer[:]))
	}
	return nil
}

const (
	maxLine  = 2048
	maxLines = 200
)

// readLine reads byte by byte up to the line end, so that nothing behind it is taken.
func readLine(conn io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < maxLine {
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
	return "", errors.New("line without end")
}

func unexpected(want, got string) error {
	const enough = 80
	if len(got) > enough {
		got = got[:enough]
	}
	return fmt.Errorf("expected %q, the server said %q", want, got)
}
