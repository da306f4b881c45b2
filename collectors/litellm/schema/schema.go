// Package schema finds out which of LiteLLM's tables and columns a database has and lets us read.
//
// LiteLLM (https://github.com/BerriAI/litellm) adds columns with nearly every release and an
// installation may be years old, so nothing but the oldest columns is taken for granted. Tables
// are found by the search_path of the role: the schema is not always public.
package schema

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/internal/pgsession"
)

// Tables of LiteLLM.
const (
	SpendLogs   = "LiteLLM_SpendLogs"
	Daily       = "LiteLLM_DailyUserSpend"
	Keys        = "LiteLLM_VerificationToken"
	DeletedKeys = "LiteLLM_DeletedVerificationToken"
	Teams       = "LiteLLM_TeamTable"
	Users       = "LiteLLM_UserTable"
	Budgets     = "LiteLLM_BudgetTable"
	Health      = "LiteLLM_HealthCheckTable"
)

// Columns are all that is ever read of each table: no prompt, no response, no e-mail address.
// deploy/litellm/create-role.sql grants exactly these.
var Columns = map[string][]string{
	SpendLogs: {
		"request_id", "startTime", "endTime", "completionStartTime", "request_duration_ms", "spend",
		"model", "model_group", "custom_llm_provider", "cache_hit", "status", "metadata",
	},
	Daily: {
		"date", "api_key", "model", "model_group", "custom_llm_provider", "spend",
		"prompt_tokens", "completion_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
		"successful_requests", "failed_requests",
	},
	Keys: {
		"token", "key_name", "key_alias", "team_id", "spend", "spend_at_last_reset", "max_budget",
		"budget_duration", "budget_reset_at", "budget_id", "expires", "blocked",
	},
	DeletedKeys: {"token", "key_alias", "team_id"},
	Teams: {
		"team_id", "team_alias", "spend", "spend_at_last_reset", "max_budget",
		"budget_duration", "budget_reset_at", "blocked",
	},
	Users: {
		"user_id", "user_alias", "spend", "spend_at_last_reset", "max_budget",
		"budget_duration", "budget_reset_at",
	},
	Budgets: {"budget_id", "max_budget", "budget_duration", "budget_reset_at"},
	Health:  {"model_name", "model_id", "status", "response_time_ms", "checked_at"},
}

// Schema is what a database has.
type Schema struct {
	// Now is the server's time before anything else was read.
	Now     time.Time
	columns map[string]map[string]bool // table -> column -> readable
}

// Error says what is missing.
type Error struct {
	// Reason is pgsession.ReasonSchema or pgsession.ReasonPrivilege.
	Reason string
	text   string
}

func (e *Error) Error() string { return e.text }

// Read looks at all tables with one query on the catalogue.
func Read(ctx context.Context, conn *pgx.Conn) (Schema, error) {
	s := Schema{columns: map[string]map[string]bool{}}
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&s.Now); err != nil {
		return s, err
	}
	s.Now = s.Now.UTC()
	names := make([]string, 0, len(Columns))
	for name := range Columns {
		names = append(names, name)
	}
	rows, err := conn.Query(ctx, `
		SELECT c.relname, a.attname, has_column_privilege(c.oid, a.attnum, 'SELECT')
		  FROM unnest($1::text[]) t(name)
		  JOIN pg_class c ON c.oid = to_regclass(quote_ident(t.name))
		  JOIN pg_attribute a ON a.attrelid = c.oid
		 WHERE a.attnum > 0 AND NOT a.attisdropped`, names)
	if err != nil {
		return s, err
	}
	var table, column string
	var readable bool
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &readable}, func() error {
		if s.columns[table] == nil {
			s.columns[table] = map[string]bool{}
		}
		s.columns[table][column] = readable
		return nil
	})
	return s, err
}

// Exists tells whether the table is there.
func (s Schema) Exists(table string) bool { return s.columns[table] != nil }

// Has tells whether the column is there and may be read.
func (s Schema) Has(table, column string) bool { return s.columns[table][column] }

// Require gives an error unless all columns are there and may be read.
func (s Schema) Require(table string, columns ...string) error {
	if !s.Exists(table) {
		return &Error{pgsession.ReasonSchema, fmt.Sprintf("the database has no table %q in the role's search_path", table)}
	}
	for _, c := range columns {
		readable, exists := s.columns[table][c]
		if !exists {
			return &Error{pgsession.ReasonSchema, fmt.Sprintf("table %q has no column %q", table, c)}
		}
		if !readable {
			return &Error{pgsession.ReasonPrivilege, fmt.Sprintf("the role may not read column %q of table %q", c, table)}
		}
	}
	return nil
}

// Or gives the quoted column, or the expression to use where it is not there.
func (s Schema) Or(table, column, absent string) string {
	if s.Has(table, column) {
		return pgx.Identifier{column}.Sanitize()
	}
	return absent
}
