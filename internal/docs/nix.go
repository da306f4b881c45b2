package docs

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/collector"
	"vulcan.lan/vulcan_exporter/internal/config"
)

const nixHead = `# Typed options of all collectors, generated from their Go configuration by
# "go test ./deploy/nixos -update". Do not edit. null: not set, the exporter's own default.
{ lib }:
let
  inherit (lib) mkOption types;
  optional = type: description: mkOption {
    type = types.nullOr type;
    default = null;
    inherit description;
  };
  struct = options: types.submodule { inherit options; };
  # 30s, 5m, 1h30m, 7d
  duration = types.strMatching "0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?";
  # The path of a file, as text: a Nix path would be copied into the store, for all to read.
  secret = types.addCheck types.str (path: !(lib.hasPrefix builtins.storeDir path));
  common = {
    interval = optional duration "Time between runs.";
    timeout = optional duration "Deadline of one run.";
  };
in
{
`

// Nix writes the collectors' configuration as options of the NixOS module
// system, https://nixos.org/manual/nixos/stable/#sec-writing-modules.
func Nix(w io.Writer, definitions []*collector.Definition) error {
	var b strings.Builder
	b.WriteString(nixHead)
	for _, d := range definitions {
		fmt.Fprintf(&b, "  %s =\n    let\n      keys = common // {\n", d.Name)
		nixFields(&b, "        ", reflect.ValueOf(d.Config).Elem())
		b.WriteString("      };\n    in\n    {\n")
		fmt.Fprintf(&b, "      summary = %s;\n      options = keys", nixString(d.Summary))
		if d.Multiple {
			b.WriteString(" // {\n        sources = optional (types.listOf (struct (keys // {\n" +
				"          name = mkOption {\n            type = types.strMatching \"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}\";\n            description = \"Unique name.\";\n          };\n" +
				"        }))) \"What is observed; keys beside sources are the defaults of all.\";\n      }")
		}
		b.WriteString(";\n    };\n")
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func nixFields(b *strings.Builder, indent string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		description := f.Tag.Get("doc")
		if text := defaultText(v.Field(i)); text != "" {
			description += "; default " + text
		}
		fmt.Fprintf(b, "%s%s = optional %s %s;\n", indent, name, nixType(indent, f.Type), nixString(description))
	}
}

// nixType is an expression for the type, in parentheses where it needs them.
func nixType(indent string, t reflect.Type) string {
	switch t {
	case reflect.TypeFor[config.Duration]():
		return "duration"
	case reflect.TypeFor[config.SecretFile]():
		return "secret"
	case reflect.TypeFor[config.Regexp]():
		return "types.str"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nixType(indent, t.Elem())
	case reflect.Slice:
		return "(types.listOf " + nixType(indent, t.Elem()) + ")"
	case reflect.Map:
		return "(types.attrsOf " + nixType(indent, t.Elem()) + ")"
	case reflect.Struct:
		var b strings.Builder
		nixFields(&b, indent+"  ", reflect.New(t).Elem())
		return "(struct {\n" + b.String() + indent + "})"
	case reflect.Bool:
		return "types.bool"
	case reflect.String:
		return "types.str"
	case reflect.Float64, reflect.Float32:
		return "types.number"
	}
	return "types.int"
}

// nixString quotes a text, https://nix.dev/manual/nix/latest/language/string-literals.
func nixString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`, "\n", `\n`).Replace(s) + `"`
}
