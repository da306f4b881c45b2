package certificate

import (
	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
	"vulcan.lan/vulcan_exporter/collectors/certificate/chain"
	"vulcan.lan/vulcan_exporter/collectors/certificate/files"
	"vulcan.lan/vulcan_exporter/collectors/certificate/wire"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

var (
	// A certificate of a file has a path and no endpoint, a presented one the reverse.
	identity = metric.Labels("name", "type", "path", "endpoint", "position")
	place    = metric.Labels("name", "type", "path", "endpoint")
	inFile   = metric.Labels("name", "type", "path")
	onWire   = metric.Labels("name", "endpoint")

	notAfter = metric.NewGauge("certificate_not_after_timestamp_seconds",
		"Unix time in seconds at which the certificate expires.", identity)
	notBefore = metric.NewGauge("certificate_not_before_timestamp_seconds",
		"Unix time in seconds from which the certificate is valid.", identity)
	info = metric.NewInfo("certificate_info",
		"What the certificate says; 1 for each certificate.", identity,
		metric.Labels("subject", "issuer", "serial", "san_count", "key_type"),
		metric.Closed("role", "leaf", "intermediate", "root"))

	chainValid = metric.NewGauge("certificate_chain_valid",
		"1 where a valid chain leads from the leaf to a trusted root, for a presented one by what was presented alone.", place)
	chainError = metric.NewGauge("certificate_chain_error",
		"1 with the reason why certificate_chain_valid is 0.", place, metric.Closed("reason", chain.Reasons()...))

	fileExists = metric.NewGauge("certificate_file_exists",
		"1 where the configured path exists.", inFile)
	sourceFiles = metric.NewGauge("certificate_source_files",
		"Number of files that match the configured pattern.", metric.Labels("type", "glob"))
	fileError = metric.NewGauge("certificate_file_error",
		"1 with the reason why the file, or for a pattern a folder below it, could not be read in full; absent where it could.",
		inFile, metric.Closed("reason", fileReasons()...))
	keyMatches = metric.NewGauge("certificate_key_matches",
		"1 where the private key in or beside the file belongs to its leaf certificate.", inFile)
	keyError = metric.NewGauge("certificate_key_error",
		"1 with the reason why the private key could not be compared.", inFile,
		metric.Closed("reason", string(bundle.KeyMissing), string(bundle.KeyUnreadable), string(bundle.KeyEncrypted),
			string(bundle.KeyMalformed), string(bundle.KeyUnsupported)))

	endpointUp = metric.NewGauge("certificate_endpoint_up",
		"1 where the endpoint presented a certificate.", onWire)
	endpointError = metric.NewGauge("certificate_endpoint_error",
		"1 with the reason why the handshake did not complete.", onWire, metric.Closed("reason", wire.Reasons()...))
	handshake = metric.NewGauge("certificate_endpoint_handshake_duration_seconds",
		"Seconds that the TLS handshake took, without connecting and STARTTLS.", onWire)
	tlsInfo = metric.NewInfo("certificate_endpoint_tls_info",
		"TLS version and cipher suite that were agreed on.", onWire,
		metric.Closed("version", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"), metric.Labels("cipher"))
	clientAuth = metric.NewGauge("certificate_endpoint_client_auth",
		"1 where the endpoint asks for a client certificate.", onWire)
	hostnameMatches = metric.NewGauge("certificate_endpoint_hostname_matches",
		"1 where the presented certificate is for the server name.", onWire)
	servedMatches = metric.NewGauge("certificate_served_matches_file",
		"1 where the endpoint presents the certificate of the file, 0 where the file holds another.",
		onWire, metric.Labels("path"))

	ocspStapled = metric.NewGauge("certificate_ocsp_stapled",
		"1 where the endpoint sent an OCSP response along.", onWire)
	ocspStatus = metric.NewState("certificate_ocsp_status",
		"What the stapled OCSP response says of the certificate; invalid: it is no signed response for it.",
		[]string{"good", "revoked", "unknown", "invalid"}, onWire)
	ocspThisUpdate = metric.NewGauge("certificate_ocsp_this_update_timestamp_seconds",
		"Unix time in seconds of the stapled OCSP response.", onWire)
	ocspNextUpdate = metric.NewGauge("certificate_ocsp_next_update_timestamp_seconds",
		"Unix time in seconds until which the stapled OCSP response is to be replaced.", onWire)

	listed        = metric.Labels("name", "type", "path", "issuer")
	crlThisUpdate = metric.NewGauge("certificate_crl_this_update_timestamp_seconds",
		"Unix time in seconds of the revocation list.", listed)
	crlNextUpdate = metric.NewGauge("certificate_crl_next_update_timestamp_seconds",
		"Unix time in seconds until which the revocation list is to be replaced.", listed)
	crlStale = metric.NewGauge("certificate_crl_stale",
		"1 where the revocation list was to be replaced by now.", listed)
	crlRevoked = metric.NewGauge("certificate_crl_revoked_certificates",
		"Number of certificates on the revocation list.", listed)
)

var declared = []metric.Metric{
	notAfter, notBefore, info, chainValid, chainError,
	fileExists, sourceFiles, fileError, keyMatches, keyError,
	endpointUp, endpointError, handshake, tlsInfo, clientAuth, hostnameMatches, servedMatches,
	ocspStapled, ocspStatus, ocspThisUpdate, ocspNextUpdate,
	crlThisUpdate, crlNextUpdate, crlStale, crlRevoked,
}

func fileReasons() []string {
	return []string{
		string(files.Unreadable), string(files.NotRegular), string(files.TooLarge), string(files.Dangling),
		string(bundle.Empty), string(bundle.NoCertificate), string(bundle.Malformed), string(bundle.Password), string(bundle.Unsupported),
	}
}
