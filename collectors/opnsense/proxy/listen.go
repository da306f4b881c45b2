package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ListenTLS makes the listener speak TLS. The files are read anew for each
// connection.
type ListenTLS struct {
	CertFile, KeyFile string
	// ClientCAFile, where given, is what client certificates must come from.
	ClientCAFile string
}

// Server is the listener of a Proxy.
type Server struct {
	Address string
	TLS     *ListenTLS // nil for plain HTTP
	Proxy   *Proxy
	Logger  *slog.Logger

	listening atomic.Bool
	bound     atomic.Pointer[net.TCPAddr]
}

const (
	headerTimeout = 5 * time.Second  // for a client to send its header
	bodyTimeout   = 10 * time.Second // and its body
	idleTimeout   = 60 * time.Second
	drainTimeout  = 5 * time.Second
	maxClients    = 256 // connections
	maxPerClient  = 64  // connections from one address
)

// Listening tells whether the address is bound.
func (s *Server) Listening() bool { return s.listening.Load() }

// Addr is the bound address, nil before the first time.
func (s *Server) Addr() *net.TCPAddr { return s.bound.Load() }

// Run serves until ctx ends. An address that does not exist yet, as that of a
// container bridge after a boot, or that is in use, is tried again.
func (s *Server) Run(ctx context.Context) error {
	listener, err := s.listen(ctx)
	if err != nil {
		return err
	}
	defer s.listening.Store(false)
	s.listening.Store(true)
	if addr, ok := listener.Addr().(*net.TCPAddr); ok {
		s.bound.Store(addr)
	}
	server := &http.Server{
		Handler:           s.Proxy,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      bodyTimeout + s.Proxy.options.Timeout + drainTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          silent(),
		ConnContext:       withConn,
	}
	bounded := net.Listener(&bounded{Listener: listener, stats: s.Proxy.stats, clients: map[string]int{}})
	if s.TLS != nil {
		bounded = tls.NewListener(bounded, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: s.TLS.config})
	}
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		if server.Shutdown(drain) != nil {
			_ = server.Close()
		}
	})
	defer stop()
	err = server.Serve(bounded)
	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		// Serve returns when the shutdown begins; Run when it has ended.
		drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			return server.Close()
		}
		return nil
	}
	return err
}

func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	const first, most = 200 * time.Millisecond, 5 * time.Second
	waiting := false
	for delay := first; ; delay = min(2*delay, most) {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Address)
		if err == nil {
			s.Logger.Info("listening", "address", s.Address, "tls", s.TLS != nil)
			return listener, nil
		}
		if !waiting {
			s.Logger.Warn("cannot listen yet; trying again", "address", s.Address, "err", err)
			waiting = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(delay):
		}
	}
}

// config reads the files.
func (t *ListenTLS) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	if t.ClientCAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, err
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", t.ClientCAFile)
	}
	return config, nil
}

// bounded closes connections beyond the limits at once.
type bounded struct {
	net.Listener
	stats   *Stats
	mu      sync.Mutex
	total   int
	clients map[string]int
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		if b.admit(host) {
			return &conn{Conn: c, release: func() { b.leave(host) }, stats: b.stats}, nil
		}
		b.stats.refused[RefusedConnection].Add(1)
		_ = c.Close()
	}
}

func (b *bounded) admit(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total >= maxClients || b.clients[host] >= maxPerClient {
		return false
	}
	b.total++
	b.clients[host]++
	return true
}

func (b *bounded) leave(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.clients[host]--; b.clients[host] == 0 {
		delete(b.clients, host)
	}
}

// conn counts one that closes without ever having held a request: a header
// that did not arrive in time, or none that net/http would read.
type conn struct {
	net.Conn
	release func()
	stats   *Stats
	served  atomic.Bool
	once    sync.Once
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.release()
		if !c.served.Load() {
			c.stats.refused[RefusedIncomplete].Add(1)
		}
	})
	return c.Conn.Close()
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// served notes that the request's connection held a request.
func served(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.served.Store(true)
	}
}
