package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// The types that opnsense-exporter decodes answers into, as its v0.0.11 has
// them and, where they differ, the newest version. A field of another type
// makes encoding/json fail, and the exporter then drops the endpoint.

type page struct{ Total, RowCount, Current int }

type gateways[Priority any] struct {
	page
	Rows []struct {
		Disabled, DefaultGW, Dynamic, Virtual, Upstream                       bool
		Attribute                                                             int
		Priority                                                              Priority
		Name, Descr, Interface, IPProtocol, Gateway, FarGW                    string
		MonitorDisable                                                        string `json:"monitor_disable"`
		MonitorNoRoute                                                        string `json:"monitor_noroute"`
		ForceDown                                                             string `json:"force_down"`
		Monitor, Weight, LatencyLow, LatencyHigh, LossLow, LossHigh, Interval string
		TimePeriod                                                            string `json:"time_period"`
		LossInterval                                                          string `json:"loss_interval"`
		DataLength                                                            string `json:"data_length"`
		CurrentLatencyLow                                                     string `json:"current_latencylow"`
		CurrentLossHigh                                                       string `json:"current_losshigh"`
		CurrentInterval                                                       string `json:"current_interval"`
		UUID, If, Status, Delay, StdDev, Loss                                 string
		InterfaceDescr                                                        string `json:"interface_descr"`
		LabelClass                                                            string `json:"label_class"`
	}
}

type subsystem struct {
	Message, Status string
	StatusCode      int
}

type systemStatus[Code any] struct {
	System        struct{ Status string }
	CrashReporter subsystem
	Firewall      subsystem
	Metadata      struct {
		System   struct{ Status Code }
		Firewall struct{ Status Code }
	}
}

type firmware struct {
	LastCheck       string `json:"last_check"`
	NeedsReboot     string `json:"needs_reboot"`
	OSVersion       string `json:"os_version"`
	ProductID       string `json:"product_id"`
	ProductVersion  string `json:"product_version"`
	ProductABI      string `json:"product_abi"`
	Status          string
	NewPackages     []struct{ Name, Repository, Version string } `json:"new_packages"`
	UpgradePackages []struct{ Name, Repository, Size string }    `json:"upgrade_packages"`
	Product         struct {
		ProductCheck struct {
			UpgradeNeedsReboot string `json:"upgrade_needs_reboot"`
		} `json:"product_check"`
	}
}

type histogram []struct {
	Name  string
	Count int
}

type protocols struct {
	Statistics struct {
		TCP struct {
			SentPackets     int            `json:"sent-packets"`
			ReceivedPackets int            `json:"received-packets"`
			Syncache        map[string]int `json:"syncache"`
			States          map[string]int `json:"TCP connection count by state"`
		}
		UDP, IP, CARP, ARP map[string]int
		ICMP               struct {
			Calls            int       `json:"icmp-calls"`
			SentPackets      int       `json:"sent-packets"`
			OutputHistogram  histogram `json:"output-histogram"`
			AddressResponses string    `json:"icmp-address-responses"`
		}
	}
}

type services struct {
	page
	Rows []struct {
		ID, Name, Description string
		Locked, Running       int
	}
}

type arp struct {
	page
	Rows []struct {
		MAC, IP, Intf, Type, Manufacturer, Hostname string
		IntfDescription                             string `json:"intf_description"`
		Permanent, Expired                          bool
		Expires                                     int
	}
}

type wireguard struct {
	page
	Rows []struct {
		If, Type, Status, Name, IfName string
		PeerStatus                     string  `json:"peer-status"`
		LatestHandshake                float64 `json:"latest-handshake"`
		TransferRX                     float64 `json:"transfer-rx"`
		TransferTX                     float64 `json:"transfer-tx"`
	}
}

type phase1 struct {
	Rows []struct {
		Phase1Desc, Name, IkeID string
		Connected               bool
		InstallTime             string `json:"install-time"`
		BytesIn                 int    `json:"bytes-in"`
		BytesOut                int    `json:"bytes-out"`
		PacketsIn               int    `json:"packets-in"`
		PacketsOut              int    `json:"packets-out"`
	}
}

