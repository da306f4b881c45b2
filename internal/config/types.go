package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Duration is a time span in Prometheus' notation: 30s, 5m, 1h30m, 7d.
type Duration time.Duration

// UnmarshalText reads the notation of
// https://prometheus.io/docs/prometheus/latest/configuration/configuration/
// (<duration>); a span is never negative.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := model.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("expected a duration such as 30s, 5m or 1h30m, found %q", text)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText gives the notation that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string { return model.Duration(d).String() }

// Std is the span as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Regexp is an RE2 expression that must match the whole text.
type Regexp struct{ *regexp.Regexp }

// UnmarshalText compiles the expression, anchored at both ends.
func (r *Regexp) UnmarshalText(text []byte) error {
	_, err := regexp.Compile(string(text)) // alone: a)|(b is none, and would not be anchored
	compiled, anchored := regexp.Compile("^(?:" + string(text) + ")$")
	if err = cmp.Or(err, anchored); err != nil {
		return fmt.Errorf("expected a regular expression: %w", err)
	}
	r.Regexp = compiled
	return nil
}

// MarshalText gives the expression as it was written.
func (r Regexp) MarshalText() ([]byte, error) {
	if r.Regexp == nil {
		return nil, nil
	}
	s := r.String()
	return []byte(s[len("^(?:") : len(s)-len(")$")]), nil
}

// Matches reports whether the expression is set and matches all of s.
func (r Regexp) Matches(s string) bool { return r.Regexp != nil && r.MatchString(s) }

// Secret is text that prints as "<redacted>" in every form. Reveal is the one
// way to its value.
type Secret struct{ value string }

const redacted = "<redacted>"

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal gives the value, for the protocol that needs it.
func (s Secret) Reveal() string { return s.value }

// Redact takes the value out of a text that somebody else has written, such as the answer of a
// server that repeats what it was sent. A text is to be redacted before it is cut.
func (s Secret) Redact(text string) string {
	if s.value == "" {
		return text
	}
	return strings.ReplaceAll(text, s.value, redacted)
}

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SecretFile is the path of a file that holds a secret. The secret is read
// anew at each use, so a rotated file needs no reload.
type SecretFile string

const maxSecret = 64 << 10

// Read returns the file's content without line ends at its end. An empty file
// is an error: it is a secret that was not written yet.
func (f SecretFile) Read() (Secret, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return Secret{}, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxSecret))
	if err != nil {
		return Secret{}, err
	}
	content = bytes.TrimRight(content, "\r\n")
	if len(content) == 0 {
		return Secret{}, fmt.Errorf("%s is empty", f)
	}
	return Secret{string(content)}, nil
}
