package opnsense

import (
	"time"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/facts"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// firmwareEvery is how often the firmware's status is asked for: it changes
// with an update check, once a day, and costs the firewall a second.
const firmwareEvery = 10 * time.Minute

// facts are what is asked for in a run.
func (o *opnsense) facts() []fact {
	return []fact{
		{"core/system/status", 0, parsed(facts.ParseStatus, func(out *metric.Batch, h facts.Health) { out.State(health, string(h)) })},
		{"core/firmware/status", firmwareEvery, parsed(facts.ParseFirmware, emitFirmware)},
		{"routing/settings/searchGateway", 0, parsed(facts.ParseGateways, emitGateways)},
		{"diagnostics/activity/getActivity", 0, parsed(facts.ParseActivity, emitCPU)},
		{"diagnostics/system/systemTime", 0, parsed(facts.ParseTime, o.emitClock)},
		{"diagnostics/system/systemResources", 0, parsed(facts.ParseResources, emitMemory)},
		{"diagnostics/system/systemDisk", 0, parsed(facts.ParseDisk, emitDisks)},
		{"diagnostics/system/systemTemperature", 0, parsed(facts.ParseTemperature, emitSensors)},
	}
}

// parsed joins a parser and what emits its result.
func parsed[T any](parse func([]byte) (T, error), emit func(*metric.Batch, T)) func([]byte) (func(*metric.Batch), error) {
	return func(body []byte) (func(*metric.Batch), error) {
		v, err := parse(body)
		if err != nil {
			return nil, err
		}
		return func(out *metric.Batch) { emit(out, v) }, nil
	}
}

func optional(out *metric.Batch, g metric.Gauge, v facts.Opt, labels ...string) {
	if v.OK {
		out.Gauge(g, v.V, labels...)
	}
}

func emitCPU(out *metric.Batch, c facts.CPU) {
	for mode, share := range map[string]float64{"user": c.User, "nice": c.Nice, "system": c.System, "interrupt": c.Interrupt, "idle": c.Idle} {
		out.Gauge(cpu, share, mode)
	}
}

// emitClock turns the uptime into the moment of the boot, which then stays the
// same: the API's seconds are whole and the answer takes its time.
func (o *opnsense) emitClock(out *metric.Batch, c facts.Clock) {
	const jitter = 10 * time.Second
	if c.Uptime > 0 {
		now := o.env.Now().Add(-c.Uptime)
		if now.Sub(o.memory.boot).Abs() > jitter {
			o.memory.boot = now
		}
		out.Time(boot, o.memory.boot)
	}
	optional(out, load1, c.Load[0])
	optional(out, load5, c.Load[1])
	optional(out, load15, c.Load[2])
}

func emitMemory(out *metric.Batch, m facts.Memory) {
	optional(out, memoryTotal, m.Total)
	optional(out, memoryUsed, m.Used)
	optional(out, memoryARC, m.ARC)
}

func emitDisks(out *metric.Batch, disks []facts.Filesystem) {
	seen := map[facts.Filesystem]bool{}
	for _, d := range disks {
		identity := facts.Filesystem{Device: d.Device, Type: d.Type, Mountpoint: d.Mountpoint}
		if !seen[identity] {
			out.Gauge(filesystemUsed, d.Used, d.Device, d.Mountpoint, d.Type)
		}
		seen[identity] = true
	}
}

func emitSensors(out *metric.Batch, sensors []facts.Sensor) {
	seen := map[facts.Sensor]bool{}
	for _, s := range sensors {
		identity := facts.Sensor{Device: s.Device, Type: s.Type}
		if !seen[identity] {
			out.Gauge(temperature, s.Celsius, s.Device, s.Type)
		}
		seen[identity] = true
	}
}

func emitGateways(out *metric.Batch, gateways []facts.Gateway) {
	seen := map[string]bool{}
	for _, g := range gateways {
		if seen[g.Name] {
			continue
		}
		seen[g.Name] = true
		out.Info(gatewayInfo, g.Name, g.Interface, g.Device, g.Protocol, g.Address, g.Monitor)
		out.Bool(gatewayEnabled, g.Enabled, g.Name)
		out.Bool(gatewayMonitored, g.Enabled && g.Monitored, g.Name)
		out.Bool(gatewayDefault, g.Default, g.Name)
		if g.Enabled {
			out.State(gatewayState, g.State, g.Name)
		}
		optional(out, gatewayLoss, g.Loss, g.Name)
		optional(out, gatewayDelay, g.Delay, g.Name)
		optional(out, gatewayDev, g.StdDev, g.Name)
	}
}

func emitFirmware(out *metric.Batch, f facts.Firmware) {
	out.Info(version, f.Version, f.OS, f.Product)
	optional(out, rebootNeeded, f.Reboot)
	optional(out, upgradeReboot, f.UpgradeReboot)
	optional(out, updates, f.Updates)
	out.Time(updateCheck, f.LastCheck)
}
