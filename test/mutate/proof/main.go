// Command proof keeps docs/proof.md: for each alert what has been proven about it, by which run,
// and whether that run saw the rule as it is now. Nothing in the table is written by hand: it is
// rendered from docs/proof.json, into which this command puts the results of the test tools.
//
//	proof -update [-mutation score.json] [-e2e e2e.jsonl]   merge results, write both files
//	proof -check                                            fail if they are not about these rules
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/test/mutate/pack"
)

func main() {
	root := flag.String("root", "../..", "top folder of the work tree")
	update := flag.Bool("update", false, "run contract and unit tests, merge results, write docs/proof.json and docs/proof.md")
	mutation := flag.String("mutation", "", "result of mutate -json")
	e2e := flag.String("e2e", "", "e2e.jsonl of the folder that VULCAN_PROOF_DIR named")
	check := flag.Bool("check", false, "fail if docs/proof.md is not about the shipped rules and tests")
	flag.Parse()
	if err := command(*root, *update, *check, *mutation, *e2e); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		os.Exit(1)
	}
}

func command(root string, update, check bool, mutation, e2e string) error {
	p, err := pack.Load(filepath.Join(root, "alerts"))
	if err != nil {
		return err
	}
	stored, markdown := filepath.Join(root, "docs", "proof.json"), filepath.Join(root, "docs", "proof.md")
	table, err := readTable(stored)
	if err != nil {
		return err
	}
	if update {
		if err := prove(root, p, table, mutation, e2e); err != nil {
			return err
		}
		if err := table.write(stored, markdown); err != nil {
			return err
		}
	}
	if check {
		return errors.Join(table.stale(p, markdown)...)
	}
	return nil
}

// prove merges what the tools found. Contract and unit tests take a minute and are run here.
func prove(root string, p *pack.Pack, table *Table, mutation, e2e string) error {
	today := time.Now().UTC().Format(time.DateOnly)
	tests, err := filepath.Glob(filepath.Join(root, "alerts", "tests", "*.yml"))
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		append([]string{filepath.Join(root, ".tools", "bin", "promtool"), "test", "rules"}, tests...),
		{"go", "-C", filepath.Join(root, "test", "rules"), "test", "-run", "TestContract", "."},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args[:3], " "), err, out)
		}
	}
	if err := table.addTests(p, today); err != nil {
		return err
	}
	if mutation != "" {
		if err := table.addMutation(p, mutation, today); err != nil {
			return err
		}
	}
	if e2e != "" {
		return table.addFaults(p, filepath.Join(root, "alerts"), e2e, today)
	}
	return nil
}
