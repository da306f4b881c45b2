package main

func mail(all alerts) *board {
	b := &board{
		all: all, uid: "mail", title: "Mail", hours: 24,
		about:      "Is mail fetched, delivered and served?",
		watch:      all.named("email_alerts", ""),
		collectors: []string{"mbsync"},
	}
	b.first(
		plain("When was mail last fetched?", "The account whose last success is longest ago.", "dateTimeFromNow", q(`1000 * min(mbsync_last_success_timestamp_seconds{@})`, "")).w(5),
		number("How many accounts fail?", "Accounts whose last run failed.", "none",
			q(`count(mbsync_last_run_success{@} == 0) or 0 * count(mbsync_last_run_success{@})`, "")).limit(some(all, "MbsyncFailed")).w(4),
		number("Does mail wait in Postfix?", "Messages in all queues but hold.", "none", q(`sum(`+queued+`)`, "")).limit(all.limit("PostfixQueueHigh", "")).none("no Postfix").w(5),
	)
	b.section("mbsync: mail that is fetched")
	b.line(8, list("Was every account synchronised?", "One row for each account.", []string{"account", "instance"},
		col("Last run", "none", `mbsync_last_run_success{@}`).yes("succeeded", "failed"),
		col("Last success", "dateTimeFromNow", `1000 * mbsync_last_success_timestamp_seconds{@}`),
		col("Next run", "dateTimeFromNow", `1000 * mbsync_next_run_timestamp_seconds{@}`),
		col("Every", "s", `mbsync_expected_interval_seconds{@}`),
		col("Took", "s", `mbsync_duration_seconds{@}`),
		col("Timer", "none", `mbsync_timer_active{@}`).yes("active", "inactive"),
		col("Unit", "none", `mbsync_account_loaded{@}`).yes("loaded", "MISSING"),
		col("Mailboxes", "none", `1 - max by (account, instance) (mbsync_mailbox_error{@} == 1) or max by (account, instance) (mbsync_mailbox_messages{@} >= bool 0)`).yes("read", "unreadable"),
		col("Failures", "none", `mbsync_failures_total{@}`),
	).sorted("Last run", false).shows("MbsyncFailed", "MbsyncTimerInactive", "MbsyncAccountMissing"))
	late, limit1 := all.share("MbsyncStale", "mbsync_last_success_timestamp_seconds")
	b.line(8,
		graph("Is an account late?", "Time since the last success as a part of what the alert allows; from 1 on it is late.", "percentunit",
			q(late, "{{account}} {{instance}}")).limit(limit1).shows("MbsyncIntervalUnknown").w(8),
		graph("How many messages are there?", "Messages of each mailbox; the 10 largest at each moment.", "none",
			q(`topk(10, mbsync_mailbox_messages{@})`, "{{account}} {{mailbox}}")).shows("MbsyncMailboxShrunk", "MbsyncMailboxUnreadable").w(8),
		graph("What did the runs bring?", "Messages that the last run stored, near: fetched, far: sent up.", "none",
			q(`mbsync_summary_new_messages{@}`, "{{account}} {{side}}")).bars().w(8),
	)
	b.section("Postfix and Dovecot: mail that is delivered and served")
	b.line(8,
		graph("Does mail pile up?", "Messages in each queue.", "none", q(queued, "all {{instance}}"),
			q(`postfix_showq_message_age_seconds_count{job="postfix", #, queue!="hold"} or postfix_showq_queue_depth{job="postfix", #, queue!="hold"}`, "{{queue}}")).limit(all.limit("PostfixQueueHigh", "")).w(8),
		graph("Is a message stuck?", "Messages that wait for longer than 10,000 seconds.", "none",
			q(`sum by (instance) (postfix_showq_message_age_seconds_count{job="postfix", #, queue!="hold"}) - sum by (instance) (postfix_showq_message_age_seconds_bucket{job="postfix", #, queue!="hold", le=~"10000([.]0)?"})`, "{{instance}}")).
			limit(all.limit("PostfixMailStuck", "")).w(8),
		graph("How much mail comes and goes?", "Messages a second: taken in, removed when done, put off.", "none",
			q(`sum(rate(postfix_cleanup_messages_processed_total{job="postfix", #}[$__rate_interval]))`, "taken in"),
			q(`sum(rate(postfix_qmgr_messages_removed_total{job="postfix", #}[$__rate_interval]))`, "done"),
			q(`sum(rate(postfix_smtp_deferred_messages_total{job="postfix", #}[$__rate_interval]))`, "put off")).w(8),
	)
	b.line(8,
		graph("How long does delivery take?", "95 of 100 messages passed each stage within this time.", "s",
			q(`histogram_quantile(0.95, sum by (stage, le) (rate(postfix_smtp_delivery_delay_seconds_bucket{job="postfix", #}[$__rate_interval])))`, "{{stage}}")).w(8),
		graph("Who tries to log in?", "Logins at Dovecot and failed ones at both, per second.", "none",
			q(`sum(rate(dovecot_auth_successes_total{job="dovecot", #}[$__rate_interval]))`, "Dovecot"), q(`sum(rate(dovecot_auth_failures_total{job="dovecot", #}[$__rate_interval]))`, "Dovecot, failed"),
			q(`sum(rate(postfix_smtpd_sasl_authentication_failures_total{job="postfix", #}[$__rate_interval]))`, "Postfix, failed")).w(8),
		states("When was a server down?", "Whether Prometheus reached the exporters of Postfix and Dovecot.",
			q(`up{#, job=~"postfix|dovecot"}`, "{{job}} {{instance}}")).yes("up", "down").shows("PostfixDown", "DovecotDown").w(8),
	)
	return b
}

const queued = `sum by (instance) (postfix_showq_queue_depth{job="postfix", #, queue!="hold"}) or sum by (instance) (postfix_showq_message_age_seconds_count{job="postfix", #, queue!="hold"})`
