package facts

import (
	"fmt"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

func answer(t testing.TB, version, endpoint string) []byte {
	t.Helper()
	body, ok := testenv.OPNsenseAnswer(version, endpoint)
	if !ok {
		t.Fatalf("no answer of %s %s", version, endpoint)
	}
	return body
}

// The gateways are the same ones in every version, whatever their types.
func TestGateways(t *testing.T) {
	want := map[string]string{
		"WAN_DHCP": Online, "FIBRE_GW": LatencyPacketLoss, "LTE_GW": Offline, "FORCED_GW": ForcedOffline, "WG_GW": Pending, "LEGACY_GW": Degraded,
		"DHCP6_GW": Pending, "OLD_GW": Pending, "DETACHED_GW": NoInterface, "NAT_GW": PacketLoss,
	}
	for _, version := range testenv.OPNsenseVersions() {
		gateways, err := ParseGateways(answer(t, version, "routing/settings/searchGateway"))
		if err != nil || len(gateways) != len(want) {
			t.Fatalf("%s: %d gateways, %v", version, len(gateways), err)
		}
		for _, g := range gateways {
			if g.State != want[g.Name] {
				t.Errorf("%s: %s is %q, want %q", version, g.Name, g.State, want[g.Name])
			}
			if measured := g.Name != "WG_GW" && g.Name != "DHCP6_GW" && g.Name != "OLD_GW" && g.Name != "DETACHED_GW"; g.Loss.OK != measured || g.Delay.OK != (measured && g.Name != "LTE_GW") {
				t.Errorf("%s: %s loss %v delay %v", version, g.Name, g.Loss, g.Delay)
			}
			if g.Monitored != (g.Name != "WG_GW") || g.Enabled != (g.Name != "OLD_GW") || g.Default != (g.Name == "WAN_DHCP") {
				t.Errorf("%s: %+v", version, g)
			}
			if g.Name == "NAT_GW" && (g.Loss != Some(0.125) || g.Delay != Some(0.0201)) {
				t.Errorf("%s: %+v", version, g)
			}
		}
	}
}

func TestSystem(t *testing.T) {
	type all struct {
		CPU      CPU
		Clock    Clock
		Memory   Memory
		Disks    int
		Sensors  int
		Health   Health
		Firmware Firmware
	}
	read := func(version string) (a all) {
		a.CPU, _ = ParseActivity(answer(t, version, "diagnostics/activity/getActivity"))
		a.Clock, _ = ParseTime(answer(t, version, "diagnostics/system/systemTime"))
		a.Memory, _ = ParseResources(answer(t, version, "diagnostics/system/systemResources"))
		disks, _ := ParseDisk(answer(t, version, "diagnostics/system/systemDisk"))
		sensors, _ := ParseTemperature(answer(t, version, "diagnostics/system/systemTemperature"))
		a.Disks, a.Sensors = len(disks), len(sensors)
		a.Health, _ = ParseStatus(answer(t, version, "core/system/status"))
		a.Firmware, _ = ParseFirmware(answer(t, version, "core/firmware/status"))
		return a
	}
	memory := Memory{Some(8496418816), Some(3415742464), Some(1073741824)}
	first := CPU{0.012, 0, 0.023, 0.005, 0.96}
	second := CPU{0.03, 0, 0.06, 0.01, 0.9}
	load := [3]Opt{Some(0.31), Some(0.25), Some(0.2)}
	day := 24 * time.Hour
	checked := time.Date(2025, 11, 1, 6, 12, 9, 0, time.UTC)
	const os = "FreeBSD 14.3-RELEASE-p4"
	for version, want := range map[string]all{
		"24.7":   {first, Clock{Uptime: 23*day + 3*time.Hour + 56*time.Minute + 57*time.Second}, memory, 2, 1, "ok", Firmware{Version: "24.7.12", Product: "opnsense"}},
		"25.1":   {first, Clock{day + 5*time.Second, load}, memory, 2, 2, "ok", Firmware{Version: "25.1.8", Product: "opnsense"}},
		"25.7.7": {second, Clock{day + 5*time.Second, load}, memory, 2, 2, "ok", Firmware{"25.7.7", os, "opnsense", Some(0), Some(1), Some(2), checked}},
		"25.7.8": {second, Clock{day + 5*time.Second, load}, memory, 2, 2, "ok", Firmware{"25.7.8", os, "opnsense", Some(0), Some(0), Some(0), checked}},
		"26.1":   {second, Clock{day + 5*time.Second, load}, memory, 2, 2, "notice", Firmware{"26.1.6_2", os, "opnsense", Some(1), Some(1), Some(2), checked}},
		"26.7":   {second, Clock{Uptime: 10*time.Minute + 5*time.Second}, Memory{}, 2, 2, "warning", Firmware{"26.7.2", os, "opnsense", Some(0), Some(1), Some(2), checked.AddDate(1, 0, 0)}},
	} {
		got := read(version)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s:\n got %+v\nwant %+v", version, got, want)
		}
	}
}

