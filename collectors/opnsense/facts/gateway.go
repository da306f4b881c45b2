package facts

import (
	"encoding/json"
	"strings"
)

// Gateway is one row of routing/settings/searchGateway.
type Gateway struct {
	Name, Interface, Device, Protocol, Address, Monitor string
	Enabled, Monitored, Default                         bool
	// State is one of GatewayStates; "" where the answer says nothing that is
	// understood.
	State string
	// Loss is a ratio, Delay and StdDev are in seconds.
	Loss, Delay, StdDev Opt
}

// The states of a gateway. degraded is a warning whose text is in a language
// that is not read here.
const (
	Online            = "online"
	Latency           = "latency"
	PacketLoss        = "packet_loss"
	LatencyPacketLoss = "latency_packet_loss"
	Degraded          = "degraded"
	Offline           = "offline"
	ForcedOffline     = "forced_offline"
	Pending           = "pending"
	Misconfigured     = "misconfigured"
	NoInterface       = "no_interface"
)

// GatewayStates are all states.
func GatewayStates() []string {
	return []string{Online, Latency, PacketLoss, LatencyPacketLoss, Degraded, Offline, ForcedOffline, Pending, Misconfigured, NoInterface}
}

// states are the texts of status; they are translated into the language of the
// API user, so label_class decides where a text is unknown.
func states(text string) string {
	switch {
	case strings.HasPrefix(text, "Misconfigured"):
		return Misconfigured
	default:
		return map[string]string{
			"Online": Online, "Latency": Latency, "Packetloss": PacketLoss, "Latency, Packetloss": LatencyPacketLoss,
			"Packetloss, Latency": LatencyPacketLoss, "Offline": Offline, "Offline (forced)": ForcedOffline, "Pending": Pending,
			"No interface attached": NoInterface,
		}[text]
	}
}

// colours are the CSS classes of the web page's icon.
func colours(class string, forced bool) string {
	switch {
	case strings.Contains(class, "danger") && forced:
		return ForcedOffline
	case strings.Contains(class, "danger"):
		return Offline
	case strings.Contains(class, "warning"):
		return Degraded
	case strings.Contains(class, "success"):
		return Online
	}
	return ""
}

// ParseGateways reads routing/settings/searchGateway:
//
//	{"total":2,"rows":[{"name":"WAN_DHCP","if":"igb0","status":"Online",
//	 "delay":"8.4 ms","stddev":"0.7 ms","loss":"0.0 %","monitor_disable":"0",
//	 "label_class":"fa fa-plug text-success","priority":254,...}]}
func ParseGateways(body []byte) ([]Gateway, error) {
	var answer struct {
		Rows list[struct {
			Name, Interface, If, IPProtocol, Gateway, Monitor Value
			Disabled, DefaultGW, Status, Delay, StdDev, Loss  Value
			MonitorDisable                                    Value `json:"monitor_disable"`
			ForceDown                                         Value `json:"force_down"`
			LabelClass                                        Value `json:"label_class"`
		}]
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	gateways := make([]Gateway, 0, len(answer.Rows))
	for _, row := range answer.Rows {
		if row.Name == "" {
			continue
		}
		g := Gateway{
			Name: string(row.Name), Interface: string(row.Interface), Device: string(row.If), Protocol: string(row.IPProtocol),
			Address: string(row.Gateway), Monitor: string(row.Monitor),
			Enabled: !row.Disabled.is(), Monitored: !row.MonitorDisable.is(), Default: row.DefaultGW.is(),
			State: states(string(row.Status)),
		}
		if g.State == "" {
			g.State = colours(string(row.LabelClass), row.ForceDown.is())
		}
		if g.Enabled && g.Monitored {
			g.Loss = row.Loss.number("%").over(100)
		}
		if g.Loss.OK && g.Loss.V < 1 { // "0.0 ms" of a gateway that never answered is no measurement
			g.Delay, g.StdDev = row.Delay.number("ms").over(1000), row.StdDev.number("ms").over(1000)
		}
		gateways = append(gateways, g)
	}
	return gateways, nil
}
