package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// No way of printing shows a secret.
func TestSecretIsRedacted(t *testing.T) {
	const canary = "hunter2"
	s := NewSecret(canary)
	holder := struct{ S Secret }{s}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "holder", holder)
	j, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(j) + string(y)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all += fmt.Sprintf(verb+verb+verb, s, &s, holder)
	}
	if strings.Contains(all, canary) || strings.Contains(all, fmt.Sprintf("%x", canary)) {
		t.Errorf("the secret shows in %s", all)
	}
	if s.Reveal() != canary {
		t.Error("Reveal does not reveal")
	}
}

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if _, err := SecretFile(path).Read(); err == nil {
		t.Error("a missing file is no error")
	}
	for content, want := range map[string]string{"one\n": "one", "two\r\n\n": "two", " kept ": " kept "} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := SecretFile(path).Read(); err != nil || s.Reveal() != want {
			t.Errorf("%q reads %q, %v", content, s.Reveal(), err)
		}
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SecretFile(path).Read(); err == nil {
		t.Error("an empty file is no error")
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"30s": 30 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "0s": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%s: %s, %v", text, d.Std(), err)
		}
	}
	for _, text := range []string{"", "1", "-1s", "1.5h", "1h ", "soon", "999999999999y"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %s", text, d)
		}
	}
}

func TestRegexpIsAnchored(t *testing.T) {
	var r Regexp
	if r.Matches("") {
		t.Error("an unset expression matches")
	}
	if err := r.UnmarshalText([]byte("a|b")); err != nil {
		t.Fatal(err)
	}
	if !r.Matches("a") || r.Matches("ab") || r.Matches("xb") {
		t.Error("not anchored at both ends")
	}
	if err := new(Regexp).UnmarshalText([]byte("a)|(b")); err == nil {
		t.Error("what is an expression only between brackets is taken")
	}
	if text, err := r.MarshalText(); err != nil || string(text) != "a|b" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestLocate(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte("a:\n  - b: {c: 1}\n  - b: {c: 2}\n"), &doc); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a[1].b.c": "3:12", "a[1].b.missing": "3:8", "a[7]": "2:3", "": "1:1"} {
		n := Locate(doc.Content[0], path)
		if got := fmt.Sprintf("%d:%d", n.Line, n.Column); got != want {
			t.Errorf("%q is at %s, want %s", path, got, want)
		}
	}
}