// Answers that say nothing give nothing.
func TestUnknown(t *testing.T) {
	parsers := map[string]func([]byte) (any, error){
		"activity": func(b []byte) (any, error) { return wrap(ParseActivity(b)) }, "time": func(b []byte) (any, error) { return wrap(ParseTime(b)) },
		"resources": func(b []byte) (any, error) { return wrap(ParseResources(b)) }, "status": func(b []byte) (any, error) { return wrap(ParseStatus(b)) },
		"firmware": func(b []byte) (any, error) { return wrap(ParseFirmware(b)) },
	}
	for name, parse := range parsers {
		for _, body := range []string{``, `<html>`, `[]`, `{}`, `null`, `{"memory":[],"product":"","headers":{},"metadata":[],"uptime":null,"loadavg":"N/A"}`,
			`{"memory":{"used":"N/A"},"product":[],"headers":["CPU: 1% user"],"metadata":{"system":[]},"uptime":"bald","loadavg":"1, 2"}`} {
			if got, err := parse([]byte(body)); err == nil {
				t.Errorf("%s of %s: %+v", name, body, got)
			}
		}
	}
	for text, want := range map[string]bool{"Sat Nov  1 06:12:09 UTC 2025": true, "Sat Nov  1 06:12:09 CEST 2025": false, "": false, "never": false} {
		if got := moment(text); got.IsZero() == want {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func wrap[T any](v T, err error) (any, error) { return v, err }

// No answer makes a parser panic or a measurement that is no number.
func FuzzParse(f *testing.F) {
	for _, version := range testenv.OPNsenseVersions() {
		for _, endpoint := range []string{"routing/settings/searchGateway", "core/system/status", "core/firmware/status", "diagnostics/activity/getActivity",
			"diagnostics/system/systemTime", "diagnostics/system/systemResources", "diagnostics/system/systemDisk", "diagnostics/system/systemTemperature"} {
			f.Add(answer(f, version, endpoint))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		gateways, _ := ParseGateways(body)
		for _, g := range gateways {
			if g.Name == "" || g.Loss.V != g.Loss.V {
				t.Errorf("%+v", g)
			}
		}
		cpu, err := ParseActivity(body)
		if err != nil && cpu != (CPU{}) {
			t.Errorf("%+v with %v", cpu, err)
		}
		disks, _ := ParseDisk(body)
		sensors, _ := ParseTemperature(body)
		for _, s := range sensors {
			if s.Device == "" || s.Celsius != s.Celsius {
				t.Errorf("%+v", s)
			}
		}
		for _, d := range disks {
			if d.Mountpoint == "" {
				t.Errorf("%+v", d)
			}
		}
		_, _ = ParseTime(body)
		_, _ = ParseResources(body)
		_, _ = ParseStatus(body)
		_, _ = ParseFirmware(body)
	})
}

// A check that failed is written like one that found nothing.
func TestFailedUpdateCheck(t *testing.T) {
	const checked = `{"last_check":"Sat Nov  1 06:12:09 UTC 2025","product_version":"25.7.7","needs_reboot":"0","new_packages":[],"upgrade_packages":[],`
	for rest, known := range map[string]bool{
		`"connection":"ok","repository":"ok"}`:                                           true,
		`"connection":"unresolved","repository":"error"}`:                                false,
		`"connection":"ok","repository":"error"}`:                                        false,
		`"product":{"product_check":{"connection":"error","upgrade_needs_reboot":"0"}}}`: false,
		`"product":{"product_check":{"connection":"ok","upgrade_needs_reboot":"0"}}}`:    true,
	} {
		f, err := ParseFirmware([]byte(checked + rest))
		if err != nil || f.Updates.OK != known || f.Reboot.OK != known || f.UpgradeReboot.OK && !known || f.LastCheck.IsZero() {
			t.Errorf("%s: %+v, %v", rest, f, err)
		}
	}
}
