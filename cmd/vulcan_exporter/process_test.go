package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// hang is a limit that only a fault reaches.
const hang = 40 * time.Second

// begin starts the exporter over a thermometer that reads file, and returns
// it and its address.
func begin(t *testing.T, file string, environment ...string) (*testenv.Process, string) {
	t.Helper()
	return launch(t, configure(t, file), environment...)
}

// configure writes a configuration of a thermometer and returns its path.
func configure(t *testing.T, file string) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "vulcan.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "thermometer: {file: %s}\n", file), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

func launch(t *testing.T, config string, environment ...string) (*testenv.Process, string) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	cmd := exec.Command("vulcan_exporter", "--config.file="+config, "--storage.path="+t.TempDir()+"/state", "--web.listen-address="+address)
	cmd.Env = append(os.Environ(), environment...)
	p := testenv.Start(t, cmd)
	return p, "http://" + address
}

func answers(t *testing.T, url, pattern string) {
	t.Helper()
	testenv.Eventually(t, hang, func() error {
		_, err := client{method: "GET", status: 200}.ask(url, pattern)
		return err
	})
}

func room(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "room.txt")
	if err := os.WriteFile(file, []byte("21.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNotify listens where systemd would, sd_notify(3).
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	p, url := begin(t, room(t), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=500000")
	next := func(want string) string {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(hang)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := socket.Read(buf)
		if err != nil {
			t.Fatalf("no %s: %v", want, err)
		}
		message := string(buf[:n])
		if want != "" && !strings.HasPrefix(message, want) {
			t.Fatalf("told systemd %q, want %s", message, want)
		}
		return message
	}
	// skip passes by the watchdog's messages, which come at any time.
	skip := func(want string) string {
		t.Helper()
		for {
			if message := next(""); !strings.HasPrefix(message, "WATCHDOG=1") {
				if !strings.HasPrefix(message, want) {
					t.Fatalf("told systemd %q, want %s", message, want)
				}
				return message
			}
		}
	}
	if ready := next("READY=1"); !strings.Contains(ready, "\nSTATUS=1 sources, 0 failing") {
		t.Errorf("ready with %q", ready)
	}
	answers(t, url+"/-/healthy", "healthy") // READY came when it could be reached
	for range 3 {
		next("WATCHDOG=1")
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if message := skip("RELOADING=1"); !strings.Contains(message, "\nMONOTONIC_USEC=") {
		t.Errorf("reloads with %q; Type=notify-reload needs MONOTONIC_USEC", message)
	}
	skip("READY=1")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	skip("STOPPING=1")
	if err := p.Wait(t, hang); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

// TestDrain: a scrape that is under way when the exporter is told to end is
// answered.
func TestDrain(t *testing.T) {
	path := fifo(t)
	p, url := begin(t, path)
	answers(t, url+"/-/healthy", "healthy")
	scraped := make(chan error, 1)
	go func() {
		_, err := client{method: "GET", status: 200}.ask(url+"/metrics", `^thermometer_celsius\{source="default"\} 18$`)
		scraped <- err
	}()
	// The write end opens once the run that the scrape waits for has the read end.
	var w *os.File
	testenv.Eventually(t, hang, func() (err error) {
		w, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err
	})
	defer w.Close()
	testenv.Eventually(t, hang, func() error { return underway(url) })
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, hang, func() error { // the listener closes first
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			conn.Close()
			return errors.New("still accepts connections")
		}
		return nil
	})
	if _, err := w.WriteString("18\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-scraped; err != nil {
		t.Errorf("the scrape under way: %v", err)
	}
	if err := p.Wait(t, hang); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

// underway is nil once another request for /metrics is seen by the source: a
// page with a short budget would join its run, so the connection table tells.
func underway(url string) error {
	var port int
	if _, err := fmt.Sscanf(url, "http://127.0.0.1:%d", &port); err != nil {
		return err
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return err
	}
	const established = " 01 "
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, fmt.Sprintf("0100007F:%04X 0100007F:", port)) && strings.Contains(line, established) {
			return nil
		}
	}
	return errors.New("no connection")
}

// TestDrainIsBounded: a source that hangs in the kernel does not keep the
// process: it ends, well, about five seconds after it was told to.
func TestDrainIsBounded(t *testing.T) {
	p, url := begin(t, fifo(t)) // nobody ever opens the other end
	answers(t, url+"/-/healthy", "healthy")
	scraped := make(chan error, 1)
	go func() {
		_, err := client{method: "GET", status: 200}.ask(url+"/metrics", "")
		scraped <- err
	}()
	testenv.Eventually(t, hang, func() error { return underway(url) })
	begun := time.Now()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t, hang); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("ended %s after SIGTERM", took)
	}
	<-scraped
}

// TestReloadHangs: a configuration that cannot be read to its end keeps neither
// the pages nor the end of the process.
func TestReloadHangs(t *testing.T) {
	config := configure(t, room(t))
	p, url := launch(t, config)
	answers(t, url+"/metrics", "thermometer")
	if err := os.Rename(fifo(t), config); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	// The write end opens once the reload has the read end.
	testenv.Eventually(t, hang, func() error {
		w, err := os.OpenFile(config, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			t.Cleanup(func() { w.Close() })
		}
		return err
	})
	answers(t, url+"/", "thermometer")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t, hang); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

// TestSocketActivation: systemd holds the socket and starts the exporter for
// the first connection, which is served.
func TestSocketActivation(t *testing.T) {
	testenv.Need(t, "systemd-socket-activate")
	config := configure(t, room(t))
	exporter, err := exec.LookPath("vulcan_exporter")
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := testenv.Start(t, exec.Command("systemd-socket-activate", "--listen="+address,
		exporter, "--web.systemd-socket", "--config.file="+config, "--storage.path="+t.TempDir()))
	answers(t, "http://"+address+"/metrics", `^thermometer_celsius\{source="default"\} 21.5$`)
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t, hang); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}
