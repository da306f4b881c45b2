// Package litellmtest makes LiteLLM databases for tests: its tables in a real PostgreSQL, the
// read-only role by the shipped script, and rows as LiteLLM's writers leave them.
package litellmtest

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// Schemas of two ages.
var (
	//go:embed schema.sql
	Current string
	//go:embed schema-2024.sql
	Old string
)

// Role is the name of the exporter's role, RolePassword its password.
const (
	Role         = "vulcan_exporter"
	RolePassword = "exporter-password"
	Database     = "litellm"
)

// Create makes the database with a schema. The session time zone is not UTC, as on a server set
// up by a person: whoever mixes now() with LiteLLM's columns is off by hours.
func Create(t testing.TB, p *testenv.Postgres, schema string) {
	t.Helper()
	p.Exec(t, "postgres", "CREATE DATABASE "+Database, "ALTER DATABASE "+Database+" SET timezone = 'Pacific/Honolulu'")
	p.Exec(t, Database, schema)
}

// CreateRole runs the shipped script and gives the role its password. It returns the path of a
// file with it.
func CreateRole(t testing.TB, p *testenv.Postgres) (passwordFile string) {
	t.Helper()
	testenv.Need(t, "psql")
	script := filepath.Join(testenv.Root(t), "deploy", "litellm", "create-role.sql")
	psql := exec.Command("psql", "--no-psqlrc", "--quiet", "--dbname="+p.DSN(Database), "--variable=role="+Role, "--file="+script)
	if out, err := psql.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", psql, err, out)
	}
	p.Exec(t, Database, "ALTER ROLE "+Role+" PASSWORD '"+RolePassword+"'")
	passwordFile = filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(passwordFile, []byte(RolePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	return passwordFile
}
