package proxy

import (
	"errors"
	"path"
	"slices"
	"strings"

	"vulcan.lan/vulcan_exporter/collectors/opnsense/transform"
)

// Endpoints are what opnsense-exporter calls, v0.0.11 and later, below /api/.
func Endpoints() []string {
	return []string{
		"core/firmware/status",
		"core/service/search",
		"core/system/status",
		"cron/settings/searchJobs",
		"dhcpv4/leases/searchLease",
		"diagnostics/firewall/pf_statistics/interfaces",
		"diagnostics/interface/getProtocolStatistics",
		"diagnostics/interface/search_arp",
		"diagnostics/system/systemTemperature",
		"diagnostics/traffic/interface",
		"ipsec/sessions/search_phase1",
		"ipsec/sessions/search_phase2",
		"kea/leases4/search",
		"kea/leases6/search",
		"openvpn/instances/search",
		"openvpn/service/search_sessions",
		"routing/settings/searchGateway",
		"unbound/diagnostics/stats",
		"wireguard/service/show",
	}
}

// prefix is where the API of OPNsense lives
// (https://docs.opnsense.org/development/api.html).
const prefix = "/api/"

// CheckPattern says what is wrong with an entry of the allow-list: a path
// below /api/ whose segments may be globs that match within one segment.
func CheckPattern(pattern string) error {
	if !clean(strings.ReplaceAll(pattern, "*", "x")) {
		return errors.New("expected a path below /api/ such as core/system/status or dnsmasq/leases/*")
	}
	return nil
}

// clean tells whether a path is one that cannot mean another thing to anybody:
// segments of letters, digits and -_. that are not only dots. So there is no
// escape, no empty segment, no parameter and no way up.
func clean(p string) bool {
	for _, segment := range strings.Split(p, "/") {
		if strings.Trim(segment, ".") == "" {
			return false
		}
		for i := range len(segment) {
			c := segment[i]
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
				return false
			}
		}
	}
	return true
}

// allowList finds the endpoint of a path. Both spellings of an endpoint that
// OPNsense routes to the same action, search_arp and searchArp, are one.
type allowList struct {
	exact    map[string]*endpoint
	patterns []*endpoint
}

func newAllowList(names []string, table *transform.Table) (l allowList, all []*endpoint) {
	l.exact = map[string]*endpoint{}
	for _, name := range names {
		if l.exact[transform.Canonical(name)] != nil {
			continue
		}
		e := newEndpoint(name, table.For(name))
		all = append(all, e)
		l.exact[transform.Canonical(name)] = e
		if e.glob {
			l.patterns = append(l.patterns, e)
		}
	}
	slices.SortFunc(all, func(a, b *endpoint) int { return strings.Compare(a.Name, b.Name) })
	return l, all
}

// find returns nil for a path that is not allowed.
func (l allowList) find(urlPath string) *endpoint {
	rest, ok := strings.CutPrefix(urlPath, prefix)
	if !ok || !clean(rest) {
		return nil
	}
	canonical := transform.Canonical(rest)
	if e := l.exact[canonical]; e != nil {
		return e
	}
	for _, e := range l.patterns {
		if match, err := path.Match(transform.Canonical(e.Name), canonical); err == nil && match {
			return e
		}
	}
	return nil
}