type texts struct {
	Rows []map[string]string
}

type kea struct {
	page
	Rows []struct {
		If, Address, HWAddr, Hostname, State, Expire string
		ValidLifetime                                string `json:"valid_lifetime"`
	}
	Interfaces map[string]string
}

type unbound struct {
	Status string
	Data   struct {
		Total struct{ Num map[string]string }
		Time  struct{ Now, Up, Elapsed string }
		Num   struct {
			Answer struct {
				RCode         map[string]string
				Secure, Bogus string
			}
		}
	}
}

type temperatures []struct {
	Device, Temperature, Type string
	DeviceSeq                 int `json:"device_seq"`
}

// strict are the types of one version of the exporter.
func strict[Priority, Code any]() map[string]func() any {
	return map[string]func() any{
		"routing/settings/searchGateway":                func() any { return new(gateways[Priority]) },
		"core/system/status":                            func() any { return new(systemStatus[Code]) },
		"core/firmware/status":                          func() any { return new(firmware) },
		"core/service/search":                           func() any { return new(services) },
		"cron/settings/searchJobs":                      func() any { return new(texts) },
		"dhcpv4/leases/searchLease":                     func() any { return new(kea) },
		"diagnostics/firewall/pf_statistics/interfaces": func() any { return new(struct{ Interfaces map[string]map[string]int }) },
		"diagnostics/interface/getProtocolStatistics":   func() any { return new(protocols) },
		"diagnostics/interface/search_arp":              func() any { return new(arp) },
		"diagnostics/system/systemTemperature":          func() any { return new(temperatures) },
		"diagnostics/traffic/interface":                 func() any { return new(struct{ Interfaces map[string]map[string]string }) },
		"ipsec/sessions/search_phase1":                  func() any { return new(phase1) },
		"ipsec/sessions/search_phase2":                  func() any { return new(texts) },
		"kea/leases4/search":                            func() any { return new(kea) },
		"kea/leases6/search":                            func() any { return new(kea) },
		"openvpn/instances/search":                      func() any { return new(texts) },
		"openvpn/service/search_sessions":               func() any { return new(texts) },
		"unbound/diagnostics/stats":                     func() any { return new(unbound) },
		"wireguard/service/show":                        func() any { return new(wireguard) },
	}
}

// check is what the exporter does with a decoded answer beyond decoding it.
func check(v any) error {
	switch v := v.(type) {
	case *unbound:
		for _, text := range []string{v.Data.Num.Answer.Bogus, v.Data.Num.Answer.Secure} {
			if _, err := strconv.Atoi(text); err != nil {
				return err
			}
		}
		_, err := strconv.ParseFloat(v.Data.Time.Up, 64)
		return err
	case *systemStatus[any]:
		// v0.0.12 and later: 2, or a text that Atoi reads.
		if text, ok := v.Metadata.System.Status.(string); ok {
			_, err := strconv.Atoi(text)
			return err
		}
	}
	return nil
}

// broken are the answers that the exporter cannot read without the proxy.
func broken(version, endpoint string, newest bool) bool {
	old := version == "24.7" || version == "25.1" || version == "25.7.7"
	switch endpoint {
	case "routing/settings/searchGateway":
		return old || !newest
	case "core/system/status":
		return version != "24.7" && version != "25.1"
	case "core/firmware/status":
		return version == "25.1"
	case "diagnostics/interface/getProtocolStatistics", "diagnostics/traffic/interface":
		return version == "26.1" || version == "26.7"
	case "diagnostics/firewall/pf_statistics/interfaces":
		return version == "26.7"
	case "unbound/diagnostics/stats":
		return version != "24.7"
	case "wireguard/service/show", "ipsec/sessions/search_phase1":
		return version != "24.7" && version != "25.1"
	case "kea/leases4/search":
		return version == "24.7" || version == "25.1" || version == "26.1" || version == "26.7"
	case "kea/leases6/search", "dhcpv4/leases/searchLease":
		return true
	case "diagnostics/system/systemTemperature":
		return version == "24.7"
	}
	return false
}

