package testenv

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Gate is a TCP relay on a port of its own of 127.0.0.1 that can make what is behind it hang.
type Gate struct {
	Port int

	target   int
	limit    atomic.Int64 // of bytes from the target, for each connection; 0: none
	listener net.Listener
	work     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// StartGate relays to a port of 127.0.0.1.
func StartGate(t testing.TB, target int) *Gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{Port: listener.Addr().(*net.TCPAddr).Port, target: target, listener: listener}
	g.work.Go(g.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		g.mu.Lock()
		for _, conn := range g.conns {
			_ = conn.Close()
		}
		g.mu.Unlock()
		g.work.Wait()
	})
	return g
}

// StallAfter lets each new connection hang once it has answered so many bytes; 0 lets all pass.
func (g *Gate) StallAfter(bytes int64) { g.limit.Store(bytes) }

func (g *Gate) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.target))
		if err != nil {
			_ = client.Close()
			continue
		}
		g.mu.Lock()
		g.conns = append(g.conns, client, server)
		g.mu.Unlock()
		limit := g.limit.Load()
		g.work.Go(func() { relay(server, client, 0) })
		g.work.Go(func() { relay(client, server, limit) })
	}
}

// relay closes both sides at the end of one, but leaves both open at the limit.
func relay(to, from net.Conn, limit int64) {
	if limit > 0 {
		if _, err := io.CopyN(to, from, limit); err == nil {
			return
		}
	} else {
		_, _ = io.Copy(to, from)
	}
	_ = to.Close()
	_ = from.Close()
}
