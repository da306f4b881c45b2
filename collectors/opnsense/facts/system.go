package facts

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errNothing is an answer that has JSON, but nothing of what was asked for.
var errNothing = errors.New("the answer holds none of the expected fields")

// CPU is the share of each mode of all processors' time over the last seconds.
type CPU struct{ User, Nice, System, Interrupt, Idle float64 }

var cpuLine = regexp.MustCompile(`^CPU:\s+([\d.]+)% user,\s+([\d.]+)% nice,\s+([\d.]+)% system,\s+([\d.]+)% interrupt,\s+([\d.]+)% idle`)

// ParseActivity reads diagnostics/activity/getActivity, the output of top(1):
//
//	{"headers":["last pid: 20124; ...","CPU:  1.2% user,  0.0% nice,  2.3% system,  0.5% interrupt, 96.0% idle"],"details":[...]}
//
// Where top ran twice the first display is the average since boot, so the last
// one counts.
func ParseActivity(body []byte) (CPU, error) {
	var answer struct{ Headers list[Value] }
	if err := json.Unmarshal(body, &answer); err != nil {
		return CPU{}, err
	}
	for i := len(answer.Headers) - 1; i >= 0; i-- {
		m := cpuLine.FindStringSubmatch(strings.TrimSpace(string(answer.Headers[i])))
		if m == nil {
			continue
		}
		var share [5]float64
		for j := range share {
			v := Value(m[j+1]).number()
			if !v.OK || v.V > 100 {
				return CPU{}, errNothing
			}
			share[j] = v.V / 100
		}
		return CPU{share[0], share[1], share[2], share[3], share[4]}, nil
	}
	return CPU{}, errNothing
}

// Clock is what diagnostics/system/systemTime tells.
type Clock struct {
	Uptime time.Duration // 0 where unknown
	Load   [3]Opt        // over 1, 5 and 15 minutes
}

// uptime is "23 days, 03:56:57", with the word for days in any language.
var uptime = regexp.MustCompile(`^(?:(\d{1,6}) [^\d,]+, )?(\d{1,2}):(\d\d):(\d\d)$`)

// ParseTime reads diagnostics/system/systemTime:
//
//	{"uptime":"1 day, 00:00:05","loadavg":"0.31, 0.25, 0.20","datetime":"...","config":"...","boottime":"..."}
func ParseTime(body []byte) (Clock, error) {
	var answer struct{ Uptime, LoadAvg Value }
	if err := json.Unmarshal(body, &answer); err != nil {
		return Clock{}, err
	}
	var c Clock
	if m := uptime.FindStringSubmatch(strings.TrimSpace(string(answer.Uptime))); m != nil {
		for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
			n, _ := strconv.Atoi(m[i+1]) // digits, or nothing before the first day
			c.Uptime += time.Duration(n) * unit
		}
	}
	if parts := strings.Split(string(answer.LoadAvg), ","); len(parts) == 3 {
		for i, part := range parts {
			c.Load[i] = Value(part).number()
		}
	}
	if c == (Clock{}) {
		return c, errNothing
	}
	return c, nil
}

// Memory is in bytes.
type Memory struct{ Total, Used, ARC Opt }

// ParseResources reads diagnostics/system/systemResources. total is a text and
// used a number, or "N/A" alone:
//
//	{"memory":{"total":"8496418816","used":3415742464,"arc":"1073741824",...}}
func ParseResources(body []byte) (Memory, error) {
	var answer struct {
		Memory object[struct{ Total, Used, ARC Value }]
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Memory{}, err
	}
	m := answer.Memory.V
	out := Memory{m.Total.number(), m.Used.number(), m.ARC.number()}
	if out == (Memory{}) {
		return out, errNothing
	}
	return out, nil
}

// Filesystem is one mounted file system.
type Filesystem struct {
	Device, Type, Mountpoint string
	Used                     float64 // ratio
}

