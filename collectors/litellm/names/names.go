// Package names turns what LiteLLM's tables hold into label values that stay: a key or a model
// keeps the label it was first seen with, whatever is renamed, deleted or added later, so that
// no counter moves from one series to another.
package names

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"vulcan.lan/vulcan_exporter/collectors/litellm/schema"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// Labels for what has no name of its own.
const (
	Unknown = "unknown" // no model or provider is recorded; a key that no table knows any more
	Unnamed = "unnamed" // a key without an alias: its hash is never shown
	None    = "none"    // a request without a key; a key without a team
)

// Names is what is remembered. Its JSON form is part of the state.
type Names struct {
	Models    *metric.Bounded
	Providers *metric.Bounded
	Teams     *metric.Bounded
	Keys      *metric.Bounded
	// Owners are whom each key was first seen to belong to, by the first characters of its hash.
	Owners map[string]Owner
}

// Owner is the alias of a key and of its team.
type Owner struct {
	Key  string `json:"k,omitempty"`
	Team string `json:"t,omitempty"`
}

// New makes an empty memory in which each label has at most limit values.
func New(limit int) *Names {
	return &Names{
		Models: metric.NewBounded(limit), Providers: metric.NewBounded(limit),
		Teams: metric.NewBounded(limit), Keys: metric.NewBounded(limit),
		Owners: map[string]Owner{},
	}
}

// Model is the label of a model group or, where there is none, of the model itself.
func (n *Names) Model(name string) string { return n.Models.Admit(or(name, Unknown)) }

// Provider is the label of a provider.
func (n *Names) Provider(name string) string { return n.Providers.Admit(or(name, Unknown)) }

func or(name, otherwise string) string {
	if name = strings.TrimSpace(name); name == "" {
		return otherwise
	}
	return name
}

// prefixLength is as much of a hash (64 hexadecimal digits) as tells keys apart.
const prefixLength = 16

func id(hash string) string { return hash[:min(len(hash), prefixLength)] }

// Owner gives the labels of a key. The hash is as the tables hold it: "" for a request without a
// key, and since some versions a word for the master key.
func (n *Names) Owner(hash string) Owner {
	owner, known := n.Owners[id(hash)]
	switch {
	case hash == "":
		owner = Owner{None, None}
	case hash == "litellm_proxy_master_key":
		owner = Owner{"master", None}
	case !known:
		owner = Owner{Unknown, Unknown}
	}
	return Owner{n.Keys.Admit(owner.Key), n.Teams.Admit(owner.Team)}
}

// Learn looks up the keys that are not known yet. A key that no table knows is Unknown from then
// on: it may be the master key, which is in none.
func (n *Names) Learn(ctx context.Context, tx pgx.Tx, s schema.Schema, hashes []string) error {
	missing := map[string]bool{}
	for _, hash := range hashes {
		if _, known := n.Owners[id(hash)]; !known && hash != "" {
			missing[hash] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := s.Require(schema.Keys, "token", "key_alias", "team_id"); err != nil {
		return err
	}
	found := map[string]Owner{}
	for _, table := range []string{schema.Keys, schema.DeletedKeys} {
		if table == schema.DeletedKeys && s.Require(table, "token", "key_alias", "team_id") != nil {
			continue // only newer versions keep deleted keys
		}
		if err := lookUp(ctx, tx, s, table, missing, found); err != nil {
			return err
		}
	}
	for hash := range missing {
		owner, ok := found[hash]
		if !ok {
			owner = Owner{Unknown, Unknown}
		}
		n.Owners[id(hash)] = Owner{metric.LabelValue(owner.Key), metric.LabelValue(owner.Team)}
	}
	return nil
}

// lookUp adds the owners of the missing keys that the table has and found has not.
func lookUp(ctx context.Context, tx pgx.Tx, s schema.Schema, table string, missing map[string]bool, found map[string]Owner) error {
	hashes := make([]string, 0, len(missing))
	for hash := range missing {
		hashes = append(hashes, hash)
	}
	team, join := `k.team_id`, ""
	if s.Require(schema.Teams, "team_id", "team_alias") == nil {
		team = `coalesce(nullif(t.team_alias, ''), k.team_id)`
		join = ` LEFT JOIN "` + schema.Teams + `" t ON t.team_id = k.team_id`
	}
	rows, err := tx.Query(ctx, `SELECT k.token, coalesce(k.key_alias, ''), coalesce(`+team+`, '')
		FROM "`+table+`" k`+join+` WHERE k.token = ANY($1)`, hashes)
	if err != nil {
		return err
	}
	var hash, alias, teamName string
	_, err = pgx.ForEachRow(rows, []any{&hash, &alias, &teamName}, func() error {
		if _, have := found[hash]; !have {
			found[hash] = Owner{or(alias, Unnamed), or(teamName, None)}
		}
		return nil
	})
	return err
}