// Every endpoint of every version decodes into both exporters' types, and
// those answers that did not before are the known ones.
func TestExporterReadsEveryVersion(t *testing.T) {
	for _, version := range testenv.OPNsenseVersions() {
		fw := testenv.StartOPNsense(t, version, testenv.OPNsenseOptions{})
		e := start(t, fw, nil)
		for name, types := range map[string]map[string]func() any{"v0.0.11": strict[string, int](), "newest": strict[any, any]()} {
			if len(types) != len(Endpoints()) {
				t.Fatalf("%d types for %d endpoints", len(types), len(Endpoints()))
			}
			for endpoint, make := range types {
				raw, _ := testenv.OPNsenseAnswer(version, endpoint)
				if err := decode(raw, make()); (err != nil) != broken(version, endpoint, name == "newest") {
					t.Errorf("%s %s %s without the proxy: %v", version, name, endpoint, err)
				}
				res, body := e.get(endpoint)
				v := make()
				if err := decode([]byte(body), v); res.StatusCode != http.StatusOK || err != nil {
					t.Errorf("%s %s %s: %s %v\n%s", version, name, endpoint, res.Status, err, body)
				}
				if g, ok := v.(*gateways[string]); ok {
					meaning(t, version, g)
				}
			}
		}
	}
}

func decode(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return err
	}
	return check(v)
}

// meaning: the exporter takes any text but "0" for true.
func meaning(t *testing.T, version string, g *gateways[string]) {
	t.Helper()
	want := map[string]string{"WG_GW": "1", "LEGACY_GW": "0", "WAN_DHCP": "0"}
	if len(g.Rows) != 10 {
		t.Errorf("%s: %d gateways", version, len(g.Rows))
	}
	for _, row := range g.Rows {
		if w, ok := want[row.Name]; ok && row.MonitorDisable != w {
			t.Errorf("%s: monitor_disable of %s is %q, want %q", version, row.Name, row.MonitorDisable, w)
		}
		if row.Name == "WAN_DHCP" && (row.Priority != "254" || row.Weight != "1") {
			t.Errorf("%s: priority %q weight %q", version, row.Priority, row.Weight)
		}
	}
}

// What was made up is counted, and only where nothing was measured.
func TestInjectedIsCounted(t *testing.T) {
	fw := testenv.StartOPNsense(t, "24.7", testenv.OPNsenseOptions{})
	e := start(t, fw, nil)
	for _, test := range []struct {
		version string
		want    float64
	}{{"24.7", 0}, {"25.1", 2}, {"25.7.7", 4}, {"26.1", 6}} {
		fw.Update(test.version)
		e.get("unbound/diagnostics/stats")
		total := 0.0
		for _, x := range e.proxy.Endpoints() {
			for i, n := range x.Injected {
				total += n
				if n > 0 && !strings.HasPrefix(x.Fields[i], "data.num.answer.") {
					t.Errorf("injected into %s %s", x.Name, x.Fields[i])
				}
			}
		}
		if total != test.want {
			t.Errorf("%s: %v injected, want %v", test.version, total, test.want)
		}
	}
}

// 26.7 sends malformed chunks over HTTP/1.1; over HTTP/2 the same answer is
// whole.
func TestHTTP2Upstream(t *testing.T) {
	fw := testenv.StartOPNsense(t, "26.7", testenv.OPNsenseOptions{})
	for version, want := range map[string]int{"1.1": 502, "2": 200, "auto": 200} {
		e := start(t, fw, func(o *Options, trust *Trust, _ *Server) { o.Upstream = upstreamOf(t, fw, *trust, version) })
		res, body := e.get("core/firmware/status")
		if res.StatusCode != want {
			t.Errorf("HTTP/%s: %s", version, res.Status)
		}
		if want != 200 {
			e.failed(ErrorProtocol, 1)
			continue
		}
		if err := decode([]byte(body), new(firmware)); err != nil {
			t.Error(err)
		}
	}
	var mixed error
	for _, r := range fw.Requests() {
		if r.ProtoMajor != 1 && r.ProtoMajor != 2 {
			mixed = errors.Join(mixed, fmt.Errorf("%s", r.Proto))
		}
	}
	if mixed != nil {
		t.Error(mixed)
	}
}
