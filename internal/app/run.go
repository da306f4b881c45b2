package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/coreos/go-systemd/v22/activation"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"vulcan.lan/vulcan_exporter/internal/runner"
	"vulcan.lan/vulcan_exporter/internal/server"
	"vulcan.lan/vulcan_exporter/internal/state"
)

// drain is how long a shutdown waits for requests and for running sources.
const drain = 5 * time.Second

type webFlags struct {
	addresses  []string
	socket     bool
	configFile string
	lifecycle  bool
	pprof      bool
}

func (f *webFlags) add(cli *kingpin.Application) {
	cli.Flag("web.listen-address", "Address to listen on; may be repeated.").Default("127.0.0.1:9847").StringsVar(&f.addresses)
	cli.Flag("web.systemd-socket", "Use the sockets that systemd passes instead of listen addresses.").BoolVar(&f.socket)
	cli.Flag("web.config.file", "TLS and authentication, as https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md describes.").StringVar(&f.configFile)
	cli.Flag("web.enable-lifecycle", "Allow POST /-/reload.").BoolVar(&f.lifecycle)
	cli.Flag("web.enable-pprof", "Serve /debug/pprof.").BoolVar(&f.pprof)
}

func (f *webFlags) listen() ([]net.Listener, error) {
	if f.socket {
		return activated()
	}
	var listeners []net.Listener
	for _, address := range f.addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// activated are the stream sockets that systemd passes, sd_listen_fds(3).
func activated() ([]net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	// Sockets of other types leave gaps.
	listeners := slices.DeleteFunc(passed, func(l net.Listener) bool { return l == nil })
	if len(listeners) == 0 {
		return nil, errors.New("--web.systemd-socket: systemd passed no stream sockets")
	}
	return listeners, nil
}

// scheme is how clients speak to the listeners.
func (f *webFlags) scheme() string {
	var file struct {
		TLS yaml.Node `yaml:"tls_server_config"`
	}
	content, err := os.ReadFile(f.configFile)
	if err == nil && yaml.Unmarshal(content, &file) == nil && !file.TLS.IsZero() {
		return "https"
	}
	return "http"
}

// run is the exporter until ctx ends.
func (a *App) run(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // a guest on its host: less memory for a little more time
	}
	logger := newLogger(a.Stderr, a.logLevel, a.logFormat)
	sources, err := a.load()
	if err != nil {
		return err
	}
	if err := web.Validate(a.web.configFile); err != nil {
		return fmt.Errorf("%s: %w", a.web.configFile, err)
	}
	dir := state.Open(a.storagePath, logger)
	if err := dir.Err(); err != nil {
		logger.Warn("state is kept in memory only", "path", a.storagePath, "err", err)
	}
	guard(logger, a.configFile, a.web.configFile, a.storagePath)
	listeners, err := a.web.listen()
	if err != nil {
		return err
	}
	deps := a.deps(logger, dir)
	defer deps.Systemd.Close()
	manager := runner.New(deps)
	manager.Apply(sources)
	re := &reloader{app: a, logger: logger, manager: manager}
	answers, err := a.server(logger, manager, re)
	if err != nil {
		return err
	}
	served := make(chan error, len(listeners))
	servers := make([]*http.Server, len(listeners))
	for i, l := range listeners {
		srv := answers.HTTP() // each its own: the toolkit's Serve writes to it
		servers[i] = srv
		go func() { served <- web.Serve(l, srv, &web.FlagConfig{WebConfigFile: &a.web.configFile}, logger) }()
		logger.Info("listening", "version", version.Version, "url", fmt.Sprintf("%s://%s/", a.web.scheme(), l.Addr()))
	}
	err = a.wait(ctx, logger, manager, re, served)
	return errors.Join(err, stop(servers, manager))
}

// guard warns of what others may write: a configuration names programs to run,
// and state is believed.
func guard(logger *slog.Logger, paths ...string) {
	const others = 0o022
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&others != 0 {
			logger.Warn("others than its owner may write this", "path", path, "mode", info.Mode())
		}
	}
}

func (a *App) server(logger *slog.Logger, manager *runner.Manager, re *reloader) (*server.Server, error) {
	names := make([]string, len(a.Definitions))
	for i, d := range a.Definitions {
		names[i] = d.Name
	}
	return server.New(server.Options{
		Logger: logger, Manager: manager, Collectors: names,
		Reload: re.reload, ReloadError: re.lastError,
		Lifecycle: a.web.lifecycle, Pprof: a.web.pprof,
		ConfigFile: absolute(a.configFile), StoragePath: absolute(a.storagePath),
	})
}

// wait serves signals and the service manager until ctx or the server ends.
func (a *App) wait(ctx context.Context, logger *slog.Logger, manager *runner.Manager, re *reloader, served <-chan error) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer close(hup)
	defer signal.Stop(hup)
	n := newNotifier(logger, manager)
	n.ready()
	go func() { // reading files can hang, and the watchdog and the end must not wait for it
		for range hup {
			n.reloading()
			_ = re.reload() // logged and shown there
			n.ready()
		}
	}()
	ticker := time.NewTicker(n.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			n.alive()
		case err := <-served:
			return err
		case <-ctx.Done():
			n.stopping()
			return nil
		}
	}
}

// stop lets requests in flight be answered and sources end. A request that
// waits for a source, as a debug page does, is answered when that has ended.
func stop(servers []*http.Server, manager *runner.Manager) error {
	const usual = 3 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	errs := make([]error, len(servers)+1)
	var requests sync.WaitGroup
	for i, srv := range servers {
		requests.Go(func() {
			if errs[i] = srv.Shutdown(ctx); errors.Is(errs[i], context.DeadlineExceeded) {
				errs[i] = srv.Close()
			}
		})
	}
	answered := make(chan struct{})
	go func() { requests.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-time.After(usual):
	}
	if err := manager.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		errs[len(servers)] = err
	}
	<-answered
	return errors.Join(errs...)
}
