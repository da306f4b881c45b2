package app

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"vulcan.lan/vulcan_exporter/internal/runner"
)

// notifier tells systemd how the service is, sd_notify(3). Outside of systemd
// it does nothing.
type notifier struct {
	logger   *slog.Logger
	manager  *runner.Manager
	interval time.Duration
}

func newNotifier(logger *slog.Logger, manager *runner.Manager) *notifier {
	n := &notifier{logger: logger, manager: manager, interval: 30 * time.Second}
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		logger.Warn("watchdog", "err", err)
	}
	if timeout > 0 {
		n.interval = timeout / 2 // sd_watchdog_enabled(3) recommends half
	}
	return n
}

func (n *notifier) ready() { n.send(daemon.SdNotifyReady + "\n" + n.status()) }

// alive reads the manager's state, so a deadlock there stops the watchdog.
func (n *notifier) alive() { n.send(daemon.SdNotifyWatchdog + "\n" + n.status()) }

func (n *notifier) stopping() { n.send(daemon.SdNotifyStopping) }

func (n *notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		n.logger.Warn("monotonic clock", "err", err)
	}
	n.send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

func (n *notifier) status() string {
	failing := 0
	all := n.manager.Status()
	for _, s := range all {
		if s.Reason != "" {
			failing++
		}
	}
	return fmt.Sprintf("STATUS=%d sources, %d failing", len(all), failing)
}

func (n *notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.logger.Warn("sd_notify", "err", err)
	}
}
