package alertmanager

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// message is a mail as its reader sees it.
type message struct {
	from, to, subject, text, html string
}

// read decodes a mail and fails unless it has exactly the two parts.
func read(t *testing.T, m testenv.Mail) message {
	t.Helper()
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	got := message{from: m.From, to: strings.Join(m.To, ","), subject: subject}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q, %v", kind, err)
	}
	for parts := multipart.NewReader(bytes.NewReader(m.Body), params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		switch kind := part.Header.Get("Content-Type"); kind {
		case "text/plain; charset=UTF-8":
			got.text += string(content)
		case "text/html; charset=UTF-8":
			got.html += string(content)
		default:
			t.Fatalf("a part of type %q", kind)
		}
	}
}

// waitMail returns the first mail whose subject is that.
func (r *running) waitMail(subject string) message {
	r.t.Helper()
	var found message
	testenv.Eventually(r.t, limit, func() error {
		var subjects []string
		for _, m := range r.mail.Received() {
			if found = read(r.t, m); found.subject == subject {
				return nil
			}
			subjects = append(subjects, found.subject)
		}
		return fmt.Errorf("no mail %q among %q", subject, subjects)
	})
	return found
}

func contains(t *testing.T, where, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s has no %q:\n%s", where, w, text)
		}
	}
}

// TestDelivery follows alerts of each severity to the end of their way.
func TestDelivery(t *testing.T) {
	t.Parallel()
	r := start(t)
	runbook := "https://vulcan.lan/vulcan_exporter/alerts/runbooks/ZFSPoolDegraded.md"
	pool := firing("ZFSPoolDegraded", map[string]string{
		"severity": "critical", "condition": "zfs_pool_state", "instance": "vulcan", "pool": "tank",
	})
	pool.Annotations = map[string]string{
		"summary": "Pool tank on vulcan is <DEGRADED> – ünwell", "description": "A disk & its friend.", "runbook_url": runbook,
	}
	bare := firing("SomebodyElses", map[string]string{"instance": "x"})
	first := firing("SystemdServiceFailed", map[string]string{"severity": "warning", "instance": "a", "name": "a.service"})
	second := firing("SystemdServiceFailed", map[string]string{"severity": "warning", "instance": "b", "name": "b.service"})
	r.send(pool, bare, first, second,
		firing("CollectorSeriesDropped", map[string]string{"severity": "info", "instance": "a"}),
		firing("Watchdog", map[string]string{"severity": "info"}))

	mail := r.waitMail("[critical] Pool tank on vulcan is <DEGRADED> – ünwell")
	if mail.from != "alertmanager@vulcan.lan" || mail.to != "root@vulcan.lan" {
		t.Errorf("from %q to %q", mail.from, mail.to)
	}
	contains(t, "text", mail.text, "FIRING (1)", "* Pool tank on vulcan is <DEGRADED> – ünwell\n", "A disk & its friend.",
		"since "+pool.StartsAt.UTC().Format("2006-01-02 15:04 MST"), "pool=tank ", "Runbook: "+runbook)
	contains(t, "html", mail.html, "&lt;DEGRADED&gt; – ünwell</b>", "A disk &amp; its friend.", "pool=tank ", `<a href="`+runbook+`">`, "#c62828")
	if strings.Contains(mail.html, "<DEGRADED>") {
		t.Error("an annotation is HTML")
	}
	contains(t, "text", r.waitMail("[alert] SomebodyElses").text, "* SomebodyElses\n", "instance=x ")
	contains(t, "text", r.waitMail("[warning] SystemdServiceFailed: 2 firing, 0 resolved").text, "name=a.service ", "name=b.service ")

	pool.EndsAt = time.Now()
	r.send(pool)
	ended := r.waitMail("[resolved] Pool tank on vulcan is <DEGRADED> – ünwell")
	contains(t, "text", ended.text, "RESOLVED (1)", ", ended "+pool.EndsAt.UTC().Format("2006-01-02 15:04 MST"))
	contains(t, "html", ended.html, "Resolved (1)", "#2e7d32")
	if strings.Contains(ended.text, "FIRING") {
		t.Errorf("a mail that says both:\n%s", ended.text)
	}
	testenv.Eventually(t, limit, func() error {
		if page := r.pager.received(); !slices.Contains(page, "ZFSPoolDegraded resolved") {
			return fmt.Errorf("paged: %q", page)
		}
		if beats := r.watchdog.received(); len(beats) < 3 {
			return fmt.Errorf("the dead man's switch was reset %d times", len(beats))
		}
		return nil
	})
	r.nothingElse(t)
}

// nothingElse fails when a message went a way that is not its own.
func (r *running) nothingElse(t *testing.T) {
	t.Helper()
	for _, name := range r.pager.received() {
		if !strings.HasPrefix(name, "ZFSPoolDegraded ") {
			t.Errorf("paged: %s", name)
		}
	}
	for _, name := range r.watchdog.received() {
		if name != "Watchdog firing" {
			t.Errorf("at the dead man's switch: %s", name)
		}
	}
	for _, m := range r.mail.Received() {
		if mail := read(t, m); strings.Contains(mail.text, "Watchdog") || strings.Contains(mail.text, "CollectorSeriesDropped") {
			t.Errorf("mailed:\n%s", mail.text)
		}
	}
}