// ParseDisk reads diagnostics/system/systemDisk. Sizes are texts such as "22G"
// and too coarse to publish; the share in use is a whole percentage:
//
//	{"devices":[{"device":"zroot","type":"zfs","blocks":"22G","used":"2.1G","used_pct":10,"mountpoint":"/"}]}
func ParseDisk(body []byte) ([]Filesystem, error) {
	var answer struct {
		Devices list[struct {
			Device, Type, Mountpoint Value
			UsedPct                  Value `json:"used_pct"`
		}]
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	var out []Filesystem
	for _, d := range answer.Devices {
		if used := d.UsedPct.number("%"); used.OK && d.Mountpoint != "" {
			out = append(out, Filesystem{string(d.Device), string(d.Type), string(d.Mountpoint), used.V / 100})
		}
	}
	return out, nil
}

// Sensor is one temperature.
type Sensor struct {
	Device, Type string
	Celsius      float64
}

// ParseTemperature reads diagnostics/system/systemTemperature:
//
//	[{"device":"dev.cpu.0.temperature","device_seq":0,"temperature":"48.1","type":"cpu"}]
func ParseTemperature(body []byte) ([]Sensor, error) {
	var answer list[struct{ Device, Type, Temperature Value }]
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	var out []Sensor
	for _, s := range answer {
		if t := s.Temperature.number("C"); t.OK && s.Device != "" {
			out = append(out, Sensor{string(s.Device), string(s.Type), t.V})
		}
	}
	return out, nil
}

// Health is the gravest notice: ok, notice, warning or error; "" if unknown.
type Health string

// Severities are the known values of Health.
func Severities() []string { return []string{"ok", "notice", "warning", "error"} }

// ParseStatus reads core/system/status. metadata.system.status is a number up
// to some 25.1 and a word since; 24.7 has an object for each subsystem and the
// gravest under "System":
//
//	{"metadata":{"system":{"status":"OK",...}},"subsystems":{...}}
func ParseStatus(body []byte) (Health, error) {
	type status struct{ Status Value }
	var answer struct {
		Metadata object[struct{ System object[status] }]
		System   object[status]
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	text := answer.Metadata.V.System.V.Status
	if text == "" {
		text = answer.System.V.Status
	}
	switch strings.ToUpper(string(text)) {
	case "2", "OK":
		return "ok", nil
	case "1", "NOTICE":
		return "notice", nil
	case "0", "WARNING":
		return "warning", nil
	case "-1", "ERROR":
		return "error", nil
	}
	return "", errNothing
}

// Firmware is what the last update check found; all of it is unknown before
// the first, and what a failed one says is not what there is.
type Firmware struct {
	Version, OS, Product string
	// Reboot is 1 where the pending updates need one, UpgradeReboot where the
	// upgrade to the next major version does.
	Reboot, UpgradeReboot Opt
	Updates               Opt // pending packages
	LastCheck             time.Time
}

// ParseFirmware reads core/firmware/status:
//
//	{"last_check":"Sat Nov  1 06:12:09 UTC 2025","needs_reboot":"0","product":{"product_version":"25.7.7",
//	 "product_check":{"upgrade_needs_reboot":"1",...}},"new_packages":[],"upgrade_packages":[...],...}
func ParseFirmware(body []byte) (Firmware, error) {
	type check struct {
		UpgradeNeedsReboot Value `json:"upgrade_needs_reboot"`
		Connection         Value `json:"connection"`
		Repository         Value `json:"repository"`
	}
	var answer struct {
		LastCheck      Value                 `json:"last_check"`
		Connection     Value                 `json:"connection"` // here or in the check, by version
		Repository     Value                 `json:"repository"`
		NeedsReboot    Value                 `json:"needs_reboot"`
		OSVersion      Value                 `json:"os_version"`
		ProductID      Value                 `json:"product_id"`
		ProductVersion Value                 `json:"product_version"`
		New            list[json.RawMessage] `json:"new_packages"`
		Upgrade        list[json.RawMessage] `json:"upgrade_packages"`
		Product        object[struct {
			ID      Value         `json:"product_id"`
			Version Value         `json:"product_version"`
			Check   object[check] `json:"product_check"`
		}]
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Firmware{}, err
	}
	product := answer.Product.V
	f := Firmware{
		Version: first(answer.ProductVersion, product.Version), OS: string(answer.OSVersion), Product: first(answer.ProductID, product.ID),
		Reboot: answer.NeedsReboot.flag(), UpgradeReboot: product.Check.V.UpgradeNeedsReboot.flag(),
		LastCheck: moment(string(answer.LastCheck)),
	}
	// A check that could not reach or read the repository is written with its time and without
	// updates, src/opnsense/scripts/firmware/check.sh.
	found := product.Check.V
	failed := slices.ContainsFunc([]Value{answer.Connection, answer.Repository, found.Connection, found.Repository},
		func(v Value) bool { return v != "" && v != "ok" })
	if failed {
		f.Reboot, f.UpgradeReboot = Opt{}, Opt{}
	} else if answer.LastCheck != "" {
		f.Updates = Some(float64(len(answer.New) + len(answer.Upgrade)))
	}
	if f == (Firmware{}) {
		return f, errNothing
	}
	return f, nil
}

func first(values ...Value) string {
	for _, v := range values {
		if v != "" {
			return string(v)
		}
	}
	return ""
}

// moment reads date(1)'s output. Only UTC and GMT are unambiguous; the time in
// another zone's abbreviation is unknown.
func moment(text string) time.Time {
	t, err := time.Parse("Mon Jan 2 15:04:05 MST 2006", strings.Join(strings.Fields(text), " "))
	if zone, offset := t.Zone(); err != nil || offset == 0 && zone != "UTC" && zone != "GMT" {
		return time.Time{}
	}
	return t
}
