package dnsquery

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	fake "vulcan.lan/vulcan_exporter/internal/testenv/technitiumtest"
)

// serveRows in the environment makes the test binary a server with that many rows, and a Loki that
// throws away what it is given: so neither's cost is taken for the exporter's.
const serveRows = "DNSQUERY_TEST_SERVE_ROWS"

func TestMain(m *testing.M) {
	if rows, err := strconv.Atoi(os.Getenv(serveRows)); err == nil {
		serve(rows)
		return
	}
	os.Exit(m.Run())
}

func serve(rows int) {
	server := fake.New(fake.Options{})
	at := time.Now().Add(-5 * time.Minute)
	for i := range rows {
		server.Insert(fake.Row{
			Time: at.Add(time.Duration(i) * time.Microsecond * 100), Client: fmt.Sprint("192.0.2.", i%50), Protocol: "Udp",
			ResponseType: []string{"Recursive", "Cached", "Cached", "Blocked"}[i%4], RCode: []string{"NoError", "NoError", "NxDomain"}[i%3],
			QName: fmt.Sprintf("name%d.example.com", i), QType: []string{"A", "AAAA", "HTTPS"}[i%3], QClass: "IN", Answer: "A 198.51.100.7, A 198.51.100.8", RTT: 12.5,
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/", server)
	mux.HandleFunc("/loki/api/v1/push", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = http.Serve(l, mux) }()
	fmt.Println("http://" + l.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent ends
}

// child starts such a server and gives its URL.
func child(t testing.TB, rows int) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveRows+"="+strconv.Itoa(rows))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(url)
}
