package main

func certificates(all alerts) *board {
	b := &board{
		all: all, uid: "certificates", title: "Certificates", hours: 7 * 24,
		about:      "When does which certificate expire, and does each server present the one that its file holds?",
		watch:      all.named("certificate_alerts", ""),
		collectors: []string{"certificate"},
	}
	b.first(
		plain("When does one expire next?", "Authorities are left out: they have chains of their own.", "dateTimeFromNow",
			q(`1000 * min(certificate_not_after_timestamp_seconds{@, type!="ca"} > time())`, "")).w(5),
		number("How many have expired?", "Certificates of files and servers, authorities left out.", "none",
			q(`count(time() - certificate_not_after_timestamp_seconds{@, type!="ca"} >= 0) or 0 * count(certificate_not_after_timestamp_seconds{@})`, "")).
			limit(some(all, "CertificateExpired")).w(4),
		number("Does every server answer?", "Servers that presented a certificate, of all that are asked.", "percentunit",
			q(`avg(certificate_endpoint_up{@})`, "")).limit(whole(all, "CertificateEndpointDown")).w(5),
	)
	left, limit1 := all.left("CertificateExpiringSoon", "")
	b.line(9,
		ranking("What must be renewed first?", "Time that is left, the shortest first. Red is a day, as for a certificate of 90 days.", "s",
			q(`sort(bottomk(15, certificate_not_after_timestamp_seconds{@, type!="ca"} - time() > 0))`, "{{name}} {{endpoint}}")).neutral(),
		graph("Is each renewed in time?", "Time that is left before the alert; each renewal lifts the line, and below 0 the renewal is overdue.", "s",
			q(`bottomk(15, min by (name, type, instance) (`+left+`))`, "{{name}} {{instance}}")).limit(limit1).free().shows("CertificateLastDay"),
	)
	b.line(10, list("What is known of every certificate?", "Leaf certificates of files and servers; a chain is judged by the system's roots or the configured ones.",
		[]string{"name", "type", "endpoint", "instance"},
		col("Expires", "dateTimeFromNow", `1000 * certificate_not_after_timestamp_seconds{@, position="0"}`),
		col("Valid from", "dateTimeFromNow", `1000 * certificate_not_before_timestamp_seconds{@, position="0"}`),
		col("Chain", "none", `certificate_chain_valid{@}`).yes("valid", "invalid"),
	).sorted("Expires", false).shows("CertificateChainInvalid", "CertificateExpiringSoon", "CertificateExpired"))
	b.line(8,
		list("Does each server present its file?", "A renewed file with the old certificate still presented needs a reload of the server.", []string{"name", "endpoint", "instance"},
			col("Answers", "none", `certificate_endpoint_up{@}`).yes("yes", "no"),
			col("Presents its file", "none", `certificate_served_matches_file{@}`).yes("yes", "NO: reload it"),
			col("Host name", "none", `certificate_endpoint_hostname_matches{@}`).yes("matches", "other"),
			col("Handshake", "s", `certificate_endpoint_handshake_duration_seconds{@}`),
		).sorted("Presents its file", false).w(14).shows("CertificateServedDiffers", "CertificateHostnameMismatch"),
		list("Which files have trouble?", "Files that are missing, unreadable or whose private key is of another certificate.", []string{"name", "path", "instance"},
			col("Exists", "none", `certificate_file_exists{@}`).yes("yes", "no"),
			col("Key", "none", `certificate_key_matches{@}`).yes("matches", "OTHER"),
		).sorted("Exists", false).w(10).shows("CertificateFileMissing", "CertificateKeyMismatch"),
	)
	b.line(8,
		list("Why is something wrong?", "Reasons that hold now, of chains, files and servers.", []string{"name", "endpoint", "reason", "instance"},
			col("Chain", "none", `certificate_chain_error{@} == 1`).says(map[string]word{"1": {"invalid", "red"}}),
			col("File", "none", `label_replace(certificate_file_error{@} == 1, "endpoint", "", "", "")`).says(map[string]word{"1": {"unreadable", "orange"}}),
		).w(14).none("nothing").shows("CertificateChainInvalid", "CertificateRevoked", "CertificateFileUnreadable"),
		list("How many files does each pattern match?", "0 means that a folder or pattern guards nothing.", []string{"type", "glob", "instance"},
			col("Files", "none", `certificate_source_files{@}`).limit(all.limit("CertificateFilesNotFound", "")),
		).w(10),
	)
	b.line(7,
		list("Are the revocation lists fresh?", "A list that was to be replaced makes chains fail that need it.", []string{"name", "issuer", "instance"},
			col("Replace by", "dateTimeFromNow", `1000 * certificate_crl_next_update_timestamp_seconds{@}`),
			col("Issued", "dateTimeFromNow", `1000 * certificate_crl_this_update_timestamp_seconds{@}`),
			col("Revoked", "none", `certificate_crl_revoked_certificates{@}`),
		).shows("CertificateCRLStale").w(12),
		list("Are stapled responses fresh?", "OCSP responses that servers send along.", []string{"name", "endpoint", "instance"},
			col("Stapled", "none", `certificate_ocsp_stapled{@}`).says(map[string]word{"1": {"yes", "green"}, "0": {"no", "text"}}),
			col("Replace by", "dateTimeFromNow", `1000 * certificate_ocsp_next_update_timestamp_seconds{@}`),
		).shows("CertificateStapleInvalid").w(12),
	)
	return b
}
