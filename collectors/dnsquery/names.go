package dnsquery

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collector"
)

// names knows what clients are called: from a file, and by reverse lookups that nobody waits for.
type names struct {
	cfg      Names
	now      func() time.Time
	log      collector.Transitions // used by Run's goroutine only
	resolver *net.Resolver
	asked    chan string

	mu       sync.Mutex
	begun    bool // the file was looked at
	file     map[string]string
	modified time.Time
	looked   map[string]found
}

// found is the result of a lookup; the name is "" where there is none.
type found struct {
	name  string
	until time.Time // zero while it is being looked up
}

const (
	maxNames       = 4096
	nameTTL        = time.Hour
	noNameTTL      = 10 * time.Minute
	lookupTimeout  = 5 * time.Second
	fileCheckEvery = 10 * time.Second
)

func newNames(cfg Names, now func() time.Time, logger *slog.Logger) *names {
	n := &names{cfg: cfg, now: now, log: collector.Transitions{Logger: logger}, asked: make(chan string, 256), looked: map[string]found{}}
	if cfg.Resolver != "" {
		n.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, cfg.Resolver) // whatever resolv.conf says
		}}
	}
	return n
}

// of gives the name of a client if it is known, and has it looked up for later if not.
func (n *names) of(client string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name := n.file[client]; name != "" {
		return name
	}
	if n.resolver == nil || !n.begun {
		return ""
	}
	f, ok := n.looked[client]
	if ok && (f.until.IsZero() || n.now().Before(f.until)) {
		return f.name
	}
	if len(n.looked) >= maxNames && !ok {
		n.forget()
	}
	client = strings.Clone(client)
	select {
	case n.asked <- client:
		n.looked[client] = found{name: f.name} // the old one until there is a new one
	default: // enough to do
	}
	return f.name
}

// forget makes room: what is out of date, or else everything that is not being looked up.
func (n *names) forget() {
	now := n.now()
	maps.DeleteFunc(n.looked, func(_ string, f found) bool { return !f.until.IsZero() && now.After(f.until) })
	if len(n.looked) >= maxNames {
		maps.DeleteFunc(n.looked, func(_ string, f found) bool { return !f.until.IsZero() })
	}
}

// Run reads the file when it changes and looks names up.
func (n *names) Run(ctx context.Context) error {
	ticker := time.NewTicker(fileCheckEvery)
	defer ticker.Stop()
	for {
		n.log.Note("names file", n.read(), "")
		n.mu.Lock()
		n.begun = true
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case client := <-n.asked:
			n.lookup(ctx, client)
		case <-ticker.C:
		}
	}
}

func (n *names) lookup(ctx context.Context, client string) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	all, err := n.resolver.LookupAddr(ctx, client)
	f := found{until: n.now().Add(noNameTTL)}
	if err == nil && len(all) > 0 {
		f = found{strings.TrimSuffix(all[0], "."), n.now().Add(nameTTL)}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.looked[client] = f
}

// read reads the file if it is another than before.
func (n *names) read() error {
	if n.cfg.File == "" {
		return nil
	}
	info, err := os.Stat(n.cfg.File)
	if err != nil || info.ModTime().Equal(n.modified) {
		return err
	}
	content, err := os.ReadFile(n.cfg.File)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.file, n.modified = parseHosts(string(content)), info.ModTime()
	return nil
}

// parseHosts reads hosts(5): an address and names a line, of which the first counts.
//
//	192.0.2.7  printer.lan printer  # in the hall
func parseHosts(content string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(content) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if addr, err := netip.ParseAddr(fields[0]); err == nil && out[addr.String()] == "" {
			out[addr.String()] = fields[1]
		}
	}
	return out
}
