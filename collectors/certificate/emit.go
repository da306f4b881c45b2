package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"golang.org/x/crypto/ocsp"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
	"vulcan.lan/vulcan_exporter/collectors/certificate/chain"
	"vulcan.lan/vulcan_exporter/collectors/certificate/files"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

func (c *certificates) emitFiles(pass *files.Pass, out *metric.Batch) {
	for _, g := range pass.Groups {
		emitGroup(g, out)
	}
	for _, r := range pass.Records {
		c.emitFile(r, out)
	}
}

func emitGroup(g files.Group, out *metric.Batch) {
	if g.Literal {
		if g.Exists || !g.Set.Optional {
			out.Bool(fileExists, g.Exists, files.Name(g.Pattern), g.Set.Type, g.Pattern)
		}
		return
	}
	if len(g.Paths) > 0 || !g.Set.Optional {
		out.Gauge(sourceFiles, float64(len(g.Paths)), g.Set.Type, g.Pattern)
	}
	if g.Reason != "" {
		out.Gauge(fileError, 1, "", g.Set.Type, g.Pattern, string(g.Reason))
	}
}

func (c *certificates) emitFile(r *files.Record, out *metric.Batch) {
	fault, detail := string(r.Reason), ""
	if r.Reason != "" {
		out.Gauge(fileError, 1, r.Name, r.Type, r.Path, string(r.Reason))
	}
	for _, f := range r.Facts {
		emitFact(f, r.Name, r.Type, r.Path, "", out)
	}
	if r.KeyMatches != nil {
		out.Bool(keyMatches, *r.KeyMatches, r.Name, r.Type, r.Path)
	}
	if r.KeyReason != "" {
		out.Gauge(keyError, 1, r.Name, r.Type, r.Path, string(r.KeyReason))
	}
	if r.Judged {
		emitVerdict(r.Verdict, r.Name, r.Type, r.Path, "", out)
		if fault == "" {
			fault, detail = string(r.Verdict.Reason), r.Verdict.Detail
		}
	}
	emitted := map[string]bool{}
	for _, list := range r.CRLs {
		if !emitted[list.Issuer] { // a second list of one issuer in one file is a delta of the first
			emitted[list.Issuer] = true
			c.emitCRL(r, list, out)
		}
	}
	c.say(r.Path, fault, detail)
}

func emitFact(f files.Fact, name, kind, path, endpoint string, out *metric.Batch) {
	out.Time(notAfter, f.NotAfter, name, kind, path, endpoint, f.Position)
	out.Time(notBefore, f.NotBefore, name, kind, path, endpoint, f.Position)
	out.Info(info, name, kind, path, endpoint, f.Position, f.Subject, f.Issuer, f.Serial, f.SANs, f.KeyType, f.Role)
}

func emitVerdict(v chain.Verdict, name, kind, path, endpoint string, out *metric.Batch) {
	out.Bool(chainValid, v.Reason == "", name, kind, path, endpoint)
	if v.Reason != "" {
		out.Gauge(chainError, 1, name, kind, path, endpoint, string(v.Reason))
	}
}

func (c *certificates) emitCRL(r *files.Record, list files.CRL, out *metric.Batch) {
	labels := []string{r.Name, r.Type, r.Path, list.Issuer}
	out.Time(crlThisUpdate, list.ThisUpdate, labels...)
	out.Gauge(crlRevoked, float64(list.Revoked), labels...)
	if !list.NextUpdate.IsZero() {
		out.Time(crlNextUpdate, list.NextUpdate, labels...)
		out.Bool(crlStale, c.now().After(list.NextUpdate), labels...)
	}
}

// crlTurned reports whether a list became stale since the last pass was emitted.
func (c *certificates) crlTurned(pass *files.Pass) bool {
	for _, r := range pass.Records {
		for _, list := range r.CRLs {
			if !list.NextUpdate.IsZero() && c.now().After(list.NextUpdate) != c.emittedAt.After(list.NextUpdate) {
				return true
			}
		}
	}
	return false
}

func (c *certificates) emitEndpoint(pass *files.Pass, p *presented, out *metric.Batch) {
	name, address := p.endpoint.Name, p.endpoint.Address
	out.Bool(endpointUp, len(p.Certificates) > 0, name, address)
	fault, detail := string(p.Reason), ""
	if p.Reason != "" {
		out.Gauge(endpointError, 1, name, address, string(p.Reason))
		if p.Err != nil {
			detail = p.Err.Error()
		}
	}
	if p.Handshake > 0 {
		out.Gauge(handshake, p.Handshake.Seconds(), name, address)
	}
	if len(p.Certificates) > 0 {
		p.emit(pass, out)
		if p.judged && fault == "" {
			fault, detail = string(p.verdict.Reason), p.verdict.Detail
		}
	}
	c.say(name, fault, detail)
}

// emit shows what was presented.
func (p *presented) emit(pass *files.Pass, out *metric.Batch) {
	name, address := p.endpoint.Name, p.endpoint.Address
	for _, f := range files.Facts(p.Certificates) {
		emitFact(f, name, typeEndpoint, "", address, out)
	}
	out.Info(tlsInfo, name, address, tls.VersionName(p.Version), tls.CipherSuiteName(p.Cipher))
	out.Bool(clientAuth, p.Asked, name, address)
	out.Bool(hostnameMatches, p.Certificates[0].VerifyHostname(p.endpoint.ServerName) == nil, name, address)
	if p.judged {
		emitVerdict(p.verdict, name, typeEndpoint, "", address, out)
	}
	leaf := files.Digest(p.Certificates[0])
	switch served := pass.Record(p.endpoint.Serves); {
	case p.endpoint.Serves == "":
		if path := holder(pass, leaf); path != "" {
			out.Gauge(servedMatches, 1, name, address, path)
		}
	case served != nil && served.Leaf != "":
		out.Bool(servedMatches, served.Leaf == leaf, name, address, p.endpoint.Serves)
	}
	p.emitStaple(out)
}

// holder finds the file with the certificate. A leaf among roots, as Debian has
// some in /etc/ssl/certs, is of no help: nobody is told when it expires there,
// and must be told of the endpoint.
func holder(pass *files.Pass, leaf string) string {
	for _, r := range pass.Records {
		if r.Leaf == leaf && r.Type != typeCA {
			return r.Path
		}
	}
	return ""
}

// emitStaple shows the OCSP response (RFC 6960). Its signature is checked where the issuer was
// presented too.
func (p *presented) emitStaple(out *metric.Batch) {
	name, address := p.endpoint.Name, p.endpoint.Address
	out.Bool(ocspStapled, len(p.Staple) > 0, name, address)
	if len(p.Staple) == 0 {
		return
	}
	response, err := ocsp.ParseResponseForCert(p.Staple, p.Certificates[0].Certificate, issuer(p.Certificates))
	if err != nil {
		out.State(ocspStatus, "invalid", name, address)
		return
	}
	out.State(ocspStatus, status(response.Status), name, address)
	out.Time(ocspThisUpdate, response.ThisUpdate, name, address)
	if response.NextUpdate.After(time.Time{}) {
		out.Time(ocspNextUpdate, response.NextUpdate, name, address)
	}
}

func issuer(certs []*bundle.Certificate) *x509.Certificate {
	for _, c := range certs[1:] {
		if certs[0].CheckSignatureFrom(c.Certificate) == nil {
			return c.Certificate
		}
	}
	return nil
}

func status(code int) string {
	switch code {
	case ocsp.Good:
		return "good"
	case ocsp.Revoked:
		return "revoked"
	}
	return "unknown"
}
