package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestSlowClients opens connections that never finish their request: others are served meanwhile,
// and the slow ones are cut off.
func TestSlowClients(t *testing.T) {
	const slow = 2000
	_, url := begin(t, room(t))
	answers(t, url+"/metrics", "thermometer")
	var open []net.Conn
	for range slow {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	answers(t, url+"/metrics", "thermometer")
	for _, conn := range open {
		if err := conn.SetReadDeadline(time.Now().Add(2 * hang)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && os.IsTimeout(err) {
			t.Fatal("a slow client is not cut off")
		}
	}
}

// TestFlood asks for /metrics 10,000 times at once. Each request is answered, with the metrics or
// with 503, and the exporter serves on. On a busy machine a few requests take so long from
// connecting until they are read, on either side, that they are cut off as slow ones.
func TestFlood(t *testing.T) {
	const (
		many    = 10_000
		patient = 4 * time.Second // the exporter waits 5 s for a request
		cut     = "cut off"
	)
	p, url := begin(t, room(t))
	answers(t, url+"/metrics", "thermometer")
	begun := time.Now()
	var (
		group    errgroup.Group
		mu       sync.Mutex
		statuses = map[string]int{}
		start    = make(chan struct{})
	)
	for range many {
		group.Go(func() error {
			<-start
			connecting := time.Now()
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
				return err
			}
			// HTTP/1.0 has no connection that stays.
			_, err = io.WriteString(conn, "GET /metrics HTTP/1.0\r\n\r\n")
			answer, readErr := io.ReadAll(conn)
			status, _, _ := strings.Cut(string(answer), "\r\n")
			if err := cmp.Or(err, readErr); err != nil || status == "" {
				if waited := time.Since(connecting); waited < patient || os.IsTimeout(err) {
					return fmt.Errorf("no answer in %s: %w", waited, cmp.Or(err, io.EOF))
				}
				status = cut
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
			return nil
		})
	}
	close(start)
	if err := group.Wait(); err != nil {
		t.Fatalf("%v; answered so far: %v", err, statuses)
	}
	took := time.Since(begun)
	served, refused := statuses["HTTP/1.0 200 OK"], statuses["HTTP/1.0 503 Service Unavailable"]
	if served == 0 || served+refused+statuses[cut] != many || statuses[cut] > many/100 {
		t.Errorf("answers: %v", statuses)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(status)) {
		if strings.HasPrefix(text, "VmHWM") {
			t.Logf("%v in %s, at most %s of memory", statuses, took.Round(time.Millisecond), strings.Join(strings.Fields(text)[1:], " "))
		}
	}
	answers(t, url+"/metrics", "thermometer")
}
