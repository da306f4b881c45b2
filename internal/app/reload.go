package app

import (
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"vulcan.lan/vulcan_exporter/internal/runner"
)

// reloader reads the configuration file again, one call at a time.
type reloader struct {
	app     *App
	logger  *slog.Logger
	manager *runner.Manager

	mu    sync.Mutex
	fault atomic.Pointer[error] // read while mu may be held by a read that hangs
}

// reload applies the file, or keeps what runs where the file is wrong.
func (r *reloader) reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	sources, err := r.app.load()
	r.fault.Store(&err)
	if err != nil {
		r.manager.ReloadFailed()
		r.logger.Error("configuration refused; what runs goes on", "err", err)
		return err
	}
	guard(r.logger, r.app.configFile)
	r.manager.Apply(sources)
	r.logger.Info("configuration loaded", "sources", len(sources))
	return nil
}

// lastError is why the last reload was refused, nil if it was not.
func (r *reloader) lastError() error {
	if fault := r.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// absolute is a path that means the same in another folder.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); path != "" && err == nil {
		return abs
	}
	return path
}
